"""Appends to several streams at once: all or none."""

from uuid import uuid4

import pytest
from conftest import events, fresh
from kurrentdbclient import NewEvent, NewEvents, StreamState
from kurrentdbclient.exceptions import (
    MultiAppendToSameStreamError,
    RecordMaxSizeExceededError,
    StreamTombstonedError,
    TransactionMaxSizeExceededError,
    WrongCurrentVersionError,
)

MIB = 1 << 20


def write(stream, appended, version=StreamState.ANY):
    return NewEvents(stream_name=stream, events=appended, current_version=version)


@pytest.fixture
def streams():
    return [fresh(name) for name in ("order", "payment", "stock")]


def versions(client, streams):
    return [client.get_current_version(stream) for stream in streams]


def test_several_streams_are_appended_to_at_once(client, streams):
    appended = [events(n) for n in (1, 2, 3)]
    position = client.multi_append_to_stream(
        [write(*both, StreamState.NO_STREAM) for both in zip(streams, appended)]
    )
    for stream, expected in zip(streams, appended):
        assert list(client.get_stream(stream)) == expected
    assert client.get_stream(streams[-1])[-1].commit_position == position
    assert versions(client, streams) == [0, 1, 2]


def test_metadata_and_content_type_are_kept(client, streams):
    event = NewEvent(
        type="Tested", data=b"\x00\xff", metadata=b'{"by": "python"}',
        content_type="application/octet-stream",
    )
    client.multi_append_to_stream(write(streams[0], [event]))
    [read] = client.get_stream(streams[0])
    assert (read.id, read.type, read.data) == (event.id, "Tested", b"\x00\xff")
    assert (read.metadata, read.content_type) == (b'{"by":"python"}', event.content_type)


@pytest.mark.parametrize("expected, actual", [
    (StreamState.NO_STREAM, 1),
    (0, 1),
    (2, 1),
    (StreamState.EXISTS, StreamState.NO_STREAM),
    (0, StreamState.NO_STREAM),
])
def test_one_wrong_expectation_refuses_all(client, streams, expected, actual):
    if actual != StreamState.NO_STREAM:
        client.append_events(streams[1], current_version=StreamState.ANY, events=events(2))
    before = versions(client, streams)
    with pytest.raises(WrongCurrentVersionError) as refused:
        client.multi_append_to_stream([
            write(streams[0], events(1)), write(streams[1], events(1), expected),
            write(streams[2], events(1)),
        ])
    assert (refused.value.stream_name, refused.value.actual_version) == (streams[1], actual)
    assert versions(client, streams) == before


def test_a_repeated_append_is_appended_once(client, streams):
    writes = [write(stream, events(2), StreamState.NO_STREAM) for stream in streams]
    first = client.multi_append_to_stream(writes)
    assert client.multi_append_to_stream(writes) == first
    assert versions(client, streams) == [1, 1, 1]


def test_an_append_that_is_partly_known_is_refused(client, streams):
    writes = [write(stream, events(1)) for stream in streams]
    client.multi_append_to_stream(writes[:2])
    with pytest.raises(WrongCurrentVersionError):
        client.multi_append_to_stream(writes)
    assert versions(client, streams) == [0, 0, StreamState.NO_STREAM]


def test_a_tombstoned_stream_refuses_all(client, streams):
    client.append_events(streams[1], current_version=StreamState.ANY, events=events(1))
    client.tombstone_stream(streams[1], current_version=StreamState.ANY)
    with pytest.raises(StreamTombstonedError) as refused:
        client.multi_append_to_stream([write(stream, events(1)) for stream in streams])
    assert refused.value.stream_name == streams[1]
    assert client.get_current_version(streams[0]) == StreamState.NO_STREAM


def test_a_stream_comes_once(client, streams):
    with pytest.raises(MultiAppendToSameStreamError):
        client.multi_append_to_stream([write(streams[0], events(1)) for _ in range(2)])


def test_sizes_are_bounded(client, streams):
    large = NewEvent(id=uuid4(), type="Large", data=bytes(MIB))
    with pytest.raises(RecordMaxSizeExceededError) as refused:
        client.multi_append_to_stream([write(streams[0], [large])])
    assert (refused.value.event_id, refused.value.max_size) == (large.id, MIB)

    halves = [NewEvent(type="Large", data=bytes(MIB // 2)) for _ in range(2)]
    with pytest.raises(TransactionMaxSizeExceededError) as refused:
        client.multi_append_to_stream(
            [write(stream, [half]) for stream, half in zip(streams, halves)]
        )
    assert refused.value.max_size == MIB
    assert versions(client, streams[:2]) == [StreamState.NO_STREAM] * 2
