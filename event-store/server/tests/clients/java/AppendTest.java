import static io.kurrent.dbclient.StreamState.any;
import static io.kurrent.dbclient.StreamState.noStream;
import static io.kurrent.dbclient.StreamState.streamExists;
import static io.kurrent.dbclient.StreamState.streamRevision;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status.Code;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.RecordedEvent;
import io.kurrent.dbclient.StreamDeletedException;
import io.kurrent.dbclient.StreamState;
import io.kurrent.dbclient.WriteResult;
import io.kurrent.dbclient.WrongExpectedVersionException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Appends to one stream. This client makes them by `Append` alone, never by `BatchAppend`. */
class AppendTest extends Served {
    private static final int MIB = 1 << 20;

    @Test
    void whatWasAppendedIsReadBack() throws Exception {
        String stream = Given.fresh("ünïcödé");
        EventData json = Given.event("Json", "{\"ünï\":[\"cödé\",1]}");
        EventData binary = EventData.builderAsBinary("Binary", new byte[] {0, -1}).build();
        WriteResult result = Given.got(append(stream, noStream(), json, binary));
        assertEquals(streamRevision(1), result.getNextExpectedRevision());

        List<RecordedEvent> read = read(stream).stream().map(event -> event.getEvent()).toList();
        assertEquals(Given.ids(json, binary), read.stream().map(RecordedEvent::getEventId).toList());
        RecordedEvent first = read.get(0), second = read.get(1);
        assertEquals(List.of("Json", "application/json"), List.of(first.getEventType(), first.getContentType()));
        assertEquals(List.of(stream, 0L), List.of(first.getStreamId(), first.getRevision()));
        assertArrayEquals(json.getEventData(), first.getEventData());
        assertArrayEquals(json.getUserMetadata(), first.getUserMetadata());
        assertEquals("application/octet-stream", second.getContentType());
        assertArrayEquals(binary.getEventData(), second.getEventData());
        assertArrayEquals(new byte[0], second.getUserMetadata());
        assertEquals(result.getLogPosition(), second.getPosition());
        assertTrue(Duration.between(second.getCreated(), Instant.now()).abs().toMinutes() < 5);
    }

    static Stream<Arguments> whatHolds() {
        return Stream.of(
            Arguments.of(0, noStream()),
            Arguments.of(0, any()),
            Arguments.of(1, any()),
            Arguments.of(1, streamExists()),
            Arguments.of(1, streamRevision(0)),
            Arguments.of(3, streamRevision(2)));
    }

    @ParameterizedTest(name = "after {0} events, {1}")
    @MethodSource("whatHolds")
    void anExpectationHolds(int already, StreamState expected) throws Exception {
        String stream = Given.fresh();
        if (already > 0) append(stream, Given.events(already));
        WriteResult result = Given.got(append(stream, expected, Given.events(2)));
        assertEquals(streamRevision(already + 1), result.getNextExpectedRevision());
    }

    static Stream<Arguments> whatDoesNotHold() {
        return Stream.of(
            // The client knows no answer that says that no stream was expected: it says revision 0.
            Arguments.of(1, noStream(), streamRevision(0), streamRevision(0)),
            Arguments.of(3, noStream(), streamRevision(0), streamRevision(2)),
            Arguments.of(0, streamExists(), streamExists(), noStream()),
            Arguments.of(0, streamRevision(0), streamRevision(0), noStream()),
            Arguments.of(3, streamRevision(1), streamRevision(1), streamRevision(2)),
            Arguments.of(3, streamRevision(3), streamRevision(3), streamRevision(2)));
    }

    @ParameterizedTest(name = "after {0} events, {1}")
    @MethodSource("whatDoesNotHold")
    void anExpectationDoesNotHold(int already, StreamState expected, StreamState told, StreamState actual)
            throws Exception {
        String stream = Given.fresh();
        if (already > 0) append(stream, Given.events(already));
        var wrong = Given.refused(WrongExpectedVersionException.class, append(stream, expected, Given.events(1)));
        assertEquals(stream, wrong.getStreamName());
        assertEquals(List.of(told, actual), List.of(wrong.getExpectedState(), wrong.getActualState()));
    }

