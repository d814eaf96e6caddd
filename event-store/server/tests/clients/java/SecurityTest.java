import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status.Code;
import io.kurrent.dbclient.AppendToStreamOptions;
import io.kurrent.dbclient.ConnectionShutdownException;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.KurrentDBClient;
import io.kurrent.dbclient.KurrentDBPersistentSubscriptionsClient;
import io.kurrent.dbclient.ReadStreamOptions;
import io.kurrent.dbclient.StreamMetadata;
import io.kurrent.dbclient.SubscribeToAllOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Certificates and passwords. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class SecurityTest {
    private static final String PASSWORD = "correct";
    private Path folder;
    private Server server;
    private Server other;

    @BeforeAll
    void start(@TempDir Path folder) {
        this.folder = folder;
        server = Server.start(folder.resolve("data"), PASSWORD);
        other = Server.start(folder.resolve("other"), PASSWORD);
    }

    @AfterAll
    void stop() throws Exception {
        assertEquals(List.of(0, 0), List.of(server.stop(), other.stop()));
    }

    /** A client of the server that trusts a certificate. */
    private KurrentDBClient client(String who, String trusted) {
        String uri = who.isEmpty() ? server.uri : server.uri.replace("://", "://" + who + "@");
        Path certificate = folder.resolve(trusted + ".crt");
        return Server.clientOf(uri + "&tlsCaFile=" + certificate + "&maxDiscoverAttempts=2&discoveryInterval=10");
    }

    private KurrentDBClient client(String who) {
        return client(who, "data");
    }

    @Test
    void whoKnowsThePasswordIsServedEncrypted() throws Exception {
        KurrentDBClient admin = client("admin:" + PASSWORD);
        EventData[] appended = Given.events(2);
        String stream = Given.fresh("secure");
        Given.got(admin.appendToStream(stream, appended));
        var read = Given.got(admin.readStream(stream, ReadStreamOptions.get()));
        assertEquals(Given.ids(appended), Given.ids(read.getEvents()));
        Followed followed = new Followed();
        Given.got(admin.subscribeToAll(followed, SubscribeToAllOptions.get().fromStart()));
        Given.take(2, followed.events);
        assertEquals(Given.ids(appended), new Group(admin, stream).create().consume().settle(2));
        Given.got(admin.shutdown());
    }

    @ParameterizedTest
    @ValueSource(strings = {"admin:wrong", "nobody:wrong", ""})
    void whoDoesNotIsRefused(String who) throws Exception {
        KurrentDBClient stranger = client(who);
        var groups = KurrentDBPersistentSubscriptionsClient.from(stranger);
        Code code = who.isEmpty() ? Code.PERMISSION_DENIED : Code.UNAUTHENTICATED;
        String exception = who.isEmpty() ? "access-denied" : "not-authenticated";
        for (var refused : List.<CompletableFuture<?>>of(
                stranger.appendToStream(Given.fresh(), Given.events(1)),
                stranger.readStream(Given.fresh(), ReadStreamOptions.get()),
                stranger.readAll(),
                stranger.deleteStream(Given.fresh()),
                stranger.setStreamMetadata(Given.fresh(), new StreamMetadata()),
                stranger.subscribeToAll(new Followed()),
                groups.createToAll("group"),
                groups.subscribeToAll("group", new Consumer()),
                groups.listAll())) {
            assertEquals(code, Given.status(refused));
            assertEquals(exception, Given.exception(refused));
        }
        Given.got(stranger.shutdown());
    }

    @Test
    void aPasswordMayComeWithACall() throws Exception {
        KurrentDBClient nobody = client("");
        AppendToStreamOptions right = AppendToStreamOptions.get().authenticated("admin", PASSWORD);
        AppendToStreamOptions wrong = AppendToStreamOptions.get().authenticated("admin", "wrong");
        String stream = Given.fresh();
        Given.got(nobody.appendToStream(stream, right, Given.events(1)));
        assertEquals(Code.UNAUTHENTICATED, Given.status(nobody.appendToStream(stream, wrong, Given.events(1))));
        Given.got(nobody.shutdown());
    }

    @Test
    void nobodyIsToldWhatAnybodyMayKnow() throws Exception {
        KurrentDBClient nobody = client("");
        assertTrue(Given.got(nobody.getServerVersion()).isPresent());
        Given.got(nobody.shutdown());
    }

    @Test
    void aCertificateThatIsNotTrustedIsNot() {
        KurrentDBClient distrustful = client("admin:" + PASSWORD, "other");
        var append = distrustful.appendToStream(Given.fresh(), Given.events(1));
        Given.refused(ConnectionShutdownException.class, append);
    }

    @Test
    void withoutEncryptionNothingIsServed() {
        String plain = server.uri.replace("tls=true", "tls=false&maxDiscoverAttempts=2&discoveryInterval=10");
        var append = Server.clientOf(plain).appendToStream(Given.fresh(), Given.events(1));
        Given.refused(RuntimeException.class, append);
    }
}
