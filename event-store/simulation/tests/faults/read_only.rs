use std::path::Path;
use std::sync::Arc;

use daybook_event_store::{
    AppendError, BackupError, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter,
    NewEvent, OpenError, Position, StoreFolder, Tailed,
};
use futures::{FutureExt, StreamExt};

use crate::given::{DIR, all, event, history, holds, open, options, stream};
use daybook_event_store_simulation::Disk;

/// Bytes of a segment's header.
const SEGMENT_HEADER: usize = 32;

fn try_look(sim: &Disk) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open_read_only_with(Arc::new(sim.clone()), DIR, &options())
}

#[track_caller]
fn look(sim: &Disk) -> EmbeddedStore {
    try_look(sim).unwrap()
}

#[tokio::test]
async fn it_shows_what_is_there_beside_the_writer_and_writes_nothing() {
    let sim = Disk::default();
    let writer = open(&sim);
    history(&writer, 0..40).await;

    let reader = look(&sim);

    holds(&reader, 40).await;
    drop(reader);
    // A copy of the disk has no writer, whose background work changes files on its own.
    let copy = sim.copy();
    let changes = copy.changes();
    holds(&look(&copy), 40).await;
    assert_eq!(copy.changes(), changes);
    history(&writer, 40..41).await;
}

#[tokio::test]
async fn it_stays_as_it_was_until_it_is_refreshed() {
    let sim = Disk::default();
    let writer = open(&sim);
    history(&writer, 0..3).await;
    let reader = look(&sim);

    for count in [4, 10, 11, 80] {
        let before = all(&reader).await.len();
        history(&writer, before..count).await;
        holds(&reader, before).await;
        reader.refresh().unwrap();
        holds(&reader, count).await;
    }
}

#[tokio::test]
async fn a_store_without_events_fills_as_it_is_refreshed() {
    let sim = Disk::default();
    let writer = open(&sim);
    let reader = look(&sim);
    holds(&reader, 0).await;

    history(&writer, 0..30).await;
    reader.refresh().unwrap();

    holds(&reader, 30).await;
}

#[tokio::test]
async fn its_tails_go_on_with_every_refresh_and_end_with_it() {
    let sim = Disk::default();
    let writer = open(&sim);
    history(&writer, 0..2).await;
    let reader = look(&sim);
    let mut tail = Box::pin(reader.tail(Some(Position(0)), Filter::all()));
    let mut next = async || match tail.next().await.unwrap().unwrap() {
        Tailed::Event(event) => Some(event.position.0),
        Tailed::CaughtUp(_) => None,
    };
    assert_eq!((next().await, next().await), (Some(1), None));

    history(&writer, 2..3).await;
    assert!(std::pin::pin!(next()).now_or_never().is_none());
    reader.refresh().unwrap();
    assert_eq!((next().await, next().await), (Some(2), None));
    drop(reader);

    assert!(tail.next().await.is_none());
}

#[tokio::test]
async fn it_takes_no_appends() {
    let sim = Disk::default();
    drop(open(&sim));

    let refused = look(&sim).append(&stream(0), Expected::Any, vec![event(0)]).await;

    let told = refused.clone().unwrap_err().to_string();
    assert!(matches!(refused, Err(AppendError::Stopped { .. })) && told.contains("read only"));
}

#[tokio::test]
async fn an_unfinished_write_is_neither_seen_nor_cut_off() {
    let sim = Disk::default();
    let writer = open(&sim);
    history(&writer, 0..4).await;
    let segment = &sim.files("log")[0];
    let before = sim.contents(segment).len();
    history(&writer, 4..5).await;
    let whole = sim.contents(segment);

    for length in before..whole.len() {
        let torn = sim.copy();
        torn.overwrite(segment, whole[..length].to_vec());
        holds(&look(&torn), 4).await;
        assert_eq!(torn.contents(segment).len(), length);
    }
}

