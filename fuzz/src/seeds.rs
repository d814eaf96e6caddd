//! Real stores, for mutations to begin with.

use std::sync::{Arc, OnceLock};

use daybook_event_store::{
    AtomicAppend, EmbeddedOptions, EmbeddedStore, EventStore, Expected, NewEvent, StreamId,
    StreamWrite,
};
use futures::executor::block_on;
use uuid::Uuid;

use crate::disk::{Disk, FOLDER, Files};
use crate::{COMPRESSED, Target, options};

/// The files of a store that was closed, with what its target is about.
pub fn seed(target: Target) -> Files {
    static SEEDS: [OnceLock<Files>; 4] = [const { OnceLock::new() }; 4];
    SEEDS[target as usize].get_or_init(|| make(target)).clone()
}

fn make(target: Target) -> Files {
    let disk = Disk::new(&Files::new());
    let events = if target == Target::Segment { 12 } else { 120 };
    let store = open(&disk, false);
    (0..events).for_each(|n| append(&store, n));
    let bounded = StreamId::new("order", 1).unwrap();
    block_on(store.delete(&bounded, Expected::Any)).unwrap();
    append(&store, 1_001);
    let ended = StreamId::new("order", 2).unwrap();
    block_on(store.tombstone(&ended, Expected::Any)).unwrap();
    drop(store);
    if matches!(target, Target::Compressed | Target::Folder) {
        compress(&disk);
    }
    let mut files = disk.files();
    files.remove("LOCK");
    assert_eq!(files.len() == 2, target == Target::Segment, "{:?}", files.keys());
    files
}

fn open(disk: &Disk, compress: bool) -> EmbeddedStore {
    let options = EmbeddedOptions { compress, ..options() };
    EmbeddedStore::open_with(Arc::new(disk.clone()), FOLDER, &options).unwrap()
}

fn compress(disk: &Disk) {
    let store = open(disk, true);
    let is_plain = |(name, file): &(&String, &Vec<u8>)| {
        name.ends_with(".log") && !file.starts_with(COMPRESSED)
    };
    // All but the last segment: the seed is always the same.
    while disk.files().iter().filter(is_plain).count() > 1 {
        std::thread::yield_now();
    }
    store.close();
}

/// One or two events for each of one or two streams.
fn append(store: &EmbeddedStore, n: u128) {
    let event = |id| NewEvent {
        id: Uuid::from_u128(id),
        kind: ["Even", "Odd"][usize::from(id % 2 == 1)].into(),
        data: format!("{n}-").repeat(20 + n as usize % 50).into(),
        metadata: format!("about {n}").into(),
        is_json: true,
    };
    let write = |share: u128| StreamWrite {
        stream: StreamId::new("order", (n + share) % 3 + 1).unwrap(),
        expected: Expected::Any,
        events: (0..=n % 2).map(|at| event(n << 16 | share << 8 | at)).collect(),
    };
    block_on(store.append_all((0..=n % 4 / 3).map(write).collect())).unwrap();
}