    @Test
    void aRepeatedAppendIsAppendedOnce() throws Exception {
        String stream = Given.fresh();
        EventData[] appended = Given.events(3);
        WriteResult once = Given.got(append(stream, noStream(), appended));
        append(stream, Given.events(1));
        for (StreamState again : List.of(noStream(), any(), streamExists(), streamRevision(0))) {
            WriteResult repeated = Given.got(append(stream, again, appended));
            assertEquals(once.getNextExpectedRevision(), repeated.getNextExpectedRevision());
            assertEquals(once.getLogPosition(), repeated.getLogPosition());
        }
        assertEquals(4, read(stream).size());
    }

    @Test
    void anAppendThatIsPartlyKnownIsRefused() throws Exception {
        EventData[] events = Given.events(2);
        String stream = given(events[0]);
        Given.refused(WrongExpectedVersionException.class, append(stream, any(), events));
        assertEquals(1, read(stream).size());
    }

    @Test
    void anAppendOfNothingTellsTheRevision() throws Exception {
        WriteResult none = Given.got(append(Given.fresh(), noStream()));
        assertEquals(noStream(), none.getNextExpectedRevision());
        assertNull(none.getLogPosition());
        assertEquals(streamRevision(2), append(given(Given.events(3))).getNextExpectedRevision());
    }

    @ParameterizedTest(name = "{0} MiB")
    @ValueSource(ints = {1, 2, 5, 16})
    void anAppendThatIsTooLargeIsRefused(int mebibytes) throws Exception {
        String stream = Given.fresh();
        EventData large = EventData.builderAsBinary("Large", new byte[mebibytes * MIB]).build();
        assertEquals("maximum-append-size-exceeded", Given.exception(append(stream, any(), large)));
        Given.got(append(stream, noStream(), Given.events(1)));
    }

    @Test
    void aMessageThatIsTooLongIsRefusedAndTheConnectionGoesOn() throws Exception {
        EventData huge = EventData.builderAsBinary("Large", new byte[20 * MIB]).build();
        assertEquals(Code.OUT_OF_RANGE, Given.status(append(Given.fresh(), any(), huge)));
        append(Given.fresh(), Given.events(1));
    }

    @Test
    void anAppendOfTooManyEventsIsRefused() throws Exception {
        String stream = Given.fresh();
        assertEquals(Code.INVALID_ARGUMENT, Given.status(append(stream, any(), Given.events(10_001))));
        Given.got(append(stream, noStream(), Given.events(10_000)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a\u0000b", "$ce-order"})
    void aNameThatNoStreamHasIsRefused(String stream) {
        Code code = Given.status(append(stream, any(), Given.events(1)));
        assertTrue(Set.of(Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED).contains(code), code::toString);
    }

    @Test
    void manyAppendsAtOnceAreEachAnswered() throws Exception {
        List<CompletableFuture<WriteResult>> appends = new ArrayList<>();
        for (int n = 0; n < 200; n++) appends.add(append(Given.fresh(), noStream(), Given.events(2)));
        Set<Object> positions = new HashSet<>();
        for (var append : appends) positions.add(Given.got(append).getLogPosition());
        assertEquals(200, positions.size());
    }

    @Test
    void ofManyThatExpectTheSameRevisionOneIsAppended() throws Exception {
        String stream = given(Given.events(1));
        List<CompletableFuture<WriteResult>> appends = new ArrayList<>();
        for (int n = 0; n < 20; n++) appends.add(append(stream, streamRevision(0), Given.events(1)));
        int appended = 0;
        for (var append : appends) {
            try {
                Given.got(append);
                appended++;
            } catch (WrongExpectedVersionException wrong) {
                assertEquals(streamRevision(1), wrong.getActualState());
            }
        }
        assertEquals(1, appended);
    }

    @Test
    void aTombstonedStreamTakesNoMore() throws Exception {
        String stream = given(Given.events(1));
        Given.got(client.tombstoneStream(stream));
        var deleted = Given.refused(StreamDeletedException.class, append(stream, any(), Given.events(1)));
        assertEquals(stream, deleted.getStreamName());
    }
}