#[tokio::test]
async fn damage_before_the_last_write_is_reported_with_its_place() {
    let sim = Disk::default();
    history(&open(&sim), 0..40).await;
    let last = sim.files("log").pop().unwrap();
    let mut bytes = sim.contents(&last);
    bytes[100] ^= 4;
    sim.overwrite(&last, bytes);

    let refused = try_look(&sim);

    assert!(matches!(refused, Err(OpenError::Damaged { segment, .. }) if segment == last));
}

#[tokio::test]
async fn damage_before_a_segment_that_was_only_begun_is_no_unfinished_write() {
    for sim in [given_two_segments().await, given_a_segment_of_one_frame().await] {
        damage_before_the_last_segment_is_reported(&sim).await;
    }
}

async fn given_two_segments() -> Disk {
    let sim = Disk::default();
    let writer = open(&sim);
    let mut count = 0;
    while sim.files("log").len() < 2 {
        history(&writer, count..count + 1).await;
        count += 1;
    }
    sim
}

async fn given_a_segment_of_one_frame() -> Disk {
    let sim = Disk::default();
    let writer = open(&sim);
    for n in 0..3 {
        let large = NewEvent { data: vec![b'x'; 4_000].into(), ..event(n) };
        writer.append(&stream(n), Expected::Any, vec![large]).await.unwrap();
    }
    sim
}

async fn damage_before_the_last_segment_is_reported(sim: &Disk) {
    let sim = sim.copy();
    let [.., first, begun] = &sim.files("log")[..] else { unreachable!("there are two") };
    sim.files("idx").iter().for_each(|index| sim.delete(index));
    sim.overwrite(begun, sim.contents(begun)[..SEGMENT_HEADER].to_vec());
    let whole = sim.contents(first);
    assert!(!all(&look(&sim)).await.is_empty());

    // The last frame is somewhat longer.
    for at in whole.len() - 100..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        sim.overwrite(first, bytes);

        let looked = try_look(&sim).map(|_| ());
        let backup = StoreFolder::with(Arc::new(sim.copy()), DIR).backup("/backup", &mut |_, _| ());

        for refused in [looked, backup.map(|_| ()).map_err(store_error)] {
            let reported =
                matches!(&refused, Err(OpenError::Damaged { segment, .. }) if segment == first);
            assert!(reported, "byte {at}: {refused:?}");
        }
    }
}

fn store_error(error: BackupError) -> OpenError {
    match error {
        BackupError::Store(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn without_index_files_it_reads_the_segments() {
    let sim = Disk::default();
    history(&open(&sim), 0..60).await;
    sim.files("idx").iter().for_each(|index| sim.delete(index));

    holds(&look(&sim), 60).await;

    assert!(sim.files("idx").is_empty());
}

#[tokio::test]
async fn nothing_is_made_where_there_is_no_store() {
    let sim = Disk::default();
    assert!(matches!(try_look(&sim), Err(OpenError::NotAStore { .. })));
    assert!(!sim.exists(&Path::new(DIR).join("FORMAT")));

    let dir = tempfile::tempdir().unwrap();
    let none = EmbeddedStore::open_read_only(dir.path().join("none"), &options()).unwrap_err();
    assert!(none.to_string().contains("no such folder"), "{none}");
    assert!(!dir.path().join("none").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_busy_writer_every_look_is_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { segment_bytes: 16_384, ..options() };
    let writer = EmbeddedStore::open(dir.path(), &options).unwrap();
    let writing = tokio::spawn({
        let writer = writer.clone();
        async move { history(&writer, 0..600).await }
    });

    let mut seen = 0;
    while !writing.is_finished() {
        let reader = EmbeddedStore::open_read_only(dir.path(), &options).unwrap();
        let events = all(&reader).await.len();
        assert!(events >= seen, "{events} events after {seen}");
        holds(&reader, events).await;
        reader.refresh().unwrap();
        seen = all(&reader).await.len();
        holds(&reader, seen).await;
    }

    writing.await.unwrap();
    holds(&EmbeddedStore::open_read_only(dir.path(), &options).unwrap(), 600).await;
}
