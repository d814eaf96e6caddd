"""Certificates and passwords."""

import pytest
from conftest import Server, events, fresh, take
from kurrentdbclient import KurrentDBClient, StreamState
from kurrentdbclient.exceptions import (
    AccessDeniedError,
    KurrentDBClientError,
    SSLError,
    UnauthenticatedError,
)

PASSWORD = "correct"


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("secure") / "data", password=PASSWORD)
    yield server
    server.stop()


def certificate(server):
    return server.folder.with_suffix(".crt").read_text()


def as_user(server, who, trusted=None):
    uri = server.uri.replace("://", f"://{who}@" if who else "://")
    return KurrentDBClient(uri, root_certificates=trusted or certificate(server))


def append(client, stream):
    return client.append_events(stream, current_version=StreamState.ANY, events=events(2))


def test_who_knows_the_password_is_served_encrypted(secure):
    stream = fresh("secure")
    with as_user(secure, f"admin:{PASSWORD}") as client:
        append(client, stream)
        assert len(client.get_stream(stream)) == 2
        with client.subscribe_to_all(from_end=False) as subscription:
            assert len(take(2, subscription)) == 2
        client.create_subscription_to_stream("group", stream, from_end=False)
        with client.read_subscription_to_stream("group", stream) as subscription:
            for event in take(2, subscription):
                subscription.ack(event)


@pytest.mark.parametrize("who", ["admin:wrong", "nobody:wrong"])
def test_who_does_not_is_refused(secure, who):
    with as_user(secure, who) as client:
        for refused in (
            lambda: append(client, fresh("refused")),
            lambda: client.get_stream(fresh("refused")),
            lambda: take(1, client.read_all()),
            lambda: client.create_subscription_to_all("group"),
        ):
            with pytest.raises((AccessDeniedError, UnauthenticatedError)):
                refused()


def test_whoever_names_nobody_is_refused(secure):
    with pytest.raises((KurrentDBClientError, ValueError)):
        with as_user(secure, None) as client:
            append(client, fresh("refused"))


def test_a_certificate_that_is_not_trusted_is_not(secure, tmp_path):
    other = Server(tmp_path / "other", password=PASSWORD)
    try:
        with pytest.raises((SSLError, KurrentDBClientError)):
            with as_user(secure, "admin:any", trusted=certificate(other)) as client:
                client.get_stream(fresh("untrusted"), timeout=10)
    finally:
        other.stop()


def test_without_encryption_nothing_is_served(secure):
    plain = secure.uri.replace("Tls=true", "Tls=false&MaxDiscoverAttempts=1")
    with pytest.raises(KurrentDBClientError):
        with KurrentDBClient(plain) as client:
            client.get_stream(fresh("plain"), timeout=10)
