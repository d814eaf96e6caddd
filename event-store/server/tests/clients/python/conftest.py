"""What the tests are given: servers of this repository, and the official client of them."""

import itertools
import os
import subprocess
from contextlib import contextmanager
from uuid import uuid4

import pytest
from kurrentdbclient import KurrentDBClient, NewEvent

SERVE = os.environ["DAYBOOK_SERVE"]


class Server:
    """A server process; without a folder, its events are gone with it."""

    def __init__(self, folder=None, address="127.0.0.1:0", password=None):
        command = [SERVE, address] + [str(more) for more in (folder, password) if more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.uri = self.process.stdout.readline().strip().replace("tls=", "Tls=")
        assert self.uri.startswith("kurrentdb://"), f"the server did not start: {self.uri!r}"
        self.folder = folder

    @property
    def address(self):
        return self.uri.removeprefix("kurrentdb://").partition("?")[0]

    def kill(self):
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it as an operator would."""
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0

    def again(self):
        """The same store at the same address."""
        return Server(self.folder, self.address)


@contextmanager
def client_of(server):
    client = KurrentDBClient(server.uri)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("store") / "data")
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


@pytest.fixture
def empty():
    """A client of a server without events."""
    server = Server()
    with client_of(server) as client:
        yield client
    server.stop()


@pytest.fixture
def stream():
    """A name that no other test uses."""
    return fresh("stream")


def fresh(category):
    return f"{category}{uuid4().hex}-1"


def events(count, kind="Tested"):
    return [NewEvent(type=kind, data=b'{"n": %d}' % n, metadata=b"{}") for n in range(count)]


def take(count, responses):
    """The first of what may never end."""
    return list(itertools.islice(responses, count))
