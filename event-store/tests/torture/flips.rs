//! Every single bit of a segment of 64 KiB is flipped, one at a time. Each flip is reported with
//! its place, or is one of those of which it is known beforehand that they change no answer.
//!
//! `TORTURE_FLIPS=n` flips every n-th bit only. Without optimisation that is what is done.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_event_store::{
    AppendError, Appended, Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter,
    NewEvent, OpenError, ReadError, Recorded, Revision, StreamId,
};
use fastrand::Rng;
use futures::TryStreamExt;
use futures::executor::block_on;
use uuid::Uuid;

use crate::bits::{Files, Flipped};
use crate::child::none_starts;
use crate::kills::number;

const SEGMENT: usize = 64 << 10;
const SEGMENT_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const RECORD_HEADER: usize = 48;

/// A store whose first segment has 64 KiB.
struct Given {
    files: Files,
    /// The first segment's file.
    segment: PathBuf,
    frames: Vec<Frame>,
    /// All events of the store.
    events: Vec<Recorded>,
}

/// Where a frame is in its segment, with its padding, and where its records are.
#[derive(Debug, Clone)]
struct Frame {
    extent: Range<usize>,
    records: Vec<Range<usize>>,
}

impl Frame {
    fn end(&self) -> usize {
        self.extent.end
    }
}

/// How the store came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was closed.
    Closed,
    /// Its process died; nothing vouches for its last frame.
    Killed,
    /// Likewise, with room in the segment for other frames, which is prepared.
    KilledEarly,
    /// The first segment was full, and is followed by another.
    RolledOver,
    /// Likewise, and it was compressed.
    Compressed,
}

fn options(compress: bool) -> EmbeddedOptions {
    EmbeddedOptions {
        segment_bytes: SEGMENT as u64,
        cache_bytes: 1 << 20,
        compress,
        ..Default::default()
    }
}

fn event(rng: &mut Rng, bytes: usize) -> NewEvent {
    // Compressible, or nothing would be compressed.
    let data = (0..bytes).map(|_| rng.u8(b'a'..b'f')).collect::<Vec<_>>();
    let id = Uuid::from_u128(rng.u128(..));
    NewEvent { id, kind: "Flipped".into(), data: data.into(), metadata: "m".into(), is_json: true }
}

fn append(store: &EmbeddedStore, rng: &mut Rng, events: Vec<NewEvent>) {
    let stream = StreamId::new("order", rng.u32(..5)).unwrap();
    block_on(store.append(&stream, Expected::Any, events)).unwrap();
}

impl Given {
    fn new(end: End) -> Self {
        let (dir, mut rng) = (tempfile::tempdir().unwrap(), Rng::with_seed(7));
        let _none_starts = none_starts();
        let store = EmbeddedStore::open(dir.path(), &options(false)).unwrap();
        let segment = dir.path().join("00000000000000000000.log");
        let length = || frames(&std::fs::read(&segment).unwrap()).last().map_or(0, Frame::end);
        while length() < SEGMENT - 4_000 {
            let events = (0..rng.usize(1..4)).map(|_| rng.usize(..700)).collect::<Vec<_>>();
            let events = events.into_iter().map(|bytes| event(&mut rng, bytes)).collect();
            append(&store, &mut rng, events);
        }
        let vouching = if end == End::Closed { FRAME_HEADER } else { 0 };
        let names = "order-0Flippedm".len();
        let rest = SEGMENT - vouching - length();
        let last = event(&mut rng, rest - FRAME_HEADER - RECORD_HEADER - names);
        if end != End::KilledEarly {
            append(&store, &mut rng, vec![last]);
        }
        if matches!(end, End::RolledOver | End::Compressed) {
            let next = event(&mut rng, 100);
            append(&store, &mut rng, vec![next]);
        }
        if !matches!(end, End::Killed | End::KilledEarly) {
            store.close();
        }
        let plain = std::fs::read(&segment).unwrap();
        assert_eq!(plain.len(), SEGMENT);
        let events = read(&store).unwrap();
        if end == End::Compressed {
            drop(store);
            compress(dir.path(), &segment);
        }
        Self { files: files(dir.path()), frames: frames(&plain), segment, events }
    }

    /// The frame or the record that a byte is in.
    fn place(&self, byte: usize) -> Place<'_> {
        let Some(frame) = self.frames.iter().find(|frame| frame.extent.contains(&byte)) else {
            return Place::SegmentHeader;
        };
        match frame.records.iter().find(|record| record.contains(&byte)) {
            Some(record) => Place::Record(record),
            None => Place::Between(frame),
        }
    }

    fn last_frame(&self) -> &Frame {
        self.frames.last().unwrap()
    }
}

