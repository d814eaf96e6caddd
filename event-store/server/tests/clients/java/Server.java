import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.kurrent.dbclient.KurrentDBClient;
import io.kurrent.dbclient.KurrentDBConnectionString;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A server process; without a folder, its events are gone with it. */
final class Server implements AutoCloseable {
    final String uri;
    private final Process process;
    private final Path folder;

    private Server(Path folder, String address, String password) {
        List<String> command = new ArrayList<>(List.of(System.getenv("DAYBOOK_SERVE"), address));
        if (folder != null) command.add(folder.toString());
        if (password != null) command.add(password);
        this.folder = folder;
        try {
            process = new ProcessBuilder(command).redirectError(Redirect.INHERIT).start();
            uri = new BufferedReader(new InputStreamReader(process.getInputStream())).readLine();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        if (uri == null) throw new IllegalStateException("the server did not start");
    }

    static Server start() {
        return start(null);
    }

    static Server start(Path folder) {
        return start(folder, null);
    }

    /** With a password it encrypts, and asks who calls. */
    static Server start(Path folder, String password) {
        return new Server(folder, "127.0.0.1:0", password);
    }

    /** The same store at the same address. */
    Server again() {
        return new Server(folder, address(), null);
    }

    String address() {
        return URI.create(uri).getAuthority();
    }

    KurrentDBClient client() {
        return client("");
    }

    /** A client with options, each after an ampersand. */
    KurrentDBClient client(String options) {
        return clientOf(uri + options);
    }

    static KurrentDBClient clientOf(String uri) {
        return KurrentDBClient.create(KurrentDBConnectionString.parseOrThrow(uri));
    }

    /** How many calls are under way, without the one that asks. */
    int calls() throws IOException {
        JsonNode stats = new ObjectMapper().readTree(URI.create("http://" + address() + "/stats").toURL());
        return stats.at("/calls/current").asInt() - 1;
    }

    /** Ends it as a power cut would. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** Ends it as an operator would; its exit code. */
    int stop() throws InterruptedException {
        process.destroy();
        if (!process.waitFor(60, TimeUnit.SECONDS)) throw new IllegalStateException("it goes on");
        return process.exitValue();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
