"""Reads of streams and of all events, both ways."""

import json

import pytest
from conftest import events, fresh
from kurrentdbclient import NewEvent, StreamState
from kurrentdbclient.exceptions import (
    FailedPreconditionError,
    NotFoundError,
    StreamIsDeletedError,
    WrongCurrentVersionError,
)


@pytest.fixture
def ten(client, stream):
    """The ids of ten events in the stream."""
    appended = events(10)
    client.append_events(stream, current_version=StreamState.NO_STREAM, events=appended)
    return [event.id for event in appended]


def ids(read):
    return [event.id for event in read]


@pytest.mark.parametrize("arguments, expected", [
    ({}, slice(None)),
    ({"stream_position": 0}, slice(None)),
    ({"stream_position": 4}, slice(4, None)),
    ({"stream_position": 4, "limit": 3}, slice(4, 7)),
    ({"limit": 3}, slice(3)),
    ({"limit": 0}, slice(0)),
    ({"stream_position": 10}, slice(0)),
    ({"stream_position": 1_000_000}, slice(0)),
    ({"backwards": True}, slice(None, None, -1)),
    ({"backwards": True, "stream_position": 4}, slice(4, None, -1)),
    ({"backwards": True, "stream_position": 4, "limit": 2}, slice(4, 2, -1)),
    ({"backwards": True, "limit": 1}, slice(9, None)),
    ({"backwards": True, "stream_position": 0}, slice(0, 1)),
    ({"backwards": True, "stream_position": 1_000_000}, slice(None, None, -1)),
])
def test_a_stream_is_read_from_a_revision(client, stream, ten, arguments, expected):
    assert ids(client.read_stream(stream, **arguments)) == ten[expected]


def test_a_stream_that_never_was_is_not_found(client, stream):
    with pytest.raises(NotFoundError):
        client.get_stream(stream)
    assert client.get_current_version(stream) == StreamState.NO_STREAM


def of(stream):
    return {"filter_include": [stream], "filter_by_stream_name": True}


def test_all_is_read_in_both_directions(client, stream, ten):
    assert ids(client.read_all(**of(stream))) == ten
    assert ids(client.read_all(backwards=True, **of(stream))) == ten[::-1]


def test_all_is_limited(client, stream, ten):
    assert ids(client.read_all(limit=3, **of(stream))) == ten[:3]
    assert ids(client.read_all(limit=3, backwards=True, **of(stream))) == ten[:-4:-1]


def test_a_position_is_read_forward_and_not_backward(client, stream, ten):
    at = client.get_stream(stream)[4].commit_position
    assert ids(client.read_all(commit_position=at, **of(stream))) == ten[4:]
    assert ids(client.read_all(commit_position=at, backwards=True, **of(stream))) == ten[3::-1]


def test_all_positions_increase(client, ten):
    positions = [event.commit_position for event in client.read_all(filter_exclude=())]
    assert positions == sorted(set(positions))
    assert client.get_commit_position(filter_exclude=()) == positions[-1]


def test_a_store_without_events_reads_as_empty(empty):
    assert list(empty.read_all(filter_exclude=())) == []
    assert empty.get_commit_position() == 0


def test_links_are_followed_where_it_is_asked(client, stream, ten):
    links = fresh("links")
    link = NewEvent(type="$>", data=f"3@{stream}".encode())
    client.append_events(links, current_version=StreamState.ANY, events=[link])

    [plain] = client.get_stream(links)
    assert (plain.id, plain.type, plain.link) == (link.id, "$>", None)
    [resolved] = client.get_stream(links, resolve_links=True)
    assert (resolved.id, resolved.stream_name, resolved.stream_position) == (ten[3], stream, 3)
    assert (resolved.link.id, resolved.link.stream_name) == (link.id, links)
    assert resolved.ack_id == link.id


