"""Catch-up subscriptions to streams and to all events."""

import threading

import pytest
from conftest import Server, client_of, events, fresh, take
from kurrentdbclient import NewEvent, StreamState
from kurrentdbclient.exceptions import (
    GrpcError,
    InvalidArgumentError,
    StreamIsDeletedError,
)


@pytest.fixture
def ten(client, stream):
    """Ten events in the stream."""
    appended = events(10)
    client.append_events(stream, current_version=StreamState.NO_STREAM, events=appended)
    return appended


def append(client, stream, appended):
    client.append_events(stream, current_version=StreamState.ANY, events=appended)
    return appended


@pytest.mark.parametrize("start, skipped", [
    ({}, 0),
    ({"stream_position": 0}, 1),
    ({"stream_position": 6}, 7),
    ({"stream_position": 9}, 10),
    ({"from_end": True}, 10),
])
def test_a_stream_is_followed_from_after_a_revision(client, stream, ten, start, skipped):
    with client.subscribe_to_stream(stream, include_caught_up=True, **start) as subscription:
        old = take(10 - skipped, subscription)
        assert next(subscription).is_caught_up
        new = append(client, stream, events(3))
        assert old + take(3, subscription) == ten[skipped:] + new


def test_a_stream_is_followed_before_it_is(client, stream):
    with client.subscribe_to_stream(stream) as subscription:
        appended = append(client, stream, events(2))
        assert take(2, subscription) == appended


def test_a_category_is_followed_with_its_links_resolved(client):
    category = fresh("").partition("-")[0]
    first = append(client, f"{category}-a", events(2))
    with client.subscribe_to_stream(f"$ce-{category}", resolve_links=True) as subscription:
        second = append(client, f"{category}-b", events(2))
        append(client, fresh("other"), events(1))
        third = append(client, f"{category}-a", events(1))
        read = take(5, subscription)
    assert read == first + second + third
    assert [event.link.stream_position for event in read] == [0, 1, 2, 3, 4]


def test_who_follows_a_stream_is_told_of_its_end(client, stream, ten):
    with client.subscribe_to_stream(stream, from_end=True) as subscription:
        client.tombstone_stream(stream, current_version=StreamState.ANY)
        with pytest.raises(StreamIsDeletedError):
            take(2, subscription)


def test_all_is_followed_from_after_a_position(client, stream, ten):
    at = client.get_stream(stream)[4].commit_position
    with client.subscribe_to_all(
        commit_position=at, filter_include=[stream], filter_by_stream_name=True
    ) as subscription:
        assert take(5, subscription) == ten[5:]
        new = append(client, stream, events(2))
        assert take(2, subscription) == new


def test_all_is_followed_from_its_end(client, stream, ten):
    with client.subscribe_to_all(from_end=True, include_caught_up=True) as subscription:
        assert next(subscription).is_caught_up
        new = append(client, stream, events(2))
        assert take(2, subscription) == new


def test_whoever_follows_an_empty_store_has_caught_up(empty, stream):
    with empty.subscribe_to_all(include_caught_up=True) as subscription:
        assert next(subscription).is_caught_up
        appended = append(empty, stream, events(2))
        assert take(2, subscription) == appended


@pytest.mark.parametrize("wanted", [
    {"filter_include": ["WANTED"]},
    {"filter_include": ["WANTED"], "filter_by_prefix": True},
    {"filter_include": ["W[A-Z]+\\w+", "Nothing"]},
    {"filter_exclude": ["UNWANTED.*", "\\$.+", "PersistentConfig\\d+", "Tested"]},
])
def test_types_are_filtered(empty, wanted):
    kind = f"Type{fresh('').partition('-')[0]}"
    names = {"WANTED": f"W{kind}".upper(), "UNWANTED": f"UN{kind}".upper()}
    wanted = {
        key: [text.replace("UNWANTED", names["UNWANTED"]).replace("WANTED", names["WANTED"])
              for text in value] if isinstance(value, list) else value
        for key, value in wanted.items()
    }
    append(empty, fresh("s"), events(1, names["UNWANTED"]))
    expected = append(empty, fresh("s"), events(2, names["WANTED"]))
    append(empty, fresh("s"), events(1, names["UNWANTED"]))
    with empty.subscribe_to_all(**wanted) as subscription:
        last = append(empty, fresh("s"), events(1, names["WANTED"]))
        assert take(3, subscription) == expected + last


