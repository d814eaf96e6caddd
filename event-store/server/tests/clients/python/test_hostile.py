"""Requests that no official client sends: the server answers, and goes on."""

import uuid

import grpc
import pytest
from conftest import events, fresh
from google.protobuf import empty_pb2
from kurrentdbclient import StreamState
from kurrentdbclient.protos.v1 import shared_pb2, streams_pb2, streams_pb2_grpc

Append, Batch, Read = streams_pb2.AppendReq, streams_pb2.BatchAppendReq, streams_pb2.ReadReq


@pytest.fixture
def streams(server):
    with grpc.insecure_channel(server.address) as channel:
        yield streams_pb2_grpc.StreamsStub(channel)


@pytest.fixture(autouse=True)
def still_serves(client):
    yield
    client.append_events(fresh("after"), current_version=StreamState.ANY, events=events(1))


def named(name):
    return shared_pb2.StreamIdentifier(stream_name=name)


def append_options(name=b"hostile-1"):
    options = Append.Options(stream_identifier=named(name), any=shared_pb2.Empty())
    return Append(options=options)


def proposed(**changes):
    fields = {
        "id": shared_pb2.UUID(string=str(uuid.uuid4())),
        "metadata": {"type": "Tested", "content-type": "application/json"},
        "data": b"{}",
    }
    return Append(proposed_message=Append.ProposedMessage(**{**fields, **changes}))


@pytest.mark.parametrize("messages", [
    [],
    [Append()],
    [proposed()],
    [append_options(), append_options()],
    [append_options(b""), proposed()],
    [append_options(b"\xff\xfe"), proposed()],
    [append_options(b"a\0b"), proposed()],
    [append_options(b"x" * 10_000), proposed()],
    [append_options(), proposed(id=None)],
    [append_options(), proposed(id=shared_pb2.UUID())],
    [append_options(), proposed(id=shared_pb2.UUID(string=""))],
    [append_options(), proposed(id=shared_pb2.UUID(string="no-uuid"))],
    [append_options(), proposed(id=shared_pb2.UUID(string="0" * 100_000))],
    [append_options(), proposed(metadata={})],
    [append_options(), proposed(metadata={"type": ""})],
    [append_options(), proposed(metadata={"type": "x" * 256})],
    [Append(options=Append.Options(stream_identifier=named(b"s-1")))],
    [Append(options=Append.Options(any=shared_pb2.Empty()))],
])
def test_a_malformed_append_is_refused(streams, messages):
    with pytest.raises(grpc.RpcError) as refused:
        streams.Append(iter(messages))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_an_append_that_breaks_off_appends_nothing(streams, client, stream):
    def breaks_off():
        yield append_options(stream.encode())
        yield proposed()
        raise RuntimeError("the client is gone")

    with pytest.raises(grpc.RpcError):
        streams.Append(breaks_off())
    assert client.get_current_version(stream) == StreamState.NO_STREAM


def batch(stream, id=None, final=True, first=True, data=b"{}", **changes):
    message = Batch.ProposedMessage(
        id=shared_pb2.UUID(string=str(uuid.uuid4())), metadata={"type": "Tested"}, data=data
    )
    fields = {
        "correlation_id": shared_pb2.UUID(string=str(id or uuid.uuid4())),
        "proposed_messages": [message],
        "is_final": final,
        **changes,
    }
    if first:
        fields.setdefault("options", Batch.Options(
            stream_identifier=named(stream.encode()), any=empty_pb2.Empty()
        ))
    return Batch(**fields)


def test_a_batch_comes_in_fragments(streams, client, stream):
    id, other = uuid.uuid4(), uuid.uuid4()
    answers = list(streams.BatchAppend(iter([
        batch(stream, id, final=False),
        batch(fresh("other"), other),
        batch(stream, id, final=False, first=False),
        batch(stream, id, first=False),
    ])))
    assert {answer.WhichOneof("result") for answer in answers} == {"success"}
    assert len(answers) == 2
    assert client.get_current_version(stream) == 2


