use std::path::Path;
use std::sync::Arc;

use daybook_event_store::{EmbeddedOptions, EmbeddedStore, Limits, OpenError};

use crate::given::{DIR, history, holds, open, try_open};
use daybook_event_store_simulation::Disk;

#[tokio::test]
async fn a_store_is_there_again_when_it_is_opened_again() {
    let sim = Disk::default();
    for round in 0..6 {
        let store = open(&sim);
        holds(&store, round * 11).await;
        history(&store, round * 11..round * 11 + 11).await;
    }
    holds(&open(&sim), 66).await;
}

#[tokio::test]
async fn a_folder_on_disk_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/events");
    let options = EmbeddedOptions { segment_bytes: 4_096, ..Default::default() };
    for round in 0..4 {
        let store = EmbeddedStore::open(&path, &options).unwrap();
        holds(&store, round * 11).await;
        history(&store, round * 11..round * 11 + 11).await;
        let stats = store.stats();
        assert_eq!(stats.events, round as u64 * 11 + 11);
        assert!(stats.segments > round / 2 && stats.bytes > stats.events * 100, "{stats:?}");
    }
}

#[test]
fn a_store_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), &EmbeddedOptions::default()).unwrap();

    let second = EmbeddedStore::open(dir.path(), &EmbeddedOptions::default()).unwrap_err();

    let me = format!("in use by process {}: stop", std::process::id());
    assert!(second.to_string().contains(&me), "{second}");
    assert!(matches!(second, OpenError::Locked { .. }));
    store.close();
    EmbeddedStore::open(dir.path(), &EmbeddedOptions::default()).unwrap();
}

#[test]
fn another_format_is_refused() {
    let with_format = |format: u32| {
        let sim = Disk::default();
        drop(open(&sim));
        let line = format!("daybook event store, format {format}\n");
        sim.overwrite(&Path::new(DIR).join("FORMAT"), line.into());
        try_open(&sim).unwrap_err()
    };

    let (newer, older) = (with_format(3), with_format(1));

    assert!(matches!(newer, OpenError::NewerFormat { found: 3, .. }));
    assert!(newer.to_string().contains("use the newer build"), "{newer}");
    assert!(matches!(older, OpenError::OlderFormat { found: 1, .. }));
    assert!(older.to_string().contains("import its events anew"), "{older}");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let sim = Disk::default();
    drop(open(&sim));
    let format = Path::new(DIR).join("FORMAT");

    sim.overwrite(&format, "something else".into());
    assert!(matches!(try_open(&sim), Err(OpenError::NotAStore { .. })));
    sim.delete(&format);
    assert!(matches!(try_open(&sim), Err(OpenError::NotAStore { .. })));
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let sim = Disk::default();
    let others = ["notes.tmp", "12.log", "00000000000000000012 copy.log", "x.idx.tmp"];
    let others = others.map(|name| Path::new(DIR).join(name));
    for other in &others {
        sim.overwrite(other, "theirs".into());
    }
    let half_written = Path::new(DIR).join("00000000000000000012.idx.tmp");
    sim.overwrite(&half_written, "ours".into());

    history(&open(&sim), 0..30).await;
    holds(&open(&sim), 30).await;

    assert!(others.iter().all(|other| sim.contents(other) == b"theirs"));
    assert!(!sim.exists(&half_written));
}

#[test]
fn an_unwritable_folder_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();

    let refused = EmbeddedStore::open(file.join("events"), &EmbeddedOptions::default());

    let error = refused.unwrap_err();
    assert!(matches!(error, OpenError::Io { action: "create", .. }), "{error}");
    assert!(error.to_string().contains("file/events"), "{error}");
}

#[test]
fn senseless_options_are_refused() {
    let with = |segment_bytes, append_bytes, append_events| EmbeddedOptions {
        segment_bytes,
        limits: Limits { append_bytes, append_events, ..Limits::default() },
        ..EmbeddedOptions::default()
    };
    let senseless =
        [with(4_095, 1, 1), with(2 << 30, 1, 1), with(4_096, 2 << 30, 1), with(4_096, 1, 2 << 20)];
    for options in senseless {
        let refused = EmbeddedStore::open_with(Arc::new(Disk::default()), DIR, &options);
        assert!(matches!(refused, Err(OpenError::Option { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn the_recorded_time_does_not_follow_a_clock_that_goes_back() {
    let sim = Disk::default();
    sim.set_clock(1_000_000);
    history(&open(&sim), 0..20).await;
    sim.set_clock(5);

    let store = open(&sim);
    history(&store, 20..40).await;
    sim.set_clock(0);
    history(&store, 40..45).await;

    holds(&store, 45).await;
}