@pytest.mark.parametrize("by_prefix", [True, False])
def test_streams_are_filtered(client, by_prefix):
    names = [fresh("wanted"), fresh("unwanted"), fresh("wanted")]
    appended = {name: append(client, name, events(2)) for name in names}
    include = [names[0], names[2]] if by_prefix else [f"{names[0]}|{names[2]}"]
    with client.subscribe_to_all(
        filter_include=include, filter_by_stream_name=True, filter_by_prefix=by_prefix
    ) as subscription:
        assert take(4, subscription) == appended[names[0]] + appended[names[2]]


def test_system_events_are_left_out_by_default(empty, stream):
    empty.set_stream_metadata(stream, metadata={"$maxCount": 5})
    appended = append(empty, stream, events(1))
    with empty.subscribe_to_all() as subscription:
        assert next(subscription) == appended[0]
    with empty.subscribe_to_all(filter_exclude=()) as subscription:
        assert next(subscription).type == "$metadata"


def test_checkpoints_come_while_nothing_matches(empty, stream):
    appended = append(empty, stream, events(100))
    with empty.subscribe_to_all(
        filter_include=["Never"], include_checkpoints=True, window_size=10,
        checkpoint_interval_multiplier=2,
    ) as subscription:
        checkpoints = take(5, subscription)
    assert all(event.is_checkpoint for event in checkpoints)
    positions = [event.commit_position for event in empty.get_stream(stream)]
    assert len(positions) == len(appended)
    assert [event.commit_position for event in checkpoints] == positions[19::20]


def test_a_subscription_resumes_at_a_checkpoint(empty, stream):
    append(empty, stream, events(40))
    wanted = {"filter_include": ["Wanted"], "include_checkpoints": True, "window_size": 10,
              "checkpoint_interval_multiplier": 1}
    with empty.subscribe_to_all(**wanted) as subscription:
        checkpoint = take(4, subscription)[-1]
    expected = append(empty, stream, events(1, "Wanted"))
    with empty.subscribe_to_all(commit_position=checkpoint.commit_position, **wanted) as resumed:
        assert next(event for event in resumed if not event.is_checkpoint) == expected[0]


@pytest.mark.parametrize("expression", ["(", "[z-a]", "a{9999999}", "x" * 5000])
def test_an_expression_that_is_none_is_refused(client, expression):
    with pytest.raises((InvalidArgumentError, GrpcError)) as refused:
        next(client.subscribe_to_all(filter_include=[expression]))
    assert "filter" in str(refused.value)


def test_an_expression_that_never_ends_ends_the_subscription_alone(client):
    append(client, fresh("s"), [NewEvent(type="a" * 200, data=b"{}")])
    with pytest.raises(GrpcError) as refused:
        take(1_000_000, client.read_all(filter_include=["(a|aa)+(?=b)c"]))
    assert "the filter cannot be applied" in str(refused.value)
    append(client, fresh("s"), events(1))


def test_a_subscriber_that_does_not_read_is_served_later(empty, stream):
    with empty.subscribe_to_all() as subscription:
        appended = [
            event
            for _ in range(20)
            for event in append(empty, stream, [
                NewEvent(type="Large", data=bytes(9_000)) for _ in range(100)
            ])
        ]
        assert take(2_000, subscription) == appended


def test_many_subscribers_each_get_everything(client, stream):
    got = [[] for _ in range(20)]

    def follow(mine):
        with client.subscribe_to_stream(stream) as subscription:
            mine.extend(take(50, subscription))

    threads = [threading.Thread(target=follow, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    appended = [event for _ in range(5) for event in append(client, stream, events(10))]
    for thread in threads:
        thread.join(timeout=60)
    assert all(mine == appended for mine in got)


def test_a_subscription_ends_with_an_error_when_the_server_stops(stream):
    server = Server()
    with client_of(server) as client:
        append(client, stream, events(1))
        with client.subscribe_to_all() as subscription:
            next(subscription)
            server.stop()
            with pytest.raises(GrpcError):
                next(subscription)
