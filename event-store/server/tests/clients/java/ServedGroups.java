import io.kurrent.dbclient.KurrentDBPersistentSubscriptionsClient;

/** Tests of groups of persistent subscriptions that share a server and a client. */
abstract class ServedGroups extends Served {
    final KurrentDBPersistentSubscriptionsClient groups = KurrentDBPersistentSubscriptionsClient.from(client);

    Group group(String stream) {
        return new Group(client, stream);
    }
}
