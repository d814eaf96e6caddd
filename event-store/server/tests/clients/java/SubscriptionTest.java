import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.kurrent.dbclient.Checkpointer;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.Position;
import io.kurrent.dbclient.RecordedEvent;
import io.kurrent.dbclient.ResolvedEvent;
import io.kurrent.dbclient.SubscribeToAllOptions;
import io.kurrent.dbclient.SubscribeToStreamOptions;
import io.kurrent.dbclient.Subscription;
import io.kurrent.dbclient.SubscriptionFilter;
import io.kurrent.dbclient.SubscriptionFilterBuilder;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Catch-up subscriptions to streams and to all events. */
class SubscriptionTest extends Served {
    private Followed follow(String stream, SubscribeToStreamOptions options) throws Exception {
        Followed followed = new Followed();
        Subscription subscription = Given.got(client.subscribeToStream(stream, followed, options));
        assertEquals(subscription, Given.got(followed.confirmed));
        assertFalse(subscription.getSubscriptionId().isEmpty());
        return followed;
    }

    private Followed followAll(SubscribeToAllOptions options) throws Exception {
        Followed followed = new Followed();
        Given.got(client.subscribeToAll(followed, options));
        return followed;
    }

    private Followed followAll(SubscriptionFilterBuilder filter) throws Exception {
        return followAll(SubscribeToAllOptions.get().fromStart().filter(filter.build()));
    }

    @Test
    void aStreamIsFollowedWhatIsThereThenThatItIsThenWhatComes() throws Exception {
        EventData[] old = Given.events(3), come = Given.events(2);
        String stream = given(old);
        Followed followed = follow(stream, SubscribeToStreamOptions.get().fromStart());
        Followed.CaughtUp caughtUp = Given.got(followed.caughtUp);
        assertEquals(2L, caughtUp.revision());
        assertTrue(Duration.between(caughtUp.at(), Instant.now()).abs().toMinutes() < 5);
        append(stream, come);
        assertEquals(Given.ids(Given.concat(old, come)), followed.take(5));
    }

    static Stream<Arguments> starts() {
        return Stream.of(
            Arguments.of(Named.of("start", SubscribeToStreamOptions.get().fromStart()), 0),
            Arguments.of(Named.of("0", SubscribeToStreamOptions.get().fromRevision(0)), 1),
            Arguments.of(Named.of("6", SubscribeToStreamOptions.get().fromRevision(6)), 7),
            Arguments.of(Named.of("end", SubscribeToStreamOptions.get().fromEnd()), 10));
    }

    @ParameterizedTest(name = "from {0}")
    @MethodSource("starts")
    void aStreamIsFollowedFromAfterARevision(SubscribeToStreamOptions options, int skipped) throws Exception {
        EventData[] ten = Given.events(10), come = Given.events(2);
        String stream = given(ten);
        Followed followed = follow(stream, options);
        append(stream, come);
        List<UUID> expected = Given.ids(Given.concat(ten, come));
        assertEquals(expected.subList(skipped, 12), followed.take(12 - skipped));
    }

    @Test
    void aStreamIsFollowedBeforeItIs() throws Exception {
        String stream = Given.fresh();
        Followed followed = follow(stream, SubscribeToStreamOptions.get().fromStart());
        EventData[] come = Given.events(2);
        append(stream, come);
        assertEquals(Given.ids(come), followed.take(2));
    }

    @Test
    void aCategoryAndATypeAreFollowedWithTheirLinks() throws Exception {
        String category = Given.fresh().split("-")[0], type = "Kind" + category;
        EventData[] first = Given.events(2, type), second = Given.events(2, type);
        append(category + "-a", first);
        for (String index : List.of("$ce-" + category, "$et-" + type)) {
            Followed resolved = follow(index, SubscribeToStreamOptions.get().fromStart().resolveLinkTos());
            Followed plain = follow(index, SubscribeToStreamOptions.get().fromStart());
            append(category + "-b", second);
            List<ResolvedEvent> events = Given.take(4, resolved.events);
            assertEquals(Given.ids(Given.concat(first, second)), Given.ids(events));
            RecordedEvent link = events.get(3).getLink();
            assertEquals(List.of(index, 3L), List.of(link.getStreamId(), link.getRevision()));
            RecordedEvent last = Given.take(4, plain.events).get(3).getEvent();
            assertEquals("1@" + category + "-b", new String(last.getEventData()));
        }
    }

    @Test
    void whoFollowsAStreamIsToldOfItsEnd() throws Exception {
        String stream = given(Given.events(1));
        Followed followed = follow(stream, SubscribeToStreamOptions.get().fromEnd());
        Given.got(client.tombstoneStream(stream));
        assertEquals("stream-deleted", Given.exception(Given.got(followed.ended)));
    }

    @Test
    void allIsFollowedFromItsEnd() throws Exception {
        given(Given.events(3));
        Followed followed = followAll(SubscribeToAllOptions.get().fromEnd());
        Position position = Given.got(followed.caughtUp).position();
        EventData[] come = Given.events(2);
        Position appended = append(Given.fresh(), come).getLogPosition();
        assertEquals(Given.ids(come), followed.take(2));
        assertTrue(position.compareTo(appended) < 0);
    }

