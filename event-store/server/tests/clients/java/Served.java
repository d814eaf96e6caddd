import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kurrent.dbclient.AppendToStreamOptions;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.KurrentDBClient;
import io.kurrent.dbclient.ReadStreamOptions;
import io.kurrent.dbclient.ResolvedEvent;
import io.kurrent.dbclient.StreamState;
import io.kurrent.dbclient.WriteResult;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.TestInstance;

/** Tests that share a server and a client. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class Served {
    final Server server = Server.start();
    final KurrentDBClient client = server.client();

    @AfterAll
    void stop() throws Exception {
        Given.got(client.shutdown());
        assertEquals(0, server.stop());
    }

    /** A stream of its own with these events. */
    String given(EventData... events) throws Exception {
        String stream = Given.fresh();
        append(stream, events);
        return stream;
    }

    WriteResult append(String stream, EventData... events) throws Exception {
        return Given.got(client.appendToStream(stream, events));
    }

    CompletableFuture<WriteResult> append(String stream, StreamState expected, EventData... events) {
        return client.appendToStream(stream, AppendToStreamOptions.get().streamState(expected), events);
    }

    List<ResolvedEvent> read(String stream) throws Exception {
        return read(stream, ReadStreamOptions.get());
    }

    List<ResolvedEvent> read(String stream, ReadStreamOptions options) throws Exception {
        return Given.got(client.readStream(stream, options)).getEvents();
    }
}
