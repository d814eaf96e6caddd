import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.StatusRuntimeException;
import io.kurrent.dbclient.CreatePersistentSubscriptionToAllOptions;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.NackAction;
import io.kurrent.dbclient.NamedConsumerStrategy;
import io.kurrent.dbclient.ReplayParkedMessagesOptions;
import io.kurrent.dbclient.ResolvedEvent;
import io.kurrent.dbclient.SubscribePersistentSubscriptionOptions;
import io.kurrent.dbclient.SubscriptionFilter;
import io.kurrent.dbclient.SubscriptionFilterBuilder;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Persistent subscriptions to streams and to all events. */
class GroupTest extends ServedGroups {
    @Test
    void whatIsThereAndWhatComesIsDelivered() throws Exception {
        EventData[] old = Given.events(3), come = Given.events(2);
        String stream = given(old);
        Consumer consumer = group(stream).create().consume();
        assertEquals(Given.ids(old), consumer.settle(3));
        append(stream, come);
        List<Consumer.Delivered> live = Given.take(2, consumer.delivered);
        assertEquals(Given.ids(come), live.stream().map(Consumer.Delivered::id).toList());
        assertEquals(List.of(0, 0), live.stream().map(Consumer.Delivered::retries).toList());
    }

    @Test
    void aGroupStartsWhereItIsTold() throws Exception {
        for (int skipped : List.of(0, 2, 3)) {
            EventData[] old = Given.events(3), come = Given.events(2);
            String stream = given(old);
            group(stream).create(switch (skipped) {
                case 0 -> Group.settings().fromStart();
                case 2 -> Group.settings().startFrom(2);
                default -> Group.settings().fromEnd();
            });
            append(stream, come);
            List<UUID> expected = Given.ids(Given.concat(old, come)).subList(skipped, 5);
            assertEquals(expected, group(stream).consume().settle(5 - skipped));
        }
    }

    @Test
    void whatWasAcknowledgedDoesNotComeAgain() throws Exception {
        EventData[] ten = Given.events(10);
        Group group = group(given(ten)).create(Group.settings().checkpointLowerBound(1).checkpointUpperBound(1));
        Consumer consumer = group.consume(SubscribePersistentSubscriptionOptions.get().bufferSize(4));
        assertEquals(Given.ids(ten).subList(0, 4), consumer.settle(4));
        Given.eventually(() -> group.info().getStats().getLastCheckpointedEventRevision().equals(Optional.of(3L)));
        consumer.subscription().stop();
        assertNull(Given.got(consumer.ended));
        Set<UUID> rest = new HashSet<>(group.consume().settle(6));
        assertEquals(Set.copyOf(Given.ids(ten).subList(4, 10)), rest);
    }

    @Test
    void whatWasNotAcknowledgedComesToTheNext() throws Exception {
        EventData[] three = Given.events(3);
        Group group = group(given(three)).create();
        Consumer first = group.consume();
        first.take(3);
        first.subscription().stop();
        assertEquals(Set.copyOf(Given.ids(three)), Set.copyOf(group.consume().settle(3)));
    }

    @Test
    void severalEventsAreAnsweredAtOnce() throws Exception {
        Group group = group(given(Given.events(4))).create();
        Consumer consumer = group.consume();
        List<ResolvedEvent> four = consumer.take(4);
        consumer.subscription().ack(four.subList(0, 2).iterator());
        consumer.subscription().nack(NackAction.Park, "later", four.subList(2, 4).iterator());
        Given.eventually(() -> group.parked() == 2 && group.info().getStats().getTotalInFlightMessages() == 0);
    }

    @Test
    void whatIsToBeRetriedComesAgainUntilItIsParked() throws Exception {
        EventData[] one = Given.events(1);
        Group group = group(given(one)).create(Group.settings().maxRetryCount(2));
        Consumer consumer = group.consume();
        for (int retries = 0; retries <= 2; retries++) {
            Consumer.Delivered delivered = Given.take(1, consumer.delivered).get(0);
            assertEquals(List.of(one[0].getEventId(), retries), List.of(delivered.id(), delivered.retries()));
            consumer.subscription().nack(NackAction.Retry, "again", delivered.event());
        }
        Given.eventually(() -> group.parked() == 1);
    }

    @Test
    void whatIsNotAnsweredInTimeComesAgain() throws Exception {
        EventData[] one = Given.events(1);
        Group group = group(given(one)).create(Group.settings().messageTimeoutInMs(200).maxRetryCount(100));
        Consumer consumer = group.consume();
        List<Consumer.Delivered> twice = Given.take(2, consumer.delivered);
        assertEquals(one[0].getEventId(), twice.get(1).id());
        assertTrue(twice.get(1).retries() >= 1);
        consumer.subscription().ack(twice.get(1).event());
    }

    @Test
    void whatIsParkedIsKeptUntilItIsReplayedAndWhatIsSkippedIsNot() throws Exception {
        EventData[] three = Given.events(3);
        String stream = given(three);
        Group group = group(stream).create();
        Consumer consumer = group.consume();
        List<ResolvedEvent> events = consumer.take(3);
        consumer.subscription().nack(NackAction.Park, "not now", events.get(0));
        consumer.subscription().nack(NackAction.Skip, "never", events.get(1));
        consumer.subscription().nack(NackAction.Park, "not now", events.get(2));
        Given.eventually(() -> group.parked() == 2);

        var firstOnly = ReplayParkedMessagesOptions.get().stopAt(1);
        Given.done(groups.replayParkedMessagesToStream(stream, Group.NAME, firstOnly));
        assertEquals(Given.ids(three[0]), consumer.settle(1));
        Given.eventually(() -> group.parked() == 1);
        group.replay();
        assertEquals(Given.ids(three[2]), consumer.settle(1));
        Given.eventually(() -> group.parked() == 0);
    }

