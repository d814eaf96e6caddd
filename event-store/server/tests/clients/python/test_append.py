"""Appends: one event by one (Append) and several at once (BatchAppend)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from conftest import events, fresh
from kurrentdbclient import NewEvent, StreamState
from kurrentdbclient.exceptions import (
    AccessDeniedError,
    GrpcError,
    MaximumAppendSizeExceededError,
    WrongCurrentVersionError,
)

MIB = 1 << 20


@pytest.fixture(params=["append", "batch_append"])
def append(client, request):
    """Appends one event through either of the two calls."""

    def append(stream, version, event):
        events = event if request.param == "append" else [event]
        return client.append_to_stream(stream, current_version=version, events=events)

    return append


def test_what_was_appended_is_read_back(client, append, stream):
    event = NewEvent(
        type="Tested", data=b"\x00\xff", metadata=b"\xfe", content_type="application/octet-stream"
    )
    position = append(stream, StreamState.NO_STREAM, event)

    [read] = client.get_stream(stream)
    assert (read.id, read.type, read.data, read.metadata) == (
        event.id, "Tested", b"\x00\xff", b"\xfe",
    )
    assert read.content_type == "application/octet-stream"
    assert (read.stream_name, read.stream_position) == (stream, 0)
    assert read.commit_position == read.prepare_position == position
    assert abs(read.recorded_at - datetime.now(timezone.utc)) < timedelta(minutes=5)


@pytest.mark.parametrize("before, expected", [
    (0, StreamState.NO_STREAM),
    (0, StreamState.ANY),
    (1, StreamState.ANY),
    (1, StreamState.EXISTS),
    (1, 0),
    (3, 2),
])
def test_expectations_that_hold(client, append, stream, before, expected):
    if before:
        client.append_events(stream, current_version=StreamState.ANY, events=events(before))
    append(stream, expected, events(1)[0])
    assert client.get_current_version(stream) == before


@pytest.mark.parametrize("before, expected, actual", [
    (1, StreamState.NO_STREAM, 0),
    (0, StreamState.EXISTS, StreamState.NO_STREAM),
    (0, 0, StreamState.NO_STREAM),
    (3, 1, 2),
    (3, 3, 2),
])
def test_expectations_that_do_not_hold(client, append, stream, before, expected, actual):
    if before:
        client.append_events(stream, current_version=StreamState.ANY, events=events(before))
    with pytest.raises(WrongCurrentVersionError) as refused:
        append(stream, expected, events(1)[0])
    assert refused.value.actual_version == actual
    assert len(client.get_stream(stream) if before else []) == before


def test_an_append_is_whole_and_in_order(client, stream):
    appended = events(100)
    position = client.append_events(stream, current_version=StreamState.NO_STREAM, events=appended)
    read = client.get_stream(stream)
    assert [event.id for event in read] == [event.id for event in appended]
    assert [event.stream_position for event in read] == list(range(100))
    assert read[-1].commit_position == position


@pytest.mark.parametrize("again", [StreamState.NO_STREAM, StreamState.ANY, StreamState.EXISTS])
def test_a_repeated_append_is_appended_once(client, append, stream, again):
    event = events(1)[0]
    first = append(stream, StreamState.NO_STREAM, event)
    append(stream, 0, events(1)[0])
    assert append(stream, again, event) == first
    assert len(client.get_stream(stream)) == 2


def test_an_append_that_is_partly_known_is_refused(client, stream):
    known, new = events(2)
    client.append_events(stream, current_version=StreamState.ANY, events=[known])
    with pytest.raises(WrongCurrentVersionError):
        client.append_events(stream, current_version=StreamState.ANY, events=[known, new])
    assert client.get_stream(stream) == (known,)


def test_an_id_means_its_streams_event(client, append, stream):
    event, other = events(1)[0], fresh("other")
    append(stream, StreamState.NO_STREAM, event)
    append(other, StreamState.NO_STREAM, event)
    assert client.get_stream(stream)[0].id == client.get_stream(other)[0].id == event.id


def test_an_append_of_nothing_checks_its_expectation(client, stream):
    client.append_events(stream, current_version=StreamState.NO_STREAM, events=[])
    client.append_events(stream, current_version=StreamState.NO_STREAM, events=events(1))
    with pytest.raises(WrongCurrentVersionError):
        client.append_events(stream, current_version=StreamState.NO_STREAM, events=[])


@pytest.mark.parametrize("size", [MIB + 1, 2 * MIB, 3 * MIB])
def test_an_append_over_the_limit_is_refused_as_a_whole(client, append, stream, size):
    with pytest.raises((MaximumAppendSizeExceededError, GrpcError)) as refused:
        append(stream, StreamState.ANY, NewEvent(type="Large", data=bytes(size)))
    assert "1048576" in str(refused.value)
    assert client.get_current_version(stream) == StreamState.NO_STREAM


def test_an_append_at_the_limit_is_taken(client, append, stream):
    append(stream, StreamState.ANY, NewEvent(type="Large", data=bytes(MIB - len("Large"))))
    assert client.get_current_version(stream) == 0


@pytest.mark.parametrize("name", ["$ce-order", "$et-Placed"])
def test_index_streams_take_no_appends(client, append, name):
    with pytest.raises(AccessDeniedError):
        append(name, StreamState.ANY, events(1)[0])


@pytest.mark.parametrize("bits", [0, 1 << 127, 1 << 63, 1 << 127 | 1 << 63])
def test_any_id_is_an_id(client, append, stream, bits):
    id = UUID(int=bits | uuid4().int >> 66)
    append(stream, StreamState.ANY, NewEvent(id=id, type="Tested", data=b"{}"))
    assert client.get_stream(stream)[0].id == id


@pytest.mark.parametrize("name", ["ünïcödé-1", "with space", "-", "a" * 200, "$system-1"])
def test_unusual_names_are_names(client, name):
    name = name if len(name) == 200 else fresh(name)
    client.append_events(name, current_version=StreamState.ANY, events=events(1))
    assert client.get_stream(name)[0].stream_name == name


def test_of_racing_writers_one_wins_each_revision(client, stream):
    def race(n):
        try:
            client.append_events(stream, current_version=StreamState.NO_STREAM, events=events(2))
            return True
        except WrongCurrentVersionError:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(race, range(64))) == 1
    assert client.get_current_version(stream) == 1