/// What a byte of a segment belongs to.
enum Place<'a> {
    SegmentHeader,
    /// A frame's header or its padding.
    Between(&'a Frame),
    Record(&'a Range<usize>),
}

fn compress(dir: &Path, segment: &Path) {
    let store = EmbeddedStore::open(dir, &options(true)).unwrap();
    while std::fs::read(segment).unwrap()[..8] != *b"DAYBOOKZ" {
        std::thread::yield_now();
    }
    store.close();
}

fn files(dir: &Path) -> Files {
    let paths = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    paths.map(|path| (path.clone(), std::fs::read(path).unwrap().into())).collect()
}

/// Reads a segment as its description says, not as the engine does.
fn frames(segment: &[u8]) -> Vec<Frame> {
    let u32_at = |at: usize| u32::from_le_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
    let (mut frames, mut at) = (Vec::new(), SEGMENT_HEADER);
    while at < segment.len() && u32_at(at) != 0 {
        let (body, count) = (u32_at(at + 8), u32_at(at + 12));
        let (mut records, mut record) = (Vec::new(), at + FRAME_HEADER);
        for _ in 0..count {
            let end = record + u32_at(record + 4);
            records.push(record..end);
            record = end;
        }
        let end = at + (FRAME_HEADER + body).next_multiple_of(8);
        frames.push(Frame { extent: at..end, records });
        at = end;
    }
    frames
}

fn read(store: &EmbeddedStore) -> Result<Vec<Recorded>, ReadError> {
    block_on(store.read_all(None, Filter::all()).try_collect())
}

/// What comes of a store with a flipped bit.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It is damaged, in this file at this offset.
    Reported(String, usize),
    /// It holds the first so many events, each as it was.
    Holds(usize),
}

impl Outcome {
    fn is_reported_in(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap().to_str().unwrap();
        matches!(self, Self::Reported(file, _) if file == name)
    }
}

impl Given {
    fn open(&self, of: &Path, bit: usize, to_write: bool) -> Result<EmbeddedStore, OpenError> {
        let vfs = Arc::new(Flipped::new(&self.files, of, bit));
        let dir = of.parent().unwrap();
        if to_write {
            EmbeddedStore::open_with(vfs, dir, &options(false))
        } else {
            EmbeddedStore::open_read_only_with(vfs, dir, &options(false))
        }
    }

    /// Opens the store, to write or only to read, and reads everything.
    fn outcome(&self, of: &Path, bit: usize, to_write: bool) -> Outcome {
        match self.open(of, bit, to_write) {
            Ok(store) => self.outcome_of_reading(read(&store)),
            Err(OpenError::Damaged { segment, offset, .. }) => {
                let file = segment.file_name().unwrap().to_str().unwrap().to_owned();
                Outcome::Reported(file, usize::try_from(offset).unwrap())
            }
            Err(error) => panic!("bit {bit}: {error:?}"),
        }
    }

    fn outcome_of_reading(&self, read: Result<Vec<Recorded>, ReadError>) -> Outcome {
        match read {
            Ok(events) => {
                assert_eq!(self.events.get(..events.len()), Some(&events[..]), "a wrong answer");
                Outcome::Holds(events.len())
            }
            Err(ReadError::Damaged { place, .. }) => {
                let (file, offset) = place.split_once(", offset ").unwrap();
                Outcome::Reported(file.into(), offset.parse().unwrap())
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Flips every bit of a file, on both cores.
    fn flip_all(&self, of: &Path, check: impl Fn(usize) + Sync) {
        let bits = self.files[of].len() * 8;
        let stride =
            number("TORTURE_FLIPS").unwrap_or(if cfg!(debug_assertions) { 997 } else { 1 });
        let stride = usize::try_from(stride).unwrap();
        let threads = std::thread::available_parallelism().unwrap().get();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let check = &check;
                scope.spawn(move || {
                    for bit in (0..bits).step_by(stride).skip(thread).step_by(threads) {
                        check(bit);
                    }
                });
            }
        });
    }

    fn streams(&self) -> BTreeSet<StreamId> {
        self.events.iter().map(|event| event.stream.clone()).collect()
    }

    fn of_stream(&self, stream: &StreamId) -> Vec<Recorded> {
        self.events.iter().filter(|event| event.stream == *stream).cloned().collect()
    }

    fn reported(&self, offset: usize) -> Outcome {
        let file = self.segment.file_name().unwrap().to_str().unwrap();
        Outcome::Reported(file.into(), offset)
    }

