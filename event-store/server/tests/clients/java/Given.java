import static java.util.concurrent.TimeUnit.SECONDS;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.ResolvedEvent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** What the tests are given beside servers. */
final class Given {
    /** After which what should come is taken for missing. */
    private static final long PATIENCE = 60;

    private Given() {}

    /** A name that nobody else uses. */
    static String fresh(String category) {
        return category + UUID.randomUUID().toString().replace("-", "") + "-1";
    }

    static String fresh() {
        return fresh("stream");
    }

    static EventData[] events(int count) {
        return events(count, "Tested");
    }

    static EventData[] events(int count, String type) {
        return IntStream.range(0, count).mapToObj(n -> event(type, "{\"n\":" + n + "}")).toArray(EventData[]::new);
    }

    static EventData event(String type, String json) {
        byte[] metadata = "{\"by\":\"java\"}".getBytes();
        return EventData.builderAsJson(type, json.getBytes()).metadataAsBytes(metadata).build();
    }

    static EventData[] concat(EventData[] some, EventData[] more) {
        return Stream.of(some, more).flatMap(Arrays::stream).toArray(EventData[]::new);
    }

    static List<UUID> ids(EventData... events) {
        return Stream.of(events).map(EventData::getEventId).toList();
    }

    static List<UUID> ids(List<ResolvedEvent> read) {
        return read.stream().map(event -> event.getEvent().getEventId()).toList();
    }

    static <T> List<T> backwards(List<T> items) {
        return IntStream.rangeClosed(1, items.size()).mapToObj(n -> items.get(items.size() - n)).toList();
    }

    /** What comes of it; where it fails, the cause. */
    static <T> T got(CompletableFuture<T> future) throws Exception {
        try {
            return future.get(PATIENCE, SECONDS);
        } catch (ExecutionException failed) {
            throw failed.getCause() instanceof Exception cause ? cause : failed;
        }
    }

    /** Waits for what gives nothing. */
    static void done(CompletableFuture<?> future) throws Exception {
        got(future);
    }

    static <E extends Exception> E refused(Class<E> why, CompletableFuture<?> future) {
        return assertThrows(why, () -> got(future));
    }

    /** The status of what has no exception of its own in the client. */
    static Status.Code status(CompletableFuture<?> future) {
        return refused(StatusRuntimeException.class, future).getStatus().getCode();
    }

    /** The protocol's name of such a refusal. */
    static String exception(CompletableFuture<?> future) {
        return exception(refused(StatusRuntimeException.class, future));
    }

    static String exception(Throwable refusal) {
        var key = Metadata.Key.of("exception", Metadata.ASCII_STRING_MARSHALLER);
        return ((StatusRuntimeException) refusal).getTrailers().get(key);
    }

    /** The first of what may never end. */
    static <T> List<T> take(int count, BlockingQueue<T> queue) throws InterruptedException {
        List<T> taken = new ArrayList<>();
        while (taken.size() < count) {
            T next = queue.poll(PATIENCE, SECONDS);
            assertTrue(next != null, () -> "only " + taken.size() + " of " + count + " came: " + taken);
            taken.add(next);
        }
        return taken;
    }

    /** Waits for what a server does on its own. */
    static void eventually(Callable<Boolean> holds) throws Exception {
        long deadline = System.nanoTime() + SECONDS.toNanos(PATIENCE);
        while (!holds.call()) {
            assertTrue(System.nanoTime() < deadline, "it did not come true");
            Thread.sleep(20);
        }
    }
}
