import io.kurrent.dbclient.Position;
import io.kurrent.dbclient.ResolvedEvent;
import io.kurrent.dbclient.Subscription;
import io.kurrent.dbclient.SubscriptionListener;
import java.time.Instant;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;

/** What a catch-up subscription tells. */
final class Followed extends SubscriptionListener {
    final BlockingQueue<ResolvedEvent> events = new LinkedBlockingQueue<>();
    final CompletableFuture<Subscription> confirmed = new CompletableFuture<>();
    final CompletableFuture<CaughtUp> caughtUp = new CompletableFuture<>();
    final CompletableFuture<Throwable> ended = new CompletableFuture<>();

    record CaughtUp(Instant at, Long revision, Position position) {}

    /** The ids of the next so many events. */
    List<UUID> take(int count) throws Exception {
        return Given.ids(Given.take(count, events));
    }

    @Override
    public void onConfirmation(Subscription subscription) {
        confirmed.complete(subscription);
    }

    @Override
    public void onEvent(Subscription subscription, ResolvedEvent event) {
        events.add(event);
    }

    @Override
    public void onCaughtUp(Subscription subscription, Instant at, Long revision, Position position) {
        caughtUp.complete(new CaughtUp(at, revision, position));
    }

    @Override
    public void onCancelled(Subscription subscription, Throwable why) {
        ended.complete(why);
    }
}