@pytest.mark.parametrize("changes", [
    {"options": None},
    {"options": Batch.Options(stream_identifier=named(b"s-1"))},
    {"options": Batch.Options(any=empty_pb2.Empty(), stream_identifier=named(b"\xff"))},
    {"proposed_messages": [Batch.ProposedMessage(metadata={"type": "Tested"})]},
    {"proposed_messages": [Batch.ProposedMessage(
        id=shared_pb2.UUID(string="no-uuid"), metadata={"type": "Tested"})]},
    {"data": bytes(2 << 20)},
])
def test_a_malformed_batch_is_refused_and_others_are_not(streams, stream, changes):
    id = uuid.uuid4()
    answers = list(streams.BatchAppend(iter([batch(stream, id, **changes), batch(stream)])))
    results = {
        (answer.correlation_id.structured.most_significant_bits & (1 << 64) - 1) << 64
        | answer.correlation_id.structured.least_significant_bits & (1 << 64) - 1:
        answer.WhichOneof("result") for answer in answers
    }
    assert results.pop(id.int) == "error"
    assert list(results.values()) == ["success"]
    assert all(answer.HasField("stream_identifier") for answer in answers)


@pytest.mark.parametrize("correlation", [None, shared_pb2.UUID(string="no-uuid")])
def test_a_batch_that_cannot_be_answered_ends_the_call(streams, stream, correlation):
    with pytest.raises(grpc.RpcError) as refused:
        list(streams.BatchAppend(iter([batch(stream, correlation_id=correlation)])))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_batches_that_never_become_final_are_bounded(streams, stream):
    with pytest.raises(grpc.RpcError) as refused:
        list(streams.BatchAppend(batch(stream, final=False) for _ in range(10_000)))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_more_batches_than_a_call_may_have_under_way_are_each_answered(streams):
    large = (batch(fresh("large"), data=bytes(1_000_000)) for _ in range(100))
    answers = list(streams.BatchAppend(large))
    assert [answer.WhichOneof("result") for answer in answers] == ["success"] * 100


EMPTY = shared_pb2.Empty()
ALL = {"all": Read.Options.AllOptions(start=EMPTY)}
STREAM = {"stream": Read.Options.StreamOptions(stream_identifier=named(b"s-1"), start=EMPTY)}
FOLLOW = {"subscription": Read.Options.SubscriptionOptions()}
Filter = Read.Options.FilterOptions
BACKWARDS = Read.Options.Backwards


@pytest.mark.parametrize("options", [
    None,
    {},
    ALL,
    {"count": 1},
    {"count": 1, "stream": Read.Options.StreamOptions(start=EMPTY)},
    {"count": 1, "stream": Read.Options.StreamOptions(stream_identifier=named(b"s-1"))},
    {"count": 1, "stream": Read.Options.StreamOptions(
        stream_identifier=named(b"\xff"), start=EMPTY)},
    {"count": 1, "all": Read.Options.AllOptions()},
    {**ALL, **FOLLOW, "read_direction": BACKWARDS},
    {**ALL, "count": 1, "filter": Filter()},
    {**ALL, "count": 1, "filter": Filter(event_type=Filter.Expression(regex="a"), max=0)},
    {**ALL, "count": 1, "filter": Filter(event_type=Filter.Expression(regex="("))},
    {**ALL, "count": 1, "filter": Filter(event_type=Filter.Expression(prefix=["x"] * 2_000))},
    {**STREAM, "count": 1, "filter": Filter(event_type=Filter.Expression(regex="a"))},
])
def test_a_malformed_read_is_refused(streams, options):
    request = Read(options=Read.Options(**options)) if options is not None else Read()
    with pytest.raises(grpc.RpcError) as refused:
        list(streams.Read(request))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_stream_tells_its_bounds_to_whoever_asks(streams, client, stream):
    client.append_events(stream, current_version=StreamState.ANY, events=events(10))
    client.set_stream_metadata(stream, metadata={"$tb": 3})
    request = Read(options=Read.Options(
        stream=Read.Options.StreamOptions(stream_identifier=named(stream.encode()), start=EMPTY),
        count=1,
        no_filter=EMPTY,
        control_option=Read.Options.ControlOption(compatibility=1),
    ))
    answers = {answer.WhichOneof("content"): answer for answer in streams.Read(request)}
    assert answers["first_stream_position"].first_stream_position == 3
    assert answers["last_stream_position"].last_stream_position == 9
    assert answers["event"].event.event.stream_revision == 3


@pytest.mark.parametrize("call", ["Append", "BatchAppend", "Read", "Delete", "Tombstone"])
@pytest.mark.parametrize("body", [b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", bytes(100_000)])
def test_bytes_that_are_no_message_are_refused(server, call, body):
    path = f"/event_store.client.streams.Streams/{call}"
    with grpc.insecure_channel(server.address) as channel:
        sent = channel.stream_stream(path, lambda raw: raw, lambda raw: raw)(iter([body]))
        with pytest.raises(grpc.RpcError):
            list(sent)
