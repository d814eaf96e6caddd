"""Groups of consumers: whom a message goes to, and what a kill leaves of a group."""

import pytest
from conftest import Server, client_of, events, fresh, take
from kurrentdbclient import NewEvent, StreamState
from kurrentdbclient.exceptions import KurrentDBClientError

PROMPT = {"min_checkpoint_count": 1, "checkpoint_after": 0.01}


def append(client, stream, new):
    client.append_events(stream, current_version=StreamState.ANY, events=new)


def until(is_so):
    """Waits for what follows from what was said; the test's own time limit ends it."""
    while not is_so():
        pass


def ids(recorded):
    return [event.id for event in recorded]


@pytest.mark.parametrize(
    "strategy", ["DispatchToSingle", "RoundRobin", "Pinned", "PinnedByCorrelation"]
)
def test_events_are_delivered_from_history_to_live(client, stream, strategy):
    history, live = events(3), events(2)
    append(client, stream, history)
    client.create_subscription_to_stream("group", stream, consumer_strategy=strategy)
    assert client.get_subscription_info("group", stream).consumer_strategy == strategy

    with client.read_subscription_to_stream("group", stream) as consumer:
        delivered = take(3, consumer)
        append(client, stream, live)
        delivered += take(2, consumer)
        for event in delivered:
            consumer.ack(event)

    assert ids(delivered) == ids(history + live)


def test_a_correlation_stays_with_its_consumer(client):
    stream, category = fresh("order"), fresh("order").partition("-")[0]
    stream = f"{category}-1"
    group = {"group_name": "group", "stream_name": f"$ce-{category}"}
    client.create_subscription_to_stream(
        **group, consumer_strategy="PinnedByCorrelation", resolve_links=True
    )
    first, second = (client.read_subscription_to_stream(**group) for _ in range(2))
    metadata = b'{"$correlationId": "%s"}' % stream.encode()
    for number in range(4):
        new = [NewEvent(type="Tested", data=b"{}", metadata=metadata)]
        append(client, f"{category}-{number}", new)
    append(client, f"{category}-other", events(1))

    until(lambda: client.get_subscription_info(**group).total_in_flight_messages == 5)

    loads = [of.in_flight_messages for of in client.get_subscription_info(**group).connections]
    assert sorted(loads) in ([0, 5], [1, 4])
    first.stop()
    second.stop()


def test_groups_and_what_they_keep_survive_a_kill(tmp_path):
    server, stream, new = Server(tmp_path / "data"), fresh("order"), events(6)
    group = {"group_name": "group", "stream_name": stream}
    with client_of(server) as client:
        append(client, stream, new)
        client.create_subscription_to_stream(**group, **PROMPT)
        consumer = client.read_subscription_to_stream(**group)
        first, second, third = take(3, consumer)
        consumer.nack(first, "park")
        consumer.ack(second)
        consumer.nack(third, "park")

        def kept():
            info = client.get_subscription_info(**group)
            return info.parked_message_count, info.last_checkpointed_event_position

        until(lambda: kept() == (2, "2"))
        server.kill()
        with pytest.raises(KurrentDBClientError):
            take(4, consumer)
    server = server.again()
    with client_of(server) as client:
        assert client.get_subscription_info(**group).parked_message_count == 2
        with client.read_subscription_to_stream(**group) as consumer:
            rest = take(3, consumer)
            assert ids(rest) == ids(new[3:])
            for event in rest:
                consumer.ack(event)
            client.replay_parked_events(**group)
            replayed = take(2, consumer)
            assert ids(replayed) == ids(new[:1] + new[2:3])
            for event in replayed:
                consumer.ack(event)
        until(lambda: client.get_subscription_info(**group).parked_message_count == 0)
        until(lambda: client.get_subscription_info(**group).outstanding_messages_count == 0)
    server.stop()
    server = server.again()
    with client_of(server) as client:
        assert client.get_subscription_info(**group).parked_message_count == 0
    server.kill()
