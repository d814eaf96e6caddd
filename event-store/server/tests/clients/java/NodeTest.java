import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status.Code;
import io.kurrent.dbclient.ConnectionShutdownException;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.KurrentDBClient;
import io.kurrent.dbclient.KurrentDBClientSettings;
import io.kurrent.dbclient.KurrentDBProjectionManagementClient;
import io.kurrent.dbclient.NodePreference;
import io.kurrent.dbclient.ReadStreamOptions;
import java.net.URI;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a server tells of itself, and how it is found. */
class NodeTest extends Served {
    @Test
    void itsVersionIsTold() throws Exception {
        var version = Given.got(client.getServerVersion()).orElseThrow();
        assertTrue(version.equals(24, 10, 0), version::toString);
    }

    @ParameterizedTest
    @EnumSource(NodePreference.class)
    void whoDiscoversAClusterFindsIt(NodePreference preference) throws Exception {
        URI address = URI.create(server.uri);
        var settings = KurrentDBClientSettings.builder().tls(false).nodePreference(preference);
        for (int seed = 0; seed < 2; seed++) settings.addHost(address.getHost(), address.getPort());
        assertServed(KurrentDBClient.create(settings.buildConnectionSettings()));
    }

    @Test
    void whoDiscoversAClusterByAnAddressFindsIt() throws Exception {
        assertServed(Server.clientOf(server.uri.replace("kurrentdb:", "kurrentdb+discover:")));
        assertServed(Server.clientOf(server.uri.replace("kurrentdb:", "esdb:")));
        assertServed(Server.clientOf(server.uri.replace("://", "://admin:changeit@")));
    }

    private static void assertServed(KurrentDBClient client) throws Exception {
        EventData[] appended = Given.events(2);
        String stream = Given.fresh();
        Given.got(client.appendToStream(stream, appended));
        var read = Given.got(client.readStream(stream, ReadStreamOptions.get()));
        assertEquals(Given.ids(appended), Given.ids(read.getEvents()));
        Given.got(client.shutdown());
    }

    @Test
    void whoFindsNoneIsTold() throws Exception {
        Server gone = Server.start();
        gone.kill();
        KurrentDBClient client = gone.client("&maxDiscoverAttempts=2&discoveryInterval=10");
        Given.refused(ConnectionShutdownException.class, client.appendToStream(Given.fresh(), Given.events(1)));
        assertTrue(client.isShutdown());
    }

    @Test
    void projectionsAreNotThere() {
        var projections = KurrentDBProjectionManagementClient.from(client);
        for (var call : List.<CompletableFuture<?>>of(projections.list(), projections.create("name", "fromAll()"),
                projections.update("name", "fromAll()"), projections.enable("name"), projections.disable("name"),
                projections.abort("name"), projections.reset("name"), projections.delete("name"),
                projections.getStatus("name"), projections.getStatistics("name"),
                projections.getState("name", Object.class), projections.getResult("name", Object.class),
                projections.restartSubsystem())) {
            assertEquals(Code.UNIMPLEMENTED, Given.status(call));
        }
    }
}
