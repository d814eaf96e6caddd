import static io.kurrent.dbclient.StreamState.any;
import static io.kurrent.dbclient.StreamState.noStream;
import static io.kurrent.dbclient.StreamState.streamExists;
import static io.kurrent.dbclient.StreamState.streamRevision;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.Status.Code;
import io.kurrent.dbclient.AppendStreamRequest;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.MultiStreamAppendResponse;
import io.kurrent.dbclient.ReadStreamOptions;
import io.kurrent.dbclient.RecordSizeExceededException;
import io.kurrent.dbclient.RecordedEvent;
import io.kurrent.dbclient.StreamNotFoundException;
import io.kurrent.dbclient.StreamState;
import io.kurrent.dbclient.StreamTombstonedException;
import io.kurrent.dbclient.TransactionMaxSizeExceededException;
import io.kurrent.dbclient.WrongExpectedVersionException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Appends to several streams: all or none. */
class MultiStreamAppendTest extends Served {
    private static final int MIB = 1 << 20;

    private record Write(String stream, StreamState expected, EventData... events) {}

    private CompletableFuture<MultiStreamAppendResponse> append(Write... writes) {
        Stream<AppendStreamRequest> requests = Stream.of(writes).map(write ->
            new AppendStreamRequest(write.stream, Stream.of(write.events).iterator(), write.expected));
        return client.multiStreamAppend(requests.iterator());
    }

    private void assertNothingIn(String stream) {
        Given.refused(StreamNotFoundException.class, client.readStream(stream, ReadStreamOptions.get()));
    }

    @Test
    void theyAreMadeAtOnce() throws Exception {
        String one = Given.fresh("order"), other = Given.fresh("payment");
        EventData[] first = Given.events(1), second = Given.events(2);
        var response = Given.got(append(new Write(one, noStream(), first), new Write(other, any(), second)));

        List<List<Object>> results = response.getResults().stream()
            .map(result -> List.<Object>of(result.getStream(), result.getStreamRevision())).toList();
        assertEquals(List.of(List.of(one, 0L), List.of(other, 1L)), results);
        assertEquals(Given.ids(first), Given.ids(read(one)));
        assertEquals(Given.ids(second), Given.ids(read(other)));
        RecordedEvent last = read(other).get(1).getEvent();
        assertEquals(response.getPosition(), last.getPosition().getCommitUnsigned());
        assertEquals("{\"n\":1}", new String(last.getEventData()));
        assertEquals("{\"by\":\"java\"}", new String(last.getUserMetadata()));
        assertEquals(List.of("Tested", "application/json"), List.of(last.getEventType(), last.getContentType()));
    }

    static Stream<Arguments> whatDoesNotHold() {
        return Stream.of(
            Arguments.of(2, noStream(), streamRevision(1)),
            Arguments.of(2, streamRevision(0), streamRevision(1)),
            Arguments.of(0, streamExists(), noStream()),
            Arguments.of(0, streamRevision(3), noStream()));
    }

    @ParameterizedTest(name = "after {0} events, {1}")
    @MethodSource("whatDoesNotHold")
    void oneWrongExpectationRefusesAll(int already, StreamState expected, StreamState actual) throws Exception {
        String one = Given.fresh("order"), other = Given.fresh("payment");
        if (already > 0) append(other, Given.events(already));
        var wrong = Given.refused(WrongExpectedVersionException.class,
            append(new Write(one, noStream(), Given.events(1)), new Write(other, expected, Given.events(1))));
        assertEquals(other, wrong.getStreamName());
        assertEquals(List.of(expected, actual), List.of(wrong.getExpectedState(), wrong.getActualState()));
        assertNothingIn(one);
    }

    @Test
    void aRepeatedOneIsMadeOnce() throws Exception {
        String one = Given.fresh("order"), other = Given.fresh("payment");
        Write[] writes = {new Write(one, noStream(), Given.events(2)), new Write(other, noStream(), Given.events(1))};
        long position = Given.got(append(writes)).getPosition();
        assertEquals(position, Given.got(append(writes)).getPosition());
        assertEquals(List.of(2, 1), List.of(read(one).size(), read(other).size()));
    }

    @Test
    void aTombstoneRefusesAll() throws Exception {
        String one = Given.fresh("order"), ended = given(Given.events(1));
        Given.got(client.tombstoneStream(ended));
        var refusal = Given.refused(StreamTombstonedException.class,
            append(new Write(one, any(), Given.events(1)), new Write(ended, any(), Given.events(1))));
        assertEquals(ended, refusal.getStreamName());
        assertNothingIn(one);
    }

    @Test
    void aDeletedStreamBeginsAnew() throws Exception {
        String stream = given(Given.events(2));
        Given.got(client.deleteStream(stream));
        var response = Given.got(append(new Write(stream, noStream(), Given.events(1))));
        assertEquals(2, response.getResults().get(0).getStreamRevision());
    }

    @Test
    void aStreamComesOnce() {
        String stream = Given.fresh();
        Write write = new Write(stream, any(), Given.events(1));
        assertEquals(Code.ABORTED, Given.status(append(write, new Write(stream, any(), Given.events(1)))));
        assertNothingIn(stream);
    }

    @Test
    void sizesAreBounded() {
        String one = Given.fresh("order"), other = Given.fresh("payment");
        EventData large = EventData.builderAsBinary("Large", new byte[MIB]).build();
        var record = Given.refused(RecordSizeExceededException.class, append(new Write(one, any(), large)));
        assertEquals(List.of(one, large.getEventId().toString(), MIB),
            List.of(record.getStream(), record.getRecordId(), record.getMaxSize()));

        EventData half = EventData.builderAsBinary("Half", new byte[MIB / 2]).build();
        EventData rest = EventData.builderAsBinary("Half", new byte[MIB / 2]).build();
        var all = Given.refused(TransactionMaxSizeExceededException.class,
            append(new Write(one, any(), half), new Write(other, any(), rest)));
        assertEquals(MIB, all.getMaxSize());
        assertNothingIn(one);
    }
}
