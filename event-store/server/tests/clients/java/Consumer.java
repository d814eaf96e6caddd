import io.kurrent.dbclient.PersistentSubscription;
import io.kurrent.dbclient.PersistentSubscriptionListener;
import io.kurrent.dbclient.ResolvedEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;

/** What a group of persistent subscriptions delivers to one of its consumers. */
final class Consumer extends PersistentSubscriptionListener {
    final BlockingQueue<Delivered> delivered = new LinkedBlockingQueue<>();
    final CompletableFuture<PersistentSubscription> confirmed = new CompletableFuture<>();
    final CompletableFuture<Throwable> ended = new CompletableFuture<>();

    record Delivered(ResolvedEvent event, int retries) {
        UUID id() {
            return event.getEvent().getEventId();
        }
    }

    PersistentSubscription subscription() throws Exception {
        return Given.got(confirmed);
    }

    /** The next so many events, not answered. */
    List<ResolvedEvent> take(int count) throws Exception {
        return Given.take(count, delivered).stream().map(Delivered::event).toList();
    }

    /** The next so many events, each acknowledged at once. */
    List<UUID> settle(int count) throws Exception {
        List<UUID> ids = new ArrayList<>();
        while (ids.size() < count) {
            ResolvedEvent event = take(1).get(0);
            subscription().ack(event);
            ids.add(event.getEvent().getEventId());
        }
        return ids;
    }

    @Override
    public void onConfirmation(PersistentSubscription subscription) {
        confirmed.complete(subscription);
    }

    @Override
    public void onEvent(PersistentSubscription subscription, int retries, ResolvedEvent event) {
        delivered.add(new Delivered(event, retries));
    }

    @Override
    public void onCancelled(PersistentSubscription subscription, Throwable why) {
        ended.complete(why);
    }
}
