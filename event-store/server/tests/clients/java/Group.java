import io.kurrent.dbclient.CreatePersistentSubscriptionToStreamOptions;
import io.kurrent.dbclient.KurrentDBClientBase;
import io.kurrent.dbclient.KurrentDBPersistentSubscriptionsClient;
import io.kurrent.dbclient.PersistentSubscriptionToStreamInfo;
import io.kurrent.dbclient.SubscribePersistentSubscriptionOptions;

/** A group of persistent subscriptions to a stream. */
final class Group {
    static final String NAME = "group";
    private final KurrentDBPersistentSubscriptionsClient groups;
    private final String stream;

    Group(KurrentDBClientBase client, String stream) {
        this.groups = KurrentDBPersistentSubscriptionsClient.from(client);
        this.stream = stream;
    }

    /** Those of a group that begins with the stream. */
    static CreatePersistentSubscriptionToStreamOptions settings() {
        return CreatePersistentSubscriptionToStreamOptions.get().fromStart();
    }

    Group create() throws Exception {
        return create(settings());
    }

    Group create(CreatePersistentSubscriptionToStreamOptions options) throws Exception {
        Given.done(groups.createToStream(stream, NAME, options));
        return this;
    }

    Consumer consume() throws Exception {
        return consume(SubscribePersistentSubscriptionOptions.get());
    }

    Consumer consume(SubscribePersistentSubscriptionOptions options) throws Exception {
        Consumer consumer = new Consumer();
        Given.got(groups.subscribeToStream(stream, NAME, options, consumer));
        return consumer;
    }

    PersistentSubscriptionToStreamInfo info() throws Exception {
        return Given.got(groups.getInfoToStream(stream, NAME)).orElseThrow();
    }

    long parked() throws Exception {
        return info().getStats().getParkedMessageCount();
    }

    void replay() throws Exception {
        Given.done(groups.replayParkedMessagesToStream(stream, NAME));
    }
}
