"""The server is killed under load, and started again: what was acknowledged is there."""

import threading

import pytest
from conftest import Server, client_of, events, fresh, take
from kurrentdbclient import StreamState
from kurrentdbclient.exceptions import KurrentDBClientError


@pytest.fixture
def server(tmp_path):
    """Its own server for each test."""
    server = Server(tmp_path / "data")
    yield server
    server.kill()


class Writer(threading.Thread):
    """Appends to its own stream, one batch after another, until the server is gone."""

    def __init__(self, server):
        super().__init__()
        self.server, self.stream = server, fresh("load")
        self.acknowledged, self.unknown = [], []

    def run(self):
        with client_of(self.server) as client:
            while True:
                self.unknown = events(1 + len(self.acknowledged) % 3)
                try:
                    client.append_events(
                        self.stream, current_version=StreamState.ANY, events=self.unknown
                    )
                except KurrentDBClientError:
                    return
                self.acknowledged += self.unknown


def loaded(server, least):
    """Writers, when each had some appends acknowledged."""
    writers = [Writer(server) for _ in range(8)]
    for writer in writers:
        writer.start()
    while any(len(writer.acknowledged) < least for writer in writers):
        assert all(writer.is_alive() for writer in writers)
        writers[0].join(0.01)
    return writers


def test_what_was_acknowledged_is_there_after_a_kill(server):
    for _ in range(3):
        writers = loaded(server, least=20)
        server.kill()
        for writer in writers:
            writer.join()
        server = server.again()
        with client_of(server) as client:
            for writer in writers:
                read = list(client.get_stream(writer.stream))
                # The last append may have been made without its answer; never a part of it.
                assert read in (writer.acknowledged, writer.acknowledged + writer.unknown)
                client.append_events(
                    writer.stream, current_version=StreamState.ANY, events=writer.unknown
                )
                assert list(client.get_stream(writer.stream)) == (
                    writer.acknowledged + writer.unknown
                )
    server.kill()


def test_a_subscription_resumes_after_a_kill_without_loss_or_duplicate(server):
    with client_of(server) as client, client.subscribe_to_all(from_end=True) as subscription:
        writers = loaded(server, least=20)
        seen = take(50, subscription)
        server.kill()
        with pytest.raises(KurrentDBClientError):
            for event in subscription:
                seen.append(event)
    for writer in writers:
        writer.join()

    server = server.again()
    with client_of(server) as client:
        everything = list(client.read_all())
        last = seen[-1].commit_position
        with client.subscribe_to_all(commit_position=last) as subscription:
            seen += take(len(everything) - len(seen), subscription)
    assert seen == everything
    server.kill()


def test_what_was_deleted_and_bounded_stays_so_after_a_kill(server):
    deleted, tombstoned, bounded = fresh("deleted"), fresh("tombstoned"), fresh("bounded")
    with client_of(server) as client:
        for stream in (deleted, tombstoned, bounded):
            client.append_events(stream, current_version=StreamState.NO_STREAM, events=events(5))
        client.delete_stream(deleted, current_version=4)
        client.tombstone_stream(tombstoned, current_version=4)
        client.set_stream_metadata(bounded, metadata={"$maxCount": 2})
    server.kill()

    server = server.again()
    with client_of(server) as client:
        assert client.get_current_version(deleted) == StreamState.NO_STREAM
        with pytest.raises(KurrentDBClientError, match="is deleted"):
            client.get_stream(tombstoned)
        assert [event.stream_position for event in client.get_stream(bounded)] == [3, 4]
    server.kill()
