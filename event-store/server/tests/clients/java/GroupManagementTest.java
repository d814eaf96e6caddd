import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.kurrent.dbclient.CreatePersistentSubscriptionToAllOptions;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.KurrentDBPersistentSubscriptionsClient;
import io.kurrent.dbclient.NackAction;
import io.kurrent.dbclient.NamedConsumerStrategy;
import io.kurrent.dbclient.PersistentSubscriptionToAllInfo;
import io.kurrent.dbclient.PersistentSubscriptionToStreamInfo;
import io.kurrent.dbclient.PersistentSubscriptionToStreamSettings;
import io.kurrent.dbclient.Position;
import io.kurrent.dbclient.ResolvedEvent;
import io.kurrent.dbclient.UpdatePersistentSubscriptionToAllOptions;
import io.kurrent.dbclient.UpdatePersistentSubscriptionToStreamOptions;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** How groups of persistent subscriptions are made, told of, changed and ended. */
class GroupManagementTest extends ServedGroups {
    private static List<Object> told(PersistentSubscriptionToStreamSettings of) {
        return List.of(of.getStartFrom().getPositionOrThrow(), of.shouldResolveLinkTos(), of.isExtraStatistics(),
            of.getMessageTimeoutMs(), of.getMaxRetryCount(), of.getCheckpointAfterInMs(), of.getCheckpointLowerBound(),
            of.getCheckpointUpperBound(), of.getMaxSubscriberCount(), of.getLiveBufferSize(), of.getReadBatchSize(),
            of.getHistoryBufferSize(), of.getNamedConsumerStrategy().isRoundRobin());
    }

    @Test
    void groupsAreToldOfListedChangedAndDeleted() throws Exception {
        String stream = Given.fresh();
        Group group = group(stream);
        group.create(Group.settings().startFrom(4).resolveLinkTos().enableExtraStatistics().messageTimeoutInMs(7_000)
            .maxRetryCount(3).checkpointAfterInMs(1_500).checkpointLowerBound(2).checkpointUpperBound(20)
            .maxSubscriberCount(8).liveBufferSize(50).readBatchSize(5).historyBufferSize(60)
            .namedConsumerStrategy(NamedConsumerStrategy.ROUND_ROBIN));
        PersistentSubscriptionToStreamInfo info = group.info();
        assertEquals(List.of(stream, Group.NAME), List.of(info.getEventSource(), info.getGroupName()));
        assertEquals(List.of(4L, true, true, 7_000, 3, 1_500, 2, 20, 8, 50, 5, 60, true), told(info.getSettings()));

        Consumer consumer = group.consume();
        var update = UpdatePersistentSubscriptionToStreamOptions.from(info.getSettings()).messageTimeoutInMs(9_000);
        Given.done(groups.updateToStream(stream, Group.NAME, update));
        assertEquals("persistent-subscription-dropped", Given.exception(Given.got(consumer.ended)));
        assertEquals(List.of(4L, true, true, 9_000, 3, 1_500, 2, 20, 8, 50, 5, 60, true),
            told(group.info().getSettings()));

        Given.done(groups.createToStream(stream, "other"));
        var listed = Given.got(groups.listToStream(stream));
        assertEquals(Set.of(Group.NAME, "other"), Set.copyOf(listed.stream().map(of -> of.getGroupName()).toList()));
        var everywhere = Given.got(groups.listAll());
        assertEquals(2, everywhere.stream().filter(of -> of.getEventSource().equals(stream)).count());

        Given.done(groups.deleteToStream(stream, Group.NAME));
        assertEquals(Optional.empty(), Given.got(groups.getInfoToStream(stream, Group.NAME)));
        assertEquals(1, Given.got(groups.listToStream(stream)).size());
    }

    @Test
    void whoConsumesADeletedGroupIsTold() throws Exception {
        String stream = Given.fresh();
        Consumer consumer = group(stream).create().consume();
        Given.done(groups.deleteToStream(stream, Group.NAME));
        assertEquals("persistent-subscription-dropped", Given.exception(Given.got(consumer.ended)));
    }

