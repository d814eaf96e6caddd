//! The engines do the same work: what the embedded engine promises, its peers keep as well.

#![cfg(test)]

use std::path::Path;

use bytes::Bytes;
use daybook_event_store::{
    AppendError, Appended, EmbeddedOptions, Expected, NewEvent, Position, Revision, StreamId,
};
use daybook_event_store_comparison::{
    Appends, Embedded, Engine, Raw, Reader, Redb, Select, Sqlite,
};
use tempfile::TempDir;
use uuid::Uuid;

const CACHE: u64 = 1 << 20;

/// Runs each contract on each engine.
macro_rules! contracts {
    ($($contract:ident)*) => {
        mod embedded { $(#[tokio::test] async fn $contract() {
            super::$contract(|dir| super::Embedded::open(dir, &super::EmbeddedOptions::default()).unwrap()).await;
        })* }
        mod sqlite { $(#[tokio::test] async fn $contract() {
            super::$contract(|dir| super::Sqlite::open(dir, super::CACHE).unwrap()).await;
        })* }
        mod redb { $(#[tokio::test] async fn $contract() {
            super::$contract(|dir| super::Redb::open(dir, super::CACHE).unwrap()).await;
        })* }
    };
}

contracts! {
    a_wrong_expectation_is_a_conflict
    a_repeated_append_appends_nothing
    an_id_is_used_once_in_a_stream
    streams_and_categories_are_read_in_order
    what_was_appended_is_there_after_opening_again
    writers_side_by_side_lose_nothing
}

fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

fn event(text: &str) -> NewEvent {
    let (data, metadata) = (Bytes::from(text.to_owned()), Bytes::from_static(b"about it"));
    NewEvent { id: Uuid::now_v7(), kind: "Happened".into(), data, metadata, is_json: true }
}

/// Stream, revision, position, and all that was in the event.
type Seen = (String, u64, u64, NewEvent);

async fn seen(engine: &impl Engine, select: Select<'_>) -> Vec<Seen> {
    let mut seen = Vec::new();
    let visit = |view: daybook_event_store_comparison::View<'_>| {
        assert!(view.recorded_at > 1_577_836_800_000_000, "recorded long ago: {view:?}");
        let (data, metadata) =
            (Bytes::copy_from_slice(view.data), Bytes::copy_from_slice(view.metadata));
        let event = NewEvent { id: view.id, kind: view.kind.into(), data, metadata, is_json: true };
        seen.push((view.stream.to_owned(), view.revision, view.position, event));
    };
    engine.reader().unwrap().read(select, visit).await.unwrap();
    seen
}

fn at(revision: u64, position: u64) -> Appended {
    Appended { revision: Revision(revision), position: Position(position) }
}

async fn a_wrong_expectation_is_a_conflict<E: Engine>(open: impl Fn(&Path) -> E) {
    let dir = TempDir::new().unwrap();
    let (engine, order) = (open(dir.path()), stream("order-1"));
    let append = |expected| engine.append(&order, expected, vec![event("one")]);
    let conflict = |expected, actual: Option<u64>| {
        let (stream, actual) = (order.clone(), actual.map(Revision));
        Err(AppendError::Conflict { stream, expected, actual })
    };

    let (exists, first) = (Expected::StreamExists, Expected::At(Revision(0)));
    assert_eq!(append(exists).await, conflict(exists, None));
    assert_eq!(append(first).await, conflict(first, None));
    assert_eq!(append(Expected::NoStream).await, Ok(at(0, 0)));
    assert_eq!(append(Expected::NoStream).await, conflict(Expected::NoStream, Some(0)));
    assert_eq!(append(first).await, Ok(at(1, 1)));
    assert_eq!(append(first).await, conflict(first, Some(1)));
    assert_eq!(append(exists).await, Ok(at(2, 2)));
    assert_eq!(seen(&engine, Select::All).await.len(), 3);
}

async fn a_repeated_append_appends_nothing<E: Engine>(open: impl Fn(&Path) -> E) {
    let dir = TempDir::new().unwrap();
    let (engine, order) = (open(dir.path()), stream("order-1"));
    let batch = vec![event("one"), event("two")];
    assert_eq!(engine.append(&order, Expected::NoStream, batch.clone()).await, Ok(at(1, 1)));
    assert_eq!(engine.append(&order, Expected::Any, vec![event("three")]).await, Ok(at(2, 2)));

    let again = engine.append(&order, Expected::NoStream, batch.clone()).await;
    let whatever_is_expected = engine.append(&order, Expected::Any, batch).await;

    assert_eq!(again, Ok(at(1, 1)));
    assert_eq!(whatever_is_expected, Ok(at(1, 1)));
    assert_eq!(seen(&engine, Select::All).await.len(), 3);
}

