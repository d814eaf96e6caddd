"""Appends to several streams at once: all or none."""

from uuid import uuid4

import pytest
from conftest import events, fresh
from kurrentdbclient import NewEvent, NewEvents, NewRecord, StreamState, StreamStateCheck
from kurrentdbclient.exceptions import (
    ConsistencyChecksFailedError,
    KurrentDBClientError,
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


# Records of several streams in one order, with checks.

DELETED, TOMBSTONED = -5, -6


def record(stream, kind="Tested"):
    return NewRecord(stream_name=stream, type=kind, data=b"{}", metadata=b'{"by":"python"}')


def violations(refused):
    failures = [(of.check_index, of.stream_state_failure) for of in refused.value.failures]
    return [(n, of.stream_name, of.expected_state, of.actual_state) for n, of in failures]


def test_records_of_several_streams_stand_in_their_order(client, streams):
    one, other, _ = streams
    records = [record(stream) for stream in (one, other, one, other, one)]
    result = client.append_records(records)
    ends = {of.stream_name: of.stream_position for of in result.stream_positions}
    assert ends == {one: 2, other: 1}

    read = client.read_all(
        filter_include=[one, other], filter_by_stream_name=True, filter_exclude=[]
    )
    read = list(read)
    assert [(event.stream_name, event.id) for event in read] == [
        (given.stream_name, given.id) for given in records
    ]
    assert (read[0].metadata, read[-1].commit_position) == (
        records[0].metadata, result.commit_position
    )


@pytest.mark.parametrize("state", [1, StreamState.EXISTS, StreamState.ANY])
def test_a_stream_that_is_only_checked_allows_an_append(client, streams, state):
    one, other, _ = streams
    client.append_events(other, current_version=StreamState.ANY, events=events(2))
    client.append_records(record(one), StreamStateCheck(other, state))
    assert versions(client, [one, other]) == [0, 1]


def test_all_checks_that_do_not_hold_are_told(client, streams):
    new, live, deleted, ended, written = [*streams, fresh("ended"), fresh("written")]
    for stream in (live, deleted, ended):
        client.append_events(stream, current_version=StreamState.ANY, events=events(2))
    client.delete_stream(deleted, current_version=StreamState.ANY)
    client.tombstone_stream(ended, current_version=StreamState.ANY)

    checks = [
        StreamStateCheck(written, StreamState.NO_STREAM),
        StreamStateCheck(new, StreamState.EXISTS),
        StreamStateCheck(live, 0),
        StreamStateCheck(deleted, StreamState.EXISTS),
        StreamStateCheck(ended, StreamState.ANY),
    ]
    with pytest.raises(ConsistencyChecksFailedError) as refused:
        client.append_records([record(written)], checks)
    assert violations(refused) == [
        (1, new, -4, -1), (2, live, 0, 1), (3, deleted, -4, DELETED), (4, ended, -2, TOMBSTONED)
    ]
    assert client.get_current_version(written) == StreamState.NO_STREAM


def test_a_repeated_append_of_records_is_appended_once(client, streams):
    one, other, third = streams
    records = [record(one), record(other), record(one)]
    check = StreamStateCheck(third, StreamState.NO_STREAM)
    first = client.append_records(records, check)
    client.append_events(third, current_version=StreamState.ANY, events=events(1))
    assert client.append_records(records, check) == first
    assert versions(client, [one, other]) == [1, 0]


def test_records_that_are_partly_known_are_refused(client, streams):
    one, other, _ = streams
    known = record(one)
    client.append_records(known)
    with pytest.raises(ConsistencyChecksFailedError) as refused:
        client.append_records([known, record(other)])
    assert violations(refused) == [(-1, one, -2, 0)]
    assert versions(client, [one, other]) == [0, StreamState.NO_STREAM]


def test_a_tombstoned_stream_takes_no_records(client, streams):
    one, ended, _ = streams
    client.append_events(ended, current_version=StreamState.ANY, events=events(1))
    client.tombstone_stream(ended, current_version=StreamState.ANY)
    with pytest.raises(ConsistencyChecksFailedError) as refused:
        client.append_records([record(one), record(ended)])
    assert violations(refused) == [(-1, ended, -2, TOMBSTONED)]
    assert client.get_current_version(one) == StreamState.NO_STREAM


def test_a_deleted_stream_begins_anew_with_its_records(client, stream):
    client.append_events(stream, current_version=StreamState.ANY, events=events(2))
    client.delete_stream(stream, current_version=StreamState.ANY)
    again = record(stream)
    client.append_records(again, StreamStateCheck(stream, StreamState.NO_STREAM))
    assert [event.id for event in client.get_stream(stream)] == [again.id]
    assert client.get_current_version(stream) == 2


def test_records_that_make_no_sense_are_refused(client, streams):
    one, other, _ = streams
    twice = [StreamStateCheck(other, StreamState.NO_STREAM)] * 2
    for records, checks in [
        ([], []), ([record("")], []), ([record("x" * 300)], []), ([record("$ce-order")], []),
        ([record(one)], twice), ([record(one)], [StreamStateCheck("", StreamState.ANY)]),
    ]:
        with pytest.raises(KurrentDBClientError):
            client.append_records(records, checks)
    assert client.get_current_version(one) == StreamState.NO_STREAM


def test_sizes_of_records_are_bounded(client, streams):
    large = NewRecord(stream_name=streams[0], type="Large", data=bytes(MIB))
    with pytest.raises(RecordMaxSizeExceededError) as refused:
        client.append_records(large)
    assert (refused.value.event_id, refused.value.max_size) == (large.id, MIB)

    halves = [NewRecord(stream_name=s, type="Large", data=bytes(MIB // 2)) for s in streams[:2]]
    with pytest.raises(TransactionMaxSizeExceededError) as refused:
        client.append_records(halves)
    assert refused.value.max_size == MIB
    assert versions(client, streams[:2]) == [StreamState.NO_STREAM] * 2