    @Test
    void whoIsStoppedLeavesItsMessagesToOthers() throws Exception {
        EventData[] two = Given.events(2);
        Group group = group(given(two)).create();
        Consumer first = group.consume();
        first.subscription().nack(NackAction.Stop, "broken", first.take(2).get(0));
        assertTrue(Given.got(first.ended) instanceof StatusRuntimeException);
        assertEquals(Set.copyOf(Given.ids(two)), Set.copyOf(group.consume().settle(2)));
    }

    @Test
    void noMoreIsUnderWayThanTheConsumerHasRoomFor() throws Exception {
        EventData[] twenty = Given.events(20);
        Group group = group(given(twenty)).create();
        Consumer consumer = group.consume(SubscribePersistentSubscriptionOptions.get().bufferSize(5));
        List<ResolvedEvent> five = consumer.take(5);
        assertEquals(Given.ids(twenty).subList(0, 5), Given.ids(five));
        var connection = group.info().getConnections().get(0);
        assertEquals(List.of(5L, 0L), List.of(connection.getInFlightMessages(), connection.getAvailableSlots()));
        assertTrue(consumer.delivered.isEmpty());
        consumer.subscription().ack(five.iterator());
        assertEquals(Given.ids(twenty).subList(5, 20), consumer.settle(15));
    }

    @Test
    void asManyAreLetInAsTheyAreFor() throws Exception {
        String stream = given(Given.events(1));
        Group group = group(stream).create(Group.settings().maxSubscriberCount(1));
        Consumer consumer = group.consume();
        var second = groups.subscribeToStream(stream, Group.NAME, new Consumer());
        assertEquals("maximum-subscribers-reached", Given.exception(second));
        consumer.subscription().stop();
        Given.eventually(() -> group.info().getConnections().isEmpty());
        assertEquals(1, group.consume().settle(1).size());
    }

    static List<NamedConsumerStrategy> strategies() {
        return List.of(NamedConsumerStrategy.DISPATCH_TO_SINGLE, NamedConsumerStrategy.ROUND_ROBIN,
            NamedConsumerStrategy.PINNED);
    }

    @ParameterizedTest
    @MethodSource("strategies")
    void consumersShareTheEvents(NamedConsumerStrategy strategy) throws Exception {
        EventData[] forty = Given.events(40);
        Group group = group(given(forty)).create(Group.settings().namedConsumerStrategy(strategy));
        var options = SubscribePersistentSubscriptionOptions.get().bufferSize(20);
        List<Consumer> consumers = List.of(group.consume(options), group.consume(options));
        List<UUID> taken = new ArrayList<>();
        Given.eventually(() -> {
            for (Consumer consumer : consumers) {
                if (!consumer.delivered.isEmpty()) taken.addAll(consumer.settle(1));
            }
            return taken.size() >= 40;
        });
        assertEquals(40, taken.size());
        assertEquals(Set.copyOf(Given.ids(forty)), Set.copyOf(taken));
        assertEquals(strategy.toString(), group.info().getSettings().getNamedConsumerStrategy().toString());
    }

    @Test
    void linksOfACategoryAreResolvedAndAcknowledged() throws Exception {
        String category = Given.fresh().split("-")[0];
        EventData[] first = Given.events(2), second = Given.events(2);
        append(category + "-a", first);
        Group group = group("$ce-" + category).create(Group.settings().resolveLinkTos());
        append(category + "-b", second);
        Consumer consumer = group.consume();
        List<ResolvedEvent> four = consumer.take(4);
        assertEquals(Given.ids(Given.concat(first, second)), Given.ids(four));
        assertEquals(3, four.get(3).getLink().getRevision());
        consumer.subscription().ack(four.iterator());
        Given.eventually(() -> group.info().getStats().getTotalInFlightMessages() == 0);
    }

    @ParameterizedTest
    @ValueSource(strings = {"types by prefix", "types by expression", "streams by prefix", "streams by expression"})
    void allIsDeliveredThroughAFilter(String by) throws Exception {
        String name = Given.fresh("group"), stream = Given.fresh("wanted"), type = "Kind" + UUID.randomUUID();
        SubscriptionFilterBuilder filter = SubscriptionFilter.newBuilder();
        switch (by) {
            // The client sends a prefix as an expression, which holds wherever it is found in a name.
            case "types by prefix" -> filter.addEventTypePrefix("^" + type);
            case "types by expression" -> filter.withEventTypeRegularExpression("^(?!Un)" + type + "$");
            case "streams by prefix" -> filter.addStreamNamePrefix(stream);
            default -> filter.withStreamNameRegularExpression("^" + stream + "$");
        }
        EventData[] old = Given.events(2, type), come = Given.events(2, type);
        append(stream, old);
        var options = CreatePersistentSubscriptionToAllOptions.get().fromStart().filter(filter.build());
        Given.done(groups.createToAll(name, options));
        given(Given.events(2, "Un" + type));
        append(stream, come);
        Consumer consumer = new Consumer();
        Given.got(groups.subscribeToAll(name, consumer));
        assertEquals(Given.ids(Given.concat(old, come)), consumer.settle(4));
        Given.done(groups.deleteToAll(name));
    }
}