def test_a_category_has_the_events_of_its_streams(client):
    category = fresh("").partition("-")[0]
    first, second = events(2), events(2)
    for name, appended in [("a", first), ("b", second)]:
        client.append_events(
            f"{category}-{name}", current_version=StreamState.ANY, events=appended
        )
    links = client.get_stream(f"$ce-{category}")
    assert [link.data.decode() for link in links] == [
        f"{n}@{category}-{name}" for name in "ab" for n in range(2)
    ]
    assert [link.stream_position for link in links] == [0, 1, 2, 3]
    assert all(link.type == "$>" for link in links)

    resolved = client.get_stream(f"$ce-{category}", resolve_links=True)
    assert ids(resolved) == ids(first + second)
    assert ids(event.link for event in resolved) == ids(links)
    backwards = client.get_stream(f"$ce-{category}", resolve_links=True, backwards=True, limit=3)
    assert ids(backwards) == ids(first + second)[:0:-1]


def test_a_type_has_its_events_of_all_streams(client):
    kind = f"Kind{fresh('').partition('-')[0]}"
    appended = events(3, kind)
    for event in appended:
        client.append_events(fresh("s"), current_version=StreamState.ANY, events=[event])
    assert ids(client.get_stream(f"$et-{kind}", resolve_links=True)) == ids(appended)
    with pytest.raises(NotFoundError):
        client.get_stream(f"$et-no{kind}")


def test_a_deleted_stream_is_not_found_and_begins_anew(client, stream, ten):
    client.delete_stream(stream, current_version=9)
    with pytest.raises(NotFoundError):
        client.get_stream(stream)

    anew = events(1)
    client.append_events(stream, current_version=StreamState.NO_STREAM, events=anew)
    [read] = client.get_stream(stream)
    assert (read.id, read.stream_position) == (anew[0].id, 10)


def test_a_tombstoned_stream_is_gone(client, stream, ten):
    client.tombstone_stream(stream, current_version=StreamState.EXISTS)
    with pytest.raises(StreamIsDeletedError):
        client.get_stream(stream)
    with pytest.raises(StreamIsDeletedError):
        client.append_events(stream, current_version=StreamState.ANY, events=events(1))
    with pytest.raises(FailedPreconditionError, match="is deleted"):
        client.append_to_stream(stream, current_version=StreamState.ANY, events=events(1)[0])
    with pytest.raises(StreamIsDeletedError):
        client.tombstone_stream(stream, current_version=StreamState.ANY)
    with pytest.raises(StreamIsDeletedError):
        client.delete_stream(stream, current_version=StreamState.ANY)


@pytest.mark.parametrize("end", ["delete_stream", "tombstone_stream"])
def test_a_deletion_checks_its_expectation(client, stream, ten, end):
    with pytest.raises(WrongCurrentVersionError):
        getattr(client, end)(stream, current_version=4)
    assert client.get_current_version(stream) == 9


@pytest.mark.parametrize("metadata, expected", [
    ({"$maxCount": 3}, slice(7, None)),
    ({"$tb": 4}, slice(4, None)),
    ({"$maxCount": 3, "$tb": 8}, slice(8, None)),
    ({"$maxAge": 3600}, slice(None)),
])
def test_metadata_bounds_a_stream(client, stream, ten, metadata, expected):
    client.set_stream_metadata(stream, metadata=metadata)
    assert client.get_stream_metadata(stream) == (metadata, 0)
    assert ids(client.get_stream(stream)) == ten[expected]
    assert ids(client.get_stream(stream, backwards=True)) == ten[expected][::-1]


def test_a_stream_of_which_nothing_is_young_enough_is_not_found(client, stream, ten):
    client.set_stream_metadata(stream, metadata={"$tb": 10})
    with pytest.raises(NotFoundError):
        client.get_stream(stream)
    client.append_events(stream, current_version=9, events=events(1))
    assert client.get_current_version(stream) == 10


def test_metadata_is_kept_as_it_is(client, stream, ten):
    metadata = {"$cacheControl": 60, "$acl": {"$r": ["$all"], "$w": "$admins"}, "own": [1, {}]}
    client.set_stream_metadata(stream, metadata=metadata, current_version=StreamState.NO_STREAM)
    assert client.get_stream_metadata(stream) == (metadata, 0)
    [event] = client.get_stream(f"$${stream}")
    assert (event.type, json.loads(event.data)) == ("$metadata", metadata)


def test_metadata_of_nothing_is_empty(client, stream):
    assert client.get_stream_metadata(stream) == ({}, StreamState.NO_STREAM)
