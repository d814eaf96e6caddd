//! What arbitrary bytes are fed to: the files of a store, and the server on its wire. And what must come of it: no panic, no endless loop, no memory
//! out of proportion, an error that tells the place. Checksums say nothing here.

mod disk;
mod seeds;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use daybook_event_store::{
    AppendError, Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter, NewEvent,
    OpenError, ReadError, Recorded, Revision, StreamId,
};
use disk::{Disk, FOLDER};
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

pub use disk::Files;
pub use seeds::seed;
pub use wire::Wire;

/// How a compressed segment begins.
const COMPRESSED: &[u8] = b"DAYBOOKZ";

/// Which file of a store the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The last segment, which is recovered.
    Segment,
    /// A closed segment's index.
    Index,
    /// A compressed segment.
    Compressed,
    /// All of them, one after another, each with its length (4 bytes) before it.
    Folder,
}

/// What came of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The store was not opened.
    Refused,
    /// The store was opened, and something of it could not be read.
    Damaged,
    /// Everything could be read.
    Read,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 4] = [Self::Segment, Self::Index, Self::Compressed, Self::Folder];

    /// The file that the bytes are, in a store that is otherwise as it should be.
    pub fn file(self) -> Option<&'static str> {
        match self {
            Self::Segment | Self::Compressed => Some("00000000000000000000.log"),
            Self::Index => Some("00000000000000000000.idx"),
            Self::Folder => None,
        }
    }

    /// Feeds the bytes to the store.
    ///
    /// # Panics
    /// A promise was broken.
    pub fn run(self, bytes: &[u8]) -> Outcome {
        let mut files = seed(self);
        match self.file() {
            Some(name) => {
                files.insert(name.into(), bytes.to_vec());
            }
            None => put(&mut files, bytes),
        }
        let disk = Disk::new(&files);
        let outcome = open_and_read(&disk, files.values().map(plain_bytes).sum());
        if self == Self::Segment && outcome != Outcome::Refused {
            assert_eq!(outcome, Outcome::Read, "recovery reads all that there is");
            append_and_reopen(&disk);
        }
        outcome
    }
}

/// Puts the bytes in the places of all files, in their order.
fn put(files: &mut Files, mut bytes: &[u8]) {
    for file in files.values_mut() {
        let Some((length, rest)) = bytes.split_first_chunk() else { return };
        let length = u32::from_le_bytes(*length) as usize;
        let (content, rest) = rest.split_at(length.min(rest.len()));
        *file = content.to_vec();
        bytes = rest;
    }
}

/// Most bytes of a file's contents: no records that are good are compressed to less than a 32nd.
fn plain_bytes(file: &Vec<u8>) -> usize {
    if file.starts_with(COMPRESSED) { file.len() * 32 } else { file.len() }
}

/// All files as one text, which [`Target::Folder`] takes apart.
pub fn folder(files: &Files) -> Vec<u8> {
    let length = |file: &Vec<u8>| u32::try_from(file.len()).unwrap().to_le_bytes();
    files.values().flat_map(|file| [&length(file)[..], file].concat()).collect()
}

fn options() -> EmbeddedOptions {
    EmbeddedOptions { segment_bytes: 20 << 10, cache_bytes: 256 << 10, ..Default::default() }
}

fn open(disk: &Disk) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open_with(Arc::new(disk.clone()), FOLDER, &options())
}

fn open_and_read(disk: &Disk, bytes: usize) -> Outcome {
    let store = match open(disk) {
        Ok(store) => store,
        Err(error) => {
            assert!(!matches!(error, OpenError::Io { .. }), "nothing refuses I/O: {error:?}");
            return Outcome::Refused;
        }
    };
    let Some(events) = read_all(&store, bytes) else { return Outcome::Damaged };
    let ordered = events.windows(2).all(|pair| pair[0].position < pair[1].position);
    assert!(ordered, "positions do not increase");
    let mut outcome = Outcome::Read;
    for kind in events.iter().map(|event| &*event.kind).collect::<BTreeSet<_>>() {
        let read = store.read_all(None, Filter::kinds(&[kind])).take(bytes);
        if block_on(read.try_collect::<Vec<_>>()).is_err_and(is_damage) {
            outcome = Outcome::Damaged;
        }
    }
    let streams: BTreeSet<_> = events.iter().map(|event| &event.stream).collect();
    for stream in streams {
        for (from, direction) in
            [(Revision::START, Direction::Forward), (Revision::END, Direction::Backward)]
        {
            let read = store.read(stream, from, direction).take(bytes);
            if block_on(read.try_collect::<Vec<_>>()).is_err_and(is_damage) {
                outcome = Outcome::Damaged;
            }
        }
        if let Err(error) = append(&store, stream) {
            assert!(!matches!(error, AppendError::Stopped { .. }), "nothing stops it: {error}");
        }
    }
    outcome
}

/// No event takes less than 48 bytes.
fn read_all(store: &EmbeddedStore, bytes: usize) -> Option<Vec<Recorded>> {
    let events = store.read_all(None, Filter::all()).take(bytes);
    let events: Vec<_> = match block_on(events.try_collect()) {
        Ok(events) => events,
        Err(error) => {
            assert!(is_damage(error), "all events are never deleted");
            return None;
        }
    };
    assert!(events.len() <= bytes / 48, "{} events of {bytes} bytes", events.len());
    Some(events)
}

/// Only damage may be told, with its place, or that a stream was ended.
fn is_damage(error: ReadError) -> bool {
    match error {
        ReadError::Damaged { place, .. } => assert!(place.contains("offset"), "{place}"),
        ReadError::Deleted { .. } => return false,
        error => panic!("nothing refuses I/O: {error}"),
    }
    true
}

fn append(store: &EmbeddedStore, stream: &StreamId) -> Result<(), AppendError> {
    let event = NewEvent {
        id: Uuid::from_u128(u128::MAX),
        kind: "Appended".into(),
        data: "after".into(),
        metadata: "".into(),
        is_json: true,
    };
    block_on(store.append(stream, Expected::Any, vec![event])).map(drop)
}

/// What could be read once can be read again, and a recovered store takes appends.
fn append_and_reopen(disk: &Disk) {
    let bytes = 1 << 30;
    let before = {
        let store = open(disk).expect("what was opened can be opened again");
        let stream = StreamId::new("new", "stream").unwrap();
        let appended = append(&store, &stream);
        let refused =
            matches!(appended, Err(AppendError::IdReused { .. } | AppendError::Deleted { .. }));
        assert!(appended.is_ok() || refused, "{appended:?}");
        read_all(&store, bytes).expect("a recovered store can be read")
    };
    let store = open(disk).expect("a closed store can be opened");
    assert_eq!(read_all(&store, bytes).as_ref(), Some(&before));
}
