import static io.kurrent.dbclient.StreamState.noStream;
import static io.kurrent.dbclient.StreamState.streamExists;
import static io.kurrent.dbclient.StreamState.streamRevision;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kurrent.dbclient.Acls;
import io.kurrent.dbclient.AppendToStreamOptions;
import io.kurrent.dbclient.DeleteResult;
import io.kurrent.dbclient.DeleteStreamOptions;
import io.kurrent.dbclient.EventData;
import io.kurrent.dbclient.ReadStreamOptions;
import io.kurrent.dbclient.StreamDeletedException;
import io.kurrent.dbclient.StreamMetadata;
import io.kurrent.dbclient.StreamNotFoundException;
import io.kurrent.dbclient.StreamState;
import io.kurrent.dbclient.WrongExpectedVersionException;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is said of streams, and their ends. */
class MetadataTest extends Served {
    private static StreamMetadata metadata(Consumer<StreamMetadata> set) {
        StreamMetadata metadata = new StreamMetadata();
        set.accept(metadata);
        return metadata;
    }

    private void set(String stream, StreamMetadata metadata) throws Exception {
        Given.got(client.setStreamMetadata(stream, metadata));
    }

    private StreamMetadata metadataOf(String stream) throws Exception {
        return Given.got(client.getStreamMetadata(stream));
    }

    private void assertNotFound(String stream) {
        Given.refused(StreamNotFoundException.class, client.readStream(stream, ReadStreamOptions.get()));
    }

    @Test
    void allOfItIsKept() throws Exception {
        String stream = given(Given.events(1));
        StreamMetadata all = metadata(it -> {
            it.setMaxCount(20L);
            it.setMaxAge(3_600L);
            it.setTruncateBefore(0L);
            it.setCacheControl(60L);
            it.setAcl(Acls.newStreamAcl().addReadRoles("$all").addWriteRoles("$admins", "ann")
                .addDeleteRoles("$admins").addMetaReadRoles("$all").addMetaWriteRoles("$ops"));
            it.setCustomProperties(Map.of("own", List.of("thing", 1)));
        });
        AppendToStreamOptions first = AppendToStreamOptions.get().streamState(noStream());
        assertEquals(streamRevision(0),
            Given.got(client.setStreamMetadata(stream, first, all)).getNextExpectedRevision());
        assertEquals(all, metadataOf(stream));
        Given.refused(WrongExpectedVersionException.class, client.setStreamMetadata(stream, first, all));
    }

    @Test
    void theNewestHolds() throws Exception {
        String stream = given(Given.events(5));
        for (long count : List.of(4L, 3L, 2L)) set(stream, metadata(it -> it.setMaxCount(count)));
        assertEquals(metadata(it -> it.setMaxCount(2L)), metadataOf(stream));
        assertEquals(2, read(stream).size());
    }

    @Test
    void ofNothingThereIsNone() throws Exception {
        assertEquals(new StreamMetadata(), metadataOf(Given.fresh()));
        assertEquals(new StreamMetadata(), metadataOf(given(Given.events(1))));
    }

    @Test
    void namedAccessListsAreKept() throws Exception {
        String stream = given(Given.events(1));
        for (var acl : List.of(Acls.newUserStreamAcl(), Acls.newSystemStreamAcl())) {
            set(stream, metadata(it -> it.setAcl(acl)));
            assertEquals(acl, metadataOf(stream).getAcl());
        }
    }

    static Stream<Arguments> bounds() {
        return Stream.of(
            Arguments.of(metadata(it -> it.setMaxCount(3L)), 7),
            Arguments.of(metadata(it -> it.setTruncateBefore(4L)), 4),
            Arguments.of(metadata(it -> it.setMaxAge(3_600L)), 0));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("bounds")
    void itBoundsAStream(StreamMetadata metadata, int first) throws Exception {
        EventData[] ten = Given.events(10);
        String stream = given(ten);
        set(stream, metadata);
        List<UUID> left = Given.ids(ten).subList(first, 10);
        assertEquals(left, Given.ids(read(stream)));
        assertEquals(Given.backwards(left), Given.ids(read(stream, ReadStreamOptions.get().backwards().fromEnd())));
    }

    @Test
    void whatIsTooOldIsGone() throws Exception {
        String stream = given(Given.events(3));
        set(stream, metadata(it -> it.setMaxAge(1L)));
        Given.eventually(() -> {
            try {
                return read(stream).isEmpty();
            } catch (StreamNotFoundException gone) {
                return true;
            }
        });
        assertEquals(streamRevision(3), append(stream, Given.events(1)).getNextExpectedRevision());
    }

    @Test
    void aDeletedStreamIsNotFoundAndBeginsAnew() throws Exception {
        String stream = given(Given.events(3));
        var last = read(stream).get(2).getEvent().getPosition();
        DeleteResult deleted = Given.got(client.deleteStream(stream, DeleteStreamOptions.get().streamRevision(2)));
        assertTrue(last.compareTo(deleted.getPosition()) < 0);
        assertNotFound(stream);

        EventData[] anew = Given.events(1);
        var result = Given.got(append(stream, noStream(), anew));
        assertEquals(streamRevision(3), result.getNextExpectedRevision());
        assertEquals(Given.ids(anew), Given.ids(read(stream)));
    }

    @Test
    void aTombstonedStreamIsGoneForEver() throws Exception {
        String stream = given(Given.events(3));
        Given.got(client.tombstoneStream(stream, DeleteStreamOptions.get().streamState(streamExists())));
        assertEquals("stream-deleted", Given.exception(client.readStream(stream, ReadStreamOptions.get())));
        for (var again : List.of(client.tombstoneStream(stream), client.deleteStream(stream))) {
            assertEquals(stream, Given.refused(StreamDeletedException.class, again).getStreamName());
        }
    }

    private CompletableFuture<DeleteResult> end(String how, String stream, StreamState expected) {
        DeleteStreamOptions options = DeleteStreamOptions.get().streamState(expected);
        return how.equals("delete") ? client.deleteStream(stream, options) : client.tombstoneStream(stream, options);
    }

    @ParameterizedTest
    @ValueSource(strings = {"delete", "tombstone"})
    void anEndChecksItsExpectation(String how) throws Exception {
        String stream = given(Given.events(3));
        for (StreamState expected : List.of(noStream(), streamRevision(1), streamRevision(3))) {
            var wrong = Given.refused(WrongExpectedVersionException.class, end(how, stream, expected));
            assertEquals(List.of(stream, expected, streamRevision(2)),
                List.of(wrong.getStreamName(), wrong.getExpectedState(), wrong.getActualState()));
        }
        var nothing = Given.refused(WrongExpectedVersionException.class, end(how, Given.fresh(), streamExists()));
        assertEquals(noStream(), nothing.getActualState());
        Given.got(end(how, stream, streamRevision(2)));
    }
}