    /// Where opening reports a flip, which reads all frames.
    fn reported_by_opening(&self, byte: usize) -> Outcome {
        match self.place(byte) {
            Place::SegmentHeader => self.reported(0),
            Place::Record(record) => self.reported(record.start),
            // The padding is found to be not zero where the last record ends.
            Place::Between(frame) if byte >= frame.extent.start + FRAME_HEADER => {
                self.reported(frame.records.last().unwrap().end)
            }
            Place::Between(frame) => self.reported(frame.extent.start),
        }
    }
}

/// Flips every bit of the first segment, each of which must have its outcome.
fn flip_segment(given: &Given, to_write: bool, must: impl Fn(usize) -> Outcome + Sync) {
    given.flip_all(&given.segment, |bit| {
        let outcome = given.outcome(&given.segment, bit, to_write);
        assert_eq!(outcome, must(bit / 8), "bit {bit}");
    });
}

#[test]
fn every_bit_of_a_last_segment_that_was_closed_is_reported() {
    let given = Given::new(End::Closed);
    let vouching = given.last_frame().extent.clone();
    assert_eq!(vouching.len(), FRAME_HEADER);

    flip_segment(&given, true, |byte| {
        if vouching.contains(&byte) {
            // It only says that the frames before it are durable, and none of them is doubted.
            Outcome::Holds(given.events.len())
        } else {
            given.reported_by_opening(byte)
        }
    });
}

#[test]
fn every_bit_before_the_last_frame_of_a_killed_process_is_reported() {
    for end in [End::Killed, End::KilledEarly] {
        let given = Given::new(end);
        let last = given.last_frame();

        flip_segment(&given, true, |byte| {
            if last.extent.contains(&byte) {
                // It cannot be told from a write that was cut short.
                Outcome::Holds(given.events.len() - last.records.len())
            } else if byte >= last.end() {
                // It may be of a write that was never acknowledged.
                Outcome::Holds(given.events.len())
            } else {
                given.reported_by_opening(byte)
            }
        });
    }
}

#[test]
fn every_bit_of_a_record_in_a_closed_segment_is_reported_by_who_reads_it() {
    let given = Given::new(End::RolledOver);

    flip_segment(&given, false, |byte| match given.place(byte) {
        Place::SegmentHeader => given.reported(0),
        Place::Record(record) => given.reported(record.start),
        // No reader needs it, and whoever reads the segment without its index reports it.
        Place::Between(_) => Outcome::Holds(given.events.len()),
    });
}

#[test]
fn every_bit_of_a_closed_segment_without_its_index_is_reported() {
    let mut given = Given::new(End::RolledOver);
    given.files.remove(&given.segment.with_extension("idx")).unwrap();

    flip_segment(&given, true, |byte| given.reported_by_opening(byte));
}

#[test]
fn every_bit_of_a_compressed_segment_is_reported() {
    let given = Given::new(End::Compressed);

    given.flip_all(&given.segment, |bit| {
        let outcome = given.outcome(&given.segment, bit, false);
        assert!(outcome.is_reported_in(&given.segment), "bit {bit}: {outcome:?}");
    });
}

#[test]
fn no_bit_of_an_index_changes_an_answer() {
    let given = Given::new(End::RolledOver);
    let index = given.segment.with_extension("idx");
    let repeated = &given.events[given.events.len() / 2];

    given.flip_all(&index, |bit| {
        let store = given.open(&index, bit, true).unwrap();
        for stream in given.streams() {
            let events = store.read(&stream, Revision::START, Direction::Forward);
            let read = block_on(events.try_collect::<Vec<_>>());
            let right = read.as_ref().is_ok_and(|events| *events == given.of_stream(&stream));
            let reported = || given.outcome_of_reading(read.clone()).is_reported_in(&index);
            assert!(right || reported(), "bit {bit}, {stream}: {read:?}");
        }
        let outcome = given.outcome_of_reading(read(&store));
        let right = outcome == Outcome::Holds(given.events.len());
        assert!(right || outcome.is_reported_in(&index), "bit {bit}: {outcome:?}");
        match repeat(&store, repeated) {
            Ok(appended) => assert_eq!(appended.position, repeated.position, "bit {bit}"),
            Err(error) => assert!(matches!(error, AppendError::Unavailable { .. }), "bit {bit}"),
        }
    });
}

/// Appends an event that is there.
fn repeat(store: &EmbeddedStore, event: &Recorded) -> Result<Appended, AppendError> {
    block_on(store.append(&event.stream, Expected::Any, vec![event.to_new()]))
}
