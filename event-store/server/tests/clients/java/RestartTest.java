import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.StatusRuntimeException;
import io.kurrent.dbclient.ConnectionShutdownException;
import io.kurrent.dbclient.CreatePersistentSubscriptionToStreamOptions;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.KurrentDBClient;
import io.kurrent.dbclient.NackAction;
import io.kurrent.dbclient.Position;
import io.kurrent.dbclient.ReadStreamOptions;
import io.kurrent.dbclient.ResolvedEvent;
import io.kurrent.dbclient.SubscribePersistentSubscriptionOptions;
import io.kurrent.dbclient.SubscribeToAllOptions;
import io.kurrent.dbclient.SubscriptionFilter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Servers that are killed under load. */
class RestartTest {
    /** Appends to its own stream, one batch after another, until the server is gone. */
    private static final class Writer {
        final String stream = Given.fresh();
        final List<UUID> acknowledged = new ArrayList<>();
        List<UUID> unknown = List.of();

        CompletableFuture<Void> write(KurrentDBClient client) {
            return CompletableFuture.runAsync(() -> {
                try {
                    while (true) {
                        EventData[] events = Given.events(1 + acknowledged.size() % 3);
                        unknown = Given.ids(events);
                        Given.got(client.appendToStream(stream, events));
                        acknowledged.addAll(unknown);
                    }
                } catch (StatusRuntimeException | ConnectionShutdownException gone) {
                    return;
                } catch (Exception other) {
                    throw new AssertionError(other);
                }
            }, task -> new Thread(task).start());
        }

        /** The last append may have been made without its answer; never a part of it. */
        void assertKeptBy(KurrentDBClient client) throws Exception {
            List<UUID> read = Given.ids(Given.got(client.readStream(stream, ReadStreamOptions.get())).getEvents());
            boolean isOneMore = read.size() > acknowledged.size();
            List<UUID> last = isOneMore ? unknown : List.of();
            assertEquals(Stream.concat(acknowledged.stream(), last.stream()).toList(), read);
        }
    }

    /** Follows all events of users from after the last that was seen. */
    private static Followed follow(KurrentDBClient client, List<ResolvedEvent> seen) throws Exception {
        Followed followed = new Followed();
        var filter = SubscriptionFilter.newBuilder().withEventTypeRegularExpression("^[^\\$].*").build();
        var options = SubscribeToAllOptions.get().fromStart().filter(filter);
        if (!seen.isEmpty()) {
            Position last = seen.get(seen.size() - 1).getEvent().getPosition();
            options.fromPosition(last);
        }
        Given.got(client.subscribeToAll(followed, options));
        return followed;
    }

    @Test
    void whatWasAcknowledgedIsThereAfterAKillAndASubscriptionResumes(@TempDir Path folder) throws Exception {
        Server server = Server.start(folder.resolve("data"));
        List<ResolvedEvent> seen = new ArrayList<>();
        for (int round = 1; round <= 3; round++) {
            KurrentDBClient client = server.client();
            List<Writer> writers = IntStream.range(0, 8).mapToObj(n -> new Writer()).toList();
            List<CompletableFuture<Void>> written = writers.stream().map(writer -> writer.write(client)).toList();
            Followed followed = follow(client, seen);
            seen.addAll(Given.take(200, followed.events));
            server.kill();
            for (var writer : written) Given.got(writer);
            Given.got(followed.ended);
            followed.events.drainTo(seen);
            Given.got(client.shutdown());

            server = server.again();
            KurrentDBClient after = server.client();
            for (Writer writer : writers) writer.assertKeptBy(after);
            Given.got(after.shutdown());
        }

        KurrentDBClient client = server.client();
        List<ResolvedEvent> everything = Given.got(client.readAll()).getEvents().stream()
            .filter(event -> !event.getEvent().getEventType().startsWith("$")).toList();
        Followed resumed = follow(client, seen);
        seen.addAll(Given.take(everything.size() - seen.size(), resumed.events));
        assertEquals(Given.ids(everything), Given.ids(seen));
        Given.got(client.shutdown());
        assertEquals(0, server.stop());
    }

    @Test
    void aClientGoesOnWithAServerThatCameBack(@TempDir Path folder) throws Exception {
        Server first = Server.start(folder.resolve("data"));
        KurrentDBClient client = first.client("&maxDiscoverAttempts=600&discoveryInterval=100");
        String stream = Given.fresh();
        Given.got(client.appendToStream(stream, Given.events(1)));
        first.kill();
        Server second = first.again();
        EventData[] repeated = Given.events(2);
        Given.eventually(() -> {
            try {
                Given.got(client.appendToStream(stream, repeated));
                return true;
            } catch (StatusRuntimeException unavailable) {
                return false;
            }
        });
        assertEquals(3, Given.got(client.readStream(stream, ReadStreamOptions.get())).getEvents().size());
        Given.got(client.shutdown());
        assertEquals(0, second.stop());
    }

    @Test
    void nothingParkedIsLostOrDoubledByKills(@TempDir Path folder) throws Exception {
        Server server = Server.start(folder.resolve("data"));
        String stream = Given.fresh();
        KurrentDBClient first = server.client();
        new Group(first, stream).create(CreatePersistentSubscriptionToStreamOptions.get().fromStart()
            .checkpointLowerBound(1).checkpointUpperBound(1));
        Given.got(first.shutdown());
        for (int round = 1; round <= 3; round++) {
            KurrentDBClient client = server.client();
            Given.got(client.appendToStream(stream, Given.events(10)));
            Group group = new Group(client, stream);
            Consumer consumer = group.consume();
            for (ResolvedEvent event : consumer.take(10)) {
                boolean isOdd = event.getEvent().getRevision() % 2 == 1;
                if (isOdd) consumer.subscription().nack(NackAction.Park, "odd", event);
                else consumer.subscription().ack(event);
            }
            long parked = 5 * round, last = 10 * round - 1;
            Given.eventually(() -> group.parked() == parked
                && group.info().getStats().getLastCheckpointedEventRevision().equals(Optional.of(last)));
            server.kill();
            Given.got(client.shutdown());
            server = server.again();
        }

        KurrentDBClient client = server.client();
        Group group = new Group(client, stream);
        assertEquals(15, group.parked());
        Consumer consumer = group.consume(SubscribePersistentSubscriptionOptions.get().bufferSize(32));
        group.replay();
        List<ResolvedEvent> replayed = consumer.take(15);
        List<Long> revisions = replayed.stream().map(event -> event.getEvent().getRevision()).sorted().toList();
        assertEquals(LongStream.range(0, 30).filter(n -> n % 2 == 1).boxed().toList(), revisions);
        consumer.subscription().ack(replayed.iterator());
        Given.eventually(() -> group.parked() == 0);
        assertEquals(0, consumer.delivered.size());
        Given.got(client.shutdown());
        assertEquals(0, server.stop());
    }
}