    @Test
    void allIsFollowedFromAfterAPosition() throws Exception {
        EventData[] ten = Given.events(10);
        String stream = given(ten);
        Position at = read(stream).get(4).getEvent().getPosition();
        Followed followed = followAll(SubscribeToAllOptions.get().fromPosition(at));
        assertEquals(Given.ids(ten).subList(5, 10), followed.take(5));
    }

    private static SubscriptionFilterBuilder filter() {
        return SubscriptionFilter.newBuilder();
    }

    // The client sends a prefix as an expression, which holds wherever it is found in a name.
    static Stream<Arguments> filters() {
        BiFunction<String, String, SubscriptionFilterBuilder>
            types = (type, stream) -> filter().addEventTypePrefix("^" + type),
            typesMatching = (type, stream) -> filter().withEventTypeRegularExpression("^(?!Un)" + type + "$"),
            streams = (type, stream) -> filter().addStreamNamePrefix(stream),
            streamsMatching = (type, stream) -> filter().withStreamNameRegularExpression("^" + stream + "$");
        return Stream.of(
            Arguments.of(Named.of("types by prefix", types)),
            Arguments.of(Named.of("types by expression", typesMatching)),
            Arguments.of(Named.of("streams by prefix", streams)),
            Arguments.of(Named.of("streams by expression", streamsMatching)));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("filters")
    void allIsFiltered(BiFunction<String, String, SubscriptionFilterBuilder> filter) throws Exception {
        String type = "Wanted" + UUID.randomUUID(), stream = Given.fresh("wanted");
        EventData[] wanted = Given.events(2, type), come = Given.events(1, type);
        given(Given.events(2, "Unwanted"));
        append(stream, wanted);
        Followed followed = followAll(filter.apply(type, stream));
        given(Given.events(1, "Un" + type));
        append(stream, come);
        assertEquals(Given.ids(Given.concat(wanted, come)), followed.take(3));
    }

    @Test
    void aSubscriptionResumesAtACheckpoint() throws Exception {
        String type = "Wanted" + UUID.randomUUID();
        given(Given.events(100, "Unwanted"));
        BlockingQueue<Position> checkpoints = new LinkedBlockingQueue<>();
        Checkpointer checkpointer = (subscription, position) -> {
            checkpoints.add(position);
            return CompletableFuture.completedFuture(null);
        };
        var filter = filter().addEventTypePrefix(type).withMaxWindow(10).withCheckpointer(checkpointer, 2);
        Followed followed = followAll(filter);
        List<Position> reached = Given.take(5, checkpoints);
        Given.got(followed.caughtUp);
        checkpoints.drainTo(reached);
        assertEquals(reached.stream().sorted().distinct().toList(), reached);

        EventData[] wanted = Given.events(1, type);
        given(wanted);
        assertEquals(Given.ids(wanted), followed.take(1));
        Position last = reached.get(reached.size() - 1);
        var options = SubscribeToAllOptions.get().fromPosition(last).filter(filter.build());
        assertEquals(Given.ids(wanted), followAll(options).take(1));
    }

    @Test
    void anExpressionThatIsNoneToTheServerIsRefused() {
        var ofJavaAlone = filter().withEventTypeRegularExpression("\\p{javaLowerCase}").build();
        var options = SubscribeToAllOptions.get().filter(ofJavaAlone);
        assertEquals(Code.INVALID_ARGUMENT, Given.status(client.subscribeToAll(new Followed(), options)));
    }

    @Test
    void aSubscriptionThatIsStoppedEndsItsCall() throws Exception {
        try (Server server = Server.start()) {
            var client = server.client();
            Followed followed = new Followed();
            Subscription subscription = Given.got(client.subscribeToAll(followed));
            Given.got(followed.caughtUp);
            assertEquals(1, server.calls());
            subscription.stop();
            Given.eventually(() -> server.calls() == 0);
            Given.got(client.appendToStream(Given.fresh(), Given.events(1)));
            Given.got(client.shutdown());
            assertTrue(followed.events.isEmpty());
        }
    }

    @Test
    void aSubscriptionEndsWithAnErrorWhenTheServerStops() throws Exception {
        Server server = Server.start();
        Followed followed = new Followed();
        Given.got(server.client().subscribeToAll(followed));
        Given.got(followed.caughtUp);
        assertEquals(0, server.stop());
        StatusRuntimeException why = (StatusRuntimeException) Given.got(followed.ended);
        assertEquals(Code.UNAVAILABLE, why.getStatus().getCode());
    }

    @Test
    void manySubscribersEachGetEverything() throws Exception {
        String stream = Given.fresh();
        List<Followed> subscribers = new ArrayList<>();
        var options = SubscribeToStreamOptions.get().fromStart().batchSize(16);
        for (int n = 0; n < 20; n++) subscribers.add(follow(stream, options));
        List<UUID> appended = new ArrayList<>();
        for (int n = 0; n < 50; n++) {
            EventData[] events = Given.events(20);
            append(stream, events);
            appended.addAll(Given.ids(events));
        }
        for (Followed subscriber : subscribers) assertEquals(appended, subscriber.take(1_000));
    }
}