    @Test
    void aGroupIsMadeOnceAndMissedWhereItIsNot() throws Exception {
        String stream = Given.fresh();
        group(stream).create();
        assertEquals(Code.ALREADY_EXISTS, Given.status(groups.createToStream(stream, Group.NAME)));
        String none = Given.fresh();
        for (var missed : List.<CompletableFuture<?>>of(
                groups.deleteToStream(none, Group.NAME), groups.updateToStream(none, Group.NAME),
                groups.subscribeToStream(none, Group.NAME, new Consumer()),
                groups.replayParkedMessagesToStream(none, Group.NAME), groups.listToStream(none),
                groups.deleteToAll(none), groups.updateToAll(none), groups.replayParkedMessagesToAll(none))) {
            assertEquals(Code.NOT_FOUND, Given.status(missed));
        }
        assertEquals(Optional.empty(), Given.got(groups.getInfoToStream(none, Group.NAME)));
        assertEquals(Optional.empty(), Given.got(groups.getInfoToAll(none)));
    }

    @Test
    void settingsThatMakeNoSenseAreRefused() {
        var senseless = groups.createToStream(Given.fresh(), Group.NAME, Group.settings().readBatchSize(501));
        assertEquals("persistent-subscription-failed", Given.exception(senseless));
    }

    private PersistentSubscriptionToAllInfo infoOfAll(String name) throws Exception {
        return Given.got(groups.getInfoToAll(name)).orElseThrow();
    }

    @Test
    void aGroupOnAllIsToldOfListedChangedReplayedAndDeleted() throws Exception {
        String name = Given.fresh("group");
        EventData[] two = Given.events(2);
        Position first = read(given(two)).get(0).getEvent().getPosition();
        Given.done(groups.createToAll(name, CreatePersistentSubscriptionToAllOptions.get().startFrom(first)));
        PersistentSubscriptionToAllInfo info = infoOfAll(name);
        assertEquals(List.of("$all", name), List.of(info.getEventSource(), info.getGroupName()));
        assertEquals(first, info.getSettings().getStartFrom().getPositionOrThrow());
        assertTrue(Given.got(groups.listToAll()).stream().anyMatch(of -> of.getGroupName().equals(name)));

        var update = UpdatePersistentSubscriptionToAllOptions.from(info.getSettings()).maxRetryCount(7)
            .checkpointLowerBound(1).checkpointUpperBound(1);
        Given.done(groups.updateToAll(name, update));
        assertEquals(7, infoOfAll(name).getSettings().getMaxRetryCount());

        Consumer consumer = new Consumer();
        Given.got(groups.subscribeToAll(name, consumer));
        ResolvedEvent event = consumer.take(1).get(0);
        assertEquals(two[0].getEventId(), event.getEvent().getEventId());
        consumer.subscription().nack(NackAction.Park, "later", event);
        Given.eventually(() -> {
            var stats = infoOfAll(name).getStats();
            boolean isPast = stats.getLastCheckpointedEventPosition().equals(Optional.of(first));
            return isPast && stats.getParkedMessageCount() == 1;
        });
        Given.done(groups.replayParkedMessagesToAll(name));
        Given.eventually(() -> consumer.delivered.stream().anyMatch(of -> of.id().equals(two[0].getEventId())));
        Given.done(groups.deleteToAll(name));
        assertFalse(Given.got(groups.getInfoToAll(name)).isPresent());
    }

    @Test
    void startAndEndOfAllAreToldAsSuch() throws Exception {
        String start = Given.fresh("group"), end = Given.fresh("group");
        Given.done(groups.createToAll(start, CreatePersistentSubscriptionToAllOptions.get().fromStart()));
        Given.done(groups.createToAll(end, CreatePersistentSubscriptionToAllOptions.get().fromEnd()));
        assertTrue(infoOfAll(start).getSettings().getStartFrom().isStart());
        assertTrue(infoOfAll(end).getSettings().getStartFrom().isEnd());
        Given.done(groups.deleteToAll(start));
        Given.done(groups.deleteToAll(end));
    }

    @Test
    void theSubsystemIsRestartedAndAServerThatStopsSaysSo() throws Exception {
        Server server = Server.start();
        var client = server.client();
        String stream = Given.fresh();
        Group group = new Group(client, stream).create();
        Consumer first = group.consume();
        Given.done(KurrentDBPersistentSubscriptionsClient.from(client).restartSubsystem());
        assertEquals("persistent-subscription-dropped", Given.exception(Given.got(first.ended)));

        Consumer second = group.consume();
        EventData[] come = Given.events(1);
        Given.got(client.appendToStream(stream, come));
        assertEquals(Given.ids(come), second.settle(1));
        assertEquals(0, server.stop());
        StatusRuntimeException why = (StatusRuntimeException) Given.got(second.ended);
        assertEquals(Code.UNAVAILABLE, why.getStatus().getCode());
    }
}
