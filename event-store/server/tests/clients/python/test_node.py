"""What a server tells of itself, and how it is found."""

import json
from urllib.request import urlopen

import pytest
from conftest import events
from kurrentdbclient import KurrentDBClient, StreamState


def test_gossip_tells_of_one_leader_where_it_was_asked(client, server):
    [member] = client.read_gossip()
    assert member.state == "NODE_STATE_LEADER"
    assert f"{member.address}:{member.port}" == server.address


@pytest.mark.parametrize("preference", ["leader", "random"])
def test_a_client_that_discovers_a_cluster_finds_it(server, stream, preference):
    uri = f"kurrentdb+discover://{server.address}?Tls=false&NodePreference={preference}"
    client = KurrentDBClient(uri)
    appended = events(2)
    client.append_events(stream, current_version=StreamState.NO_STREAM, events=appended)
    assert list(client.get_stream(stream)) == appended
    client.close()


@pytest.mark.parametrize("path, has", [
    ("/gossip", "members"), ("/info", "esVersion"), ("/stats", "proc"),
])
def test_probes_are_answered_in_json(server, path, has):
    with urlopen(f"http://{server.address}{path}") as answer:
        assert has in json.load(answer)


def test_health_is_told(server):
    with urlopen(f"http://{server.address}/health/live") as answer:
        assert answer.status in (200, 204)