async fn an_id_is_used_once_in_a_stream<E: Engine>(open: impl Fn(&Path) -> E) {
    let dir = TempDir::new().unwrap();
    let (engine, order, other) = (open(dir.path()), stream("order-1"), stream("order-2"));
    let (used, new) = (event("used"), event("new"));
    engine.append(&order, Expected::Any, vec![used.clone()]).await.unwrap();
    let reused = Err(AppendError::IdReused { id: used.id });

    let elsewhere = engine.append(&other, Expected::NoStream, vec![used.clone()]).await;
    let repeated = engine.append(&other, Expected::NoStream, vec![used.clone()]).await;
    let in_part = engine.append(&order, Expected::Any, vec![new.clone(), used]).await;
    let twice = engine.append(&order, Expected::Any, vec![new.clone(), new.clone()]).await;
    let at_last = engine.append(&order, Expected::At(Revision(0)), vec![new.clone()]).await;

    assert_eq!((&elsewhere, &repeated), (&Ok(at(0, 1)), &Ok(at(0, 1))));
    assert_eq!(in_part, reused);
    assert_eq!(twice, Err(AppendError::IdReused { id: new.id }));
    assert_eq!(at_last, Ok(at(1, 2)));
    assert_eq!(seen(&engine, Select::All).await.len(), 3);
}

async fn streams_and_categories_are_read_in_order<E: Engine>(open: impl Fn(&Path) -> E) {
    let dir = TempDir::new().unwrap();
    let engine = open(dir.path());
    let names = ["order-2", "stock-1", "order-1", "order", "order.1", "orders-1", "order-2"];
    let mut expected = Vec::new();
    for (position, name) in (0..).zip(names) {
        let event = event(name);
        engine.append(&stream(name), Expected::Any, vec![event.clone()]).await.unwrap();
        let before = expected.iter().filter(|(known, ..): &&Seen| known == name).count();
        expected.push((name.to_owned(), before as u64, position, event));
    }
    let only = |wanted: fn(&str) -> bool| -> Vec<Seen> {
        expected.iter().filter(|(name, ..)| wanted(name)).cloned().collect()
    };

    let all = seen(&engine, Select::All).await;
    let category = seen(&engine, Select::Category("order")).await;
    let one = seen(&engine, Select::Stream(&stream("order-2"))).await;
    let none = seen(&engine, Select::Stream(&stream("order-3"))).await;

    assert_eq!(all, expected);
    assert_eq!(category, only(|name| name.starts_with("order-")));
    assert_eq!(one, only(|name| name == "order-2"));
    assert_eq!(none, []);
}

async fn what_was_appended_is_there_after_opening_again<E: Engine>(open: impl Fn(&Path) -> E) {
    let dir = TempDir::new().unwrap();
    let (order, first) = (stream("order-1"), event("one"));
    let engine = open(dir.path());
    engine.append(&order, Expected::NoStream, vec![first.clone()]).await.unwrap();
    let before = seen(&engine, Select::All).await;
    drop(engine);

    let engine = open(dir.path());

    assert_eq!(seen(&engine, Select::All).await, before);
    assert_eq!(engine.append(&order, Expected::NoStream, vec![first]).await, Ok(at(0, 0)));
    let next = engine.append(&order, Expected::At(Revision(0)), vec![event("two")]).await;
    assert_eq!(next, Ok(at(1, 1)));
}

async fn writers_side_by_side_lose_nothing<E: Engine>(open: impl Fn(&Path) -> E) {
    let dir = TempDir::new().unwrap();
    let engine = open(dir.path());
    let hot = stream("order-1");
    let write = |writer: usize| {
        let (engine, hot) = (&engine, &hot);
        async move {
            let mut expected = Expected::NoStream;
            for turn in 0..10 {
                let events = vec![event(&format!("{writer} {turn}"))];
                while let Err(error) = engine.append(hot, expected, events.clone()).await {
                    let AppendError::Conflict { actual, .. } = error else { panic!("{error}") };
                    expected = actual.map_or(Expected::NoStream, Expected::At);
                }
            }
        }
    };

    futures::future::join_all((0..8).map(write)).await;

    let seen = seen(&engine, Select::Stream(&hot)).await;
    let texts: std::collections::BTreeSet<_> = seen.iter().map(|(.., event)| &event.data).collect();
    assert!(seen.iter().map(|(_, revision, ..)| *revision).eq(0..80));
    assert_eq!(texts.len(), 80);
}

#[tokio::test]
async fn the_bare_file_takes_the_bytes_of_the_engine_s_records() {
    let dir = TempDir::new().unwrap();
    let (raw_dir, engine_dir) = (dir.path().join("raw"), dir.path().join("engine"));
    let (raw, engine) = (
        Raw::open(&raw_dir).unwrap(),
        Embedded::open(&engine_dir, &EmbeddedOptions::default()).unwrap(),
    );
    for n in 0..200 {
        let (stream, events) = (stream(&format!("order-{n}")), vec![event("one"), event("two")]);
        raw.append(&stream, Expected::NoStream, events.clone()).await.unwrap();
        engine.append(&stream, Expected::NoStream, events).await.unwrap();
    }
    drop((raw, engine));

    let bytes = |file: &Path| std::fs::read(file).unwrap().len();
    let (raw, log) = (bytes(&raw_dir.join("raw")), bytes(&segment(&engine_dir)));
    assert!(raw.abs_diff(log) * 50 < log, "{raw} bytes beside the engine's {log}");
}

fn segment(dir: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.extension().is_some_and(|extension| extension == "log")).unwrap()
}
