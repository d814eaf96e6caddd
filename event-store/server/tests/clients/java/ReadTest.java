import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.Position;
import io.kurrent.dbclient.ReadAllOptions;
import io.kurrent.dbclient.ReadMessage;
import io.kurrent.dbclient.ReadResult;
import io.kurrent.dbclient.ReadStreamOptions;
import io.kurrent.dbclient.RecordedEvent;
import io.kurrent.dbclient.ResolvedEvent;
import io.kurrent.dbclient.StreamMetadata;
import io.kurrent.dbclient.StreamNotFoundException;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.reactivestreams.Subscriber;
import org.reactivestreams.Subscription;

class ReadTest extends Served {
    private final EventData[] ten = Given.events(10);
    private final List<UUID> ids = Given.ids(ten);

    static Stream<Arguments> reads() {
        return Stream.of(
            Arguments.of("everything", ReadStreamOptions.get(), List.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
            Arguments.of("first three", ReadStreamOptions.get().fromStart().maxCount(3), List.of(0, 1, 2)),
            Arguments.of("from a revision", ReadStreamOptions.get().fromRevision(7), List.of(7, 8, 9)),
            Arguments.of("from after the last", ReadStreamOptions.get().fromRevision(10), List.of()),
            Arguments.of("last three", ReadStreamOptions.get().backwards().fromEnd().maxCount(3), List.of(9, 8, 7)),
            Arguments.of("back", ReadStreamOptions.get().backwards().fromRevision(4).maxCount(2), List.of(4, 3)),
            Arguments.of("back from start", ReadStreamOptions.get().backwards().fromStart(), List.of(0)));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("reads")
    void aStreamIsRead(String what, ReadStreamOptions options, List<Integer> expected) throws Exception {
        String stream = given(ten);
        ReadResult result = Given.got(client.readStream(stream, options));
        assertEquals(expected.stream().map(ids::get).toList(), Given.ids(result.getEvents()));
        assertEquals(List.of(0L, 9L), List.of(result.getFirstStreamPosition(), result.getLastStreamPosition()));
    }

    @Test
    void theFirstPositionIsThatOfWhatIsLeft() throws Exception {
        String stream = given(ten);
        StreamMetadata metadata = new StreamMetadata();
        metadata.setTruncateBefore(4L);
        Given.got(client.setStreamMetadata(stream, metadata));
        ReadResult result = Given.got(client.readStream(stream, ReadStreamOptions.get()));
        assertEquals(ids.subList(4, 10), Given.ids(result.getEvents()));
        assertEquals(List.of(4L, 9L), List.of(result.getFirstStreamPosition(), result.getLastStreamPosition()));
    }

    @Test
    void aStreamThatNeverWasIsNotFound() {
        String stream = Given.fresh();
        var read = client.readStream(stream, ReadStreamOptions.get());
        assertEquals(stream, Given.refused(StreamNotFoundException.class, read).getStreamName());
    }

    @Test
    void allIsReadFromAPositionForwardWithItAndBackwardWithoutIt() throws Exception {
        String stream = given(ten);
        Position at = read(stream).get(4).getEvent().getPosition();
        ReadAllOptions forward = ReadAllOptions.get().fromPosition(at).maxCount(3);
        assertEquals(ids.subList(4, 7), Given.ids(Given.got(client.readAll(forward)).getEvents()));
        ReadAllOptions backward = ReadAllOptions.get().backwards().fromPosition(at).maxCount(3);
        List<UUID> before = Given.backwards(ids.subList(1, 4));
        assertEquals(before, Given.ids(Given.got(client.readAll(backward)).getEvents()));
    }

    @Test
    void allIsReadInOneOrderBothWays() throws Exception {
        given(ten);
        List<ResolvedEvent> forward = Given.got(client.readAll()).getEvents();
        List<Position> positions = forward.stream().map(event -> event.getEvent().getPosition()).toList();
        assertEquals(positions.stream().sorted().distinct().toList(), positions);
        assertTrue(forward.stream().allMatch(event -> event.getPosition().isPresent()));
        ReadAllOptions fromEnd = ReadAllOptions.get().backwards().fromEnd();
        List<ResolvedEvent> backward = Given.got(client.readAll(fromEnd)).getEvents();
        assertEquals(Given.backwards(Given.ids(forward)), Given.ids(backward));
    }

    @Test
    void aCategoryAndATypeHaveTheirEvents() throws Exception {
        String category = Given.fresh().split("-")[0], type = "Kind" + category;
        EventData[] first = Given.events(2, type), second = Given.events(2, type);
        append(category + "-a", first);
        append(category + "-b", second);
        List<UUID> both = Given.ids(Given.concat(first, second));
        for (String index : List.of("$ce-" + category, "$et-" + type)) {
            List<ResolvedEvent> resolved = read(index, ReadStreamOptions.get().resolveLinkTos());
            assertEquals(both, Given.ids(resolved));
            RecordedEvent link = resolved.get(3).getLink(), event = resolved.get(3).getEvent();
            assertEquals(List.of(index, 3L), List.of(link.getStreamId(), link.getRevision()));
            assertEquals("$>", link.getEventType());
            assertEquals(List.of(category + "-b", 1L), List.of(event.getStreamId(), event.getRevision()));
            assertEquals(link, resolved.get(3).getOriginalEvent());

            ResolvedEvent plain = read(index, ReadStreamOptions.get().notResolveLinkTos()).get(3);
            assertNull(plain.getLink());
            assertEquals("1@" + category + "-b", new String(plain.getEvent().getEventData()));
            ReadStreamOptions last = ReadStreamOptions.get().resolveLinkTos().backwards().fromEnd().maxCount(2);
            assertEquals(Given.backwards(Given.ids(second)), Given.ids(read(index, last)));
        }
    }

    @Test
    void aLinkOfOnesOwnIsResolvedWhileThereIsSomething() throws Exception {
        String stream = given(ten);
        String links = given(EventData.builderAsBinary("$>", ("3@" + stream).getBytes()).build());
        ReadStreamOptions resolving = ReadStreamOptions.get().resolveLinkTos();
        assertEquals(ids.subList(3, 4), Given.ids(read(links, resolving)));

        Given.got(client.tombstoneStream(stream));
        ResolvedEvent left = read(links, resolving).get(0);
        assertNull(left.getEvent());
        assertEquals(links, left.getLink().getStreamId());
    }

    @Test
    void moreEventsAreReadThanAWindowHolds() throws Exception {
        String stream = Given.fresh();
        for (int n = 0; n < 5; n++) append(stream, Given.events(1_000));
        for (int batch : List.of(7, 512)) {
            List<ResolvedEvent> read = read(stream, ReadStreamOptions.get().batchSize(batch));
            List<Long> revisions = read.stream().map(event -> event.getEvent().getRevision()).toList();
            assertEquals(LongStream.range(0, 5_000).boxed().toList(), revisions);
        }
    }

    /** Takes messages until it has so many. */
    private static final class Reader implements Subscriber<ReadMessage> {
        final List<ReadMessage> messages = new ArrayList<>();
        final CompletableFuture<List<ReadMessage>> ended = new CompletableFuture<>();
        private final int wanted;
        private Subscription subscription;

        Reader(int wanted) {
            this.wanted = wanted;
        }

        @Override
        public void onSubscribe(Subscription subscription) {
            this.subscription = subscription;
            subscription.request(wanted);
        }

        @Override
        public void onNext(ReadMessage message) {
            messages.add(message);
            if (messages.size() < wanted) return;
            subscription.cancel();
            onComplete();
        }

        @Override
        public void onError(Throwable error) {
            ended.completeExceptionally(error);
        }

        @Override
        public void onComplete() {
            ended.complete(messages);
        }
    }

    @Test
    void aReactiveReadTellsTheBoundsThenTheEvents() throws Exception {
        Reader reader = new Reader(Integer.MAX_VALUE);
        client.readStreamReactive(given(ten)).subscribe(reader);
        List<ReadMessage> messages = Given.got(reader.ended);
        assertEquals(List.of(0L, 9L),
            List.of(messages.get(0).getFirstStreamPosition(), messages.get(1).getLastStreamPosition()));
        List<ResolvedEvent> events = messages.stream().skip(2).map(ReadMessage::getEvent).toList();
        assertEquals(ids, Given.ids(events));
    }

    @Test
    void aReactiveReadOfAllCanBeLeft() throws Exception {
        try (Server server = Server.start()) {
            var client = server.client();
            for (int n = 0; n < 10; n++) Given.got(client.appendToStream(Given.fresh(), Given.events(1_000)));
            Reader reader = new Reader(3);
            client.readAllReactive(ReadAllOptions.get().batchSize(8)).subscribe(reader);
            assertEquals(3, Given.got(reader.ended).size());
            Given.eventually(() -> server.calls() == 0);
            Given.got(client.shutdown());
        }
    }

    @Test
    void aReactiveReadOfAStreamThatNeverWasFails() {
        Reader reader = new Reader(1);
        client.readStreamReactive(Given.fresh()).subscribe(reader);
        Given.refused(StreamNotFoundException.class, reader.ended);
    }
}
