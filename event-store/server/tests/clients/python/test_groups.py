"""Persistent subscriptions to streams and to all events."""

import threading
import time
from contextlib import suppress

import pytest
from conftest import Server, client_of, events, fresh, take
from kurrentdbclient import StreamState
from kurrentdbclient.exceptions import (
    AlreadyExistsError,
    CancelledError,
    KurrentDBClientError,
    MaximumSubscriptionsReachedError,
    NotFoundError,
)


def append(client, stream, count, kind="Tested"):
    appended = events(count, kind)
    client.append_events(stream, current_version=StreamState.ANY, events=appended)
    return appended


def eventually(holds):
    """Waits for what a server does on its own."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


class Group:
    """A persistent subscription to a stream."""

    def __init__(self, client, stream, name="group"):
        self.client, self.stream, self.name = client, stream, name

    def create(self, **settings):
        self.client.create_subscription_to_stream(self.name, self.stream, **settings)
        return self

    def read(self, **options):
        # Answers leave the client at once, each on its own.
        options = {"max_ack_batch_size": 1, "max_ack_delay": 0.0, **options}
        return self.client.read_subscription_to_stream(self.name, self.stream, **options)

    def info(self):
        return self.client.get_subscription_info(self.name, self.stream)

    def parked(self):
        return self.info().parked_message_count

    def replay(self):
        self.client.replay_parked_events(self.name, self.stream)


@pytest.fixture
def group(client, stream):
    return Group(client, stream)


def settled(group, count):
    """The events that a consumer takes and acknowledges."""
    taken = []
    with group.read() as subscription:
        for event in subscription:
            subscription.ack(event)
            taken.append(event)
            if len(taken) == count:
                break
    return taken


def test_what_is_there_and_what_comes_is_read_and_acknowledged(client, group):
    old = append(client, group.stream, 5)
    group.create()
    with group.read() as subscription:
        taken = []
        for event in subscription:
            subscription.ack(event)
            taken.append(event)
            if len(taken) == 5:
                old += append(client, group.stream, 5)
            if len(taken) == 10:
                break
    assert taken == old
    assert all(event.retry_count == 0 for event in taken)


@pytest.mark.parametrize("start, skipped", [
    ({}, 0),
    ({"stream_position": 3}, 3),
    ({"from_end": True}, 5),
])
def test_a_group_starts_where_it_is_told(client, group, start, skipped):
    appended = append(client, group.stream, 5)
    group.create(**start)
    appended += append(client, group.stream, 2)
    assert settled(group, 7 - skipped) == appended[skipped:]


def test_what_was_acknowledged_does_not_come_again(client, group):
    appended = append(client, group.stream, 10)
    group.create(min_checkpoint_count=1, max_checkpoint_count=1)
    assert settled(group, 4) == appended[:4]
    eventually(lambda: group.info().last_checkpointed_event_position == "3")
    assert settled(group, 6) == appended[4:]


def test_what_was_not_acknowledged_comes_again_to_the_next(client, group):
    appended = append(client, group.stream, 3)
    group.create()
    with group.read() as subscription:
        assert take(3, subscription) == appended
    assert sorted(event.stream_position for event in settled(group, 3)) == [0, 1, 2]


def test_a_message_that_is_to_be_retried_comes_again(client, group):
    appended = append(client, group.stream, 2)
    group.create(max_retry_count=3)
    with group.read() as subscription:
        first = next(subscription)
        subscription.nack(first, action="retry")
        taken = []
        for event in subscription:
            subscription.ack(event)
            taken.append((event, event.retry_count))
            if len(taken) == 2:
                break
    assert sorted(taken, key=lambda pair: pair[0].stream_position) == [
        (appended[0], 1), (appended[1], 0),
    ]


def test_a_message_that_is_skipped_does_not_come_again(client, group):
    appended = append(client, group.stream, 3)
    group.create()
    with group.read() as subscription:
        subscription.nack(next(subscription), action="skip")
        for event in take(2, subscription):
            subscription.ack(event)
    assert group.parked() == 0
    appended += append(client, group.stream, 1)
    assert settled(group, 1) == appended[3:]


def test_parked_messages_are_kept_and_replayed(client, group):
    appended = append(client, group.stream, 4)
    group.create()
    with group.read() as subscription:
        for event in take(4, subscription):
            if event.stream_position % 2:
                subscription.nack(event, action="park")
            else:
                subscription.ack(event)
        eventually(lambda: group.parked() == 2)
    group.replay()
    replayed = settled(group, 2)
    assert sorted(replayed, key=lambda event: event.stream_position) == appended[1::2]
    eventually(lambda: group.parked() == 0)


def test_a_message_that_was_retried_too_often_is_parked(client, group):
    [event] = append(client, group.stream, 1)
    group.create(max_retry_count=2)
    with group.read() as subscription:
        for _ in range(3):
            subscription.nack(next(subscription), action="retry")
        eventually(lambda: group.parked() == 1)
    group.replay()
    assert settled(group, 1) == [event]


def test_a_message_that_is_not_answered_in_time_comes_again(client, group):
    [event] = append(client, group.stream, 1)
    group.create(message_timeout=0.2, max_retry_count=100)
    with group.read() as subscription:
        first, second = take(2, subscription)
        subscription.ack(second)
    assert (first, second) == (event, event)
    assert second.retry_count >= 1


def test_no_more_is_under_way_than_the_consumer_has_room_for(client, group):
    appended = append(client, group.stream, 20)
    group.create()
    with group.read(event_buffer_size=5) as subscription:
        assert take(5, subscription) == appended[:5]
        assert group.info().total_in_flight_messages == 5


def test_a_full_group_is_told(client, group):
    group.create(max_subscriber_count=1)
    with group.read():
        with pytest.raises(MaximumSubscriptionsReachedError):
            group.read()
    eventually(lambda: not group.info().connections)
    with group.read():
        assert len(group.info().connections) == 1


@pytest.mark.parametrize("strategy", ["DispatchToSingle", "RoundRobin", "Pinned"])
def test_consumers_share_the_events(client, group, strategy):
    def consume(subscription, mine):
        # Whoever stops is told so, as an error or not.
        with suppress(CancelledError):
            for event in subscription:
                mine.append(event)
                subscription.ack(event)

    appended = append(client, group.stream, 40)
    group.create(consumer_strategy=strategy)
    consumers = [(group.read(event_buffer_size=10), []) for _ in range(2)]
    threads = [threading.Thread(target=consume, args=consumer) for consumer in consumers]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(len(taken) for _, taken in consumers) >= 40)
    for subscription, _ in consumers:
        subscription.stop()
    for thread in threads:
        thread.join()
    taken = [event for _, taken in consumers for event in taken]
    assert sorted(taken, key=lambda event: event.stream_position) == appended
    assert strategy != "RoundRobin" or all(taken for _, taken in consumers)


def test_groups_are_found_by_their_names(client, group):
    with pytest.raises(NotFoundError):
        group.info()
    with pytest.raises(NotFoundError):
        group.read()
    group.create(
        stream_position=4, resolve_links=True, consumer_strategy="RoundRobin",
        message_timeout=7.0, max_retry_count=3, min_checkpoint_count=2, max_checkpoint_count=20,
        checkpoint_after=1.5, max_subscriber_count=8, live_buffer_size=50, read_batch_size=5,
        history_buffer_size=60, extra_statistics=True,
    )
    with pytest.raises(AlreadyExistsError):
        group.create()

    info = group.info()
    assert (info.event_source, info.group_name, info.start_from) == (group.stream, "group", "4")
    assert (info.resolve_links, info.extra_statistics) == (True, True)
    assert (info.consumer_strategy, info.message_timeout) == ("RoundRobin", 7.0)
    assert (info.max_retry_count, info.max_subscriber_count) == (3, 8)
    assert (info.min_checkpoint_count, info.max_checkpoint_count) == (2, 20)
    assert info.checkpoint_after == 1.5
    assert (info.live_buffer_size, info.read_batch_size) == (50, 5)
    assert info.history_buffer_size == 60

    other = Group(client, group.stream, "other").create()
    listed = client.list_subscriptions_to_stream(group.stream)
    assert {info.group_name for info in listed} == {"group", "other"}
    assert {"group", "other"} <= {
        info.group_name for info in client.list_subscriptions() if info.event_source == group.stream
    }

    client.delete_subscription("group", group.stream)
    with pytest.raises(NotFoundError):
        client.delete_subscription("group", group.stream)
    assert other.info().group_name == "other"


def test_a_group_can_be_set_up_differently(client, group):
    append(client, group.stream, 3)
    group.create(message_timeout=7.0)
    client.update_subscription_to_stream("group", group.stream, message_timeout=9.0)
    assert group.info().message_timeout == 9.0
    with pytest.raises(NotFoundError):
        client.update_subscription_to_stream("none", group.stream, message_timeout=9.0)


def test_consumers_of_a_deleted_group_are_told(client, group):
    group.create()
    with group.read() as subscription:
        client.delete_subscription("group", group.stream)
        with pytest.raises(KurrentDBClientError):
            next(subscription)


def test_links_of_a_category_are_resolved_and_acknowledged(client):
    category = fresh("").partition("-")[0]
    appended = append(client, f"{category}-a", 2)
    group = Group(client, f"$ce-{category}").create(resolve_links=True)
    appended += append(client, f"{category}-b", 2)
    taken = settled(group, 4)
    assert taken == appended
    assert [event.link.stream_position for event in taken] == [0, 1, 2, 3]


def test_all_events_are_read_through_a_filter(client):
    name, kind = fresh("group"), f"Kind{fresh('').partition('-')[0]}"
    append(client, fresh("s"), 3, "Unwanted")
    wanted = append(client, fresh("s"), 2, kind)
    client.create_subscription_to_all(name, filter_include=[kind])
    wanted += append(client, fresh("s"), 2, kind)
    taken = []
    with client.read_subscription_to_all(name) as subscription:
        for event in subscription:
            subscription.ack(event)
            taken.append(event)
            if len(taken) == 4:
                break
    assert taken == wanted
    assert client.get_subscription_info(name).event_source == "$all"
    client.delete_subscription(name)


def test_nothing_parked_is_lost_or_doubled_by_kills(tmp_path, stream):
    server, parked = Server(tmp_path / "data"), 0
    with client_of(server) as client:
        group = Group(client, stream).create(min_checkpoint_count=1, max_checkpoint_count=1)
    for _ in range(3):
        with client_of(server) as client:
            group = Group(client, stream)
            append(client, stream, 10)
            with group.read() as subscription:
                for _ in range(10):
                    event = next(subscription)
                    if event.stream_position % 2:
                        subscription.nack(event, action="park")
                    else:
                        subscription.ack(event)
                parked += 5
                eventually(lambda: group.parked() == parked)
                eventually(lambda: (
                    group.info().last_checkpointed_event_position == str(2 * parked - 1)
                ))
                server.kill()
        server = server.again()
        with client_of(server) as client:
            assert Group(client, stream).parked() == parked

    with client_of(server) as client:
        group = Group(client, stream)
        group.replay()
        replayed = [event.stream_position for event in settled(group, parked)]
        assert sorted(replayed) == [n for n in range(30) if n % 2]
        [last] = append(client, stream, 1)
        assert settled(group, 1) == [last]
    server.kill()
