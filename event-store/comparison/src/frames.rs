//! The raw loop: one thread that writes and syncs frames as large as those that the embedded
//! engine wrote, one after another, and does nothing else.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::stats::{Sample, Stretch};

/// Bytes of a segment before its first frame, by the format's document.
const FIRST_FRAME: u64 = 32;
/// Bytes of a frame's header.
const HEADER: usize = 24;
/// What a frame's header begins with.
const MAGIC: u32 = 0xDAB0_0F4E;

/// The frames of a store that others write to.
#[derive(Debug)]
pub(crate) struct Frames {
    dir: PathBuf,
    /// The segment that was read last, and where its next frame begins.
    segment: PathBuf,
    offset: u64,
}

/// A frame: its bytes, and how many events are in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    bytes: usize,
    events: u64,
}

impl Frames {
    /// From the first on.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.into(), segment: PathBuf::new(), offset: FIRST_FRAME }
    }

    /// Those that were written since the last time, with so many events, no more and no less.
    pub(crate) fn next(&mut self, events: u64) -> anyhow::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        for segment in segments(&self.dir)? {
            if segment < self.segment {
                continue;
            }
            if segment > self.segment {
                (self.segment, self.offset) = (segment, FIRST_FRAME);
            }
            let file = File::open(&self.segment)?;
            while let Some(frame) = frame(&file, self.offset)? {
                self.offset += frame.bytes as u64;
                frames.push(frame);
            }
        }
        let found: u64 = frames.iter().map(|frame| frame.events).sum();
        ensure!(found == events, "the log has {found} new events instead of {events}");
        Ok(frames)
    }
}

fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort_unstable();
    Ok(paths)
}

/// The frame at an offset, if there is one yet.
fn frame(file: &File, offset: u64) -> io::Result<Option<Frame>> {
    let mut header = [0; HEADER];
    match file.read_exact_at(&mut header, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    }
    let number = |at: usize| {
        let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        u32::from_le_bytes(bytes)
    };
    let bytes = (HEADER + number(8) as usize).next_multiple_of(8);
    Ok((number(0) == MAGIC).then(|| Frame { bytes, events: number(12).into() }))
}

/// Writes as many bytes for each frame to a new file, and syncs them.
pub(crate) fn raw_loop(file: &Path, frames: &[Frame]) -> io::Result<Sample> {
    let output = File::create(file)?;
    let buffer = vec![0x5a; frames.iter().map(|frame| frame.bytes).max().unwrap_or_default()];
    let (stretch, mut offset, mut events) = (Stretch::begin(), 0, 0);
    for frame in frames {
        output.write_all_at(&buffer[..frame.bytes], offset)?;
        output.sync_data()?;
        offset += frame.bytes as u64;
        events += frame.events;
    }
    let sample = stretch.end(events, Vec::new());
    fs::remove_file(file)?;
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use daybook_event_store::{
        EmbeddedOptions, EmbeddedStore, EventStore, Expected, NewEvent, StreamId,
    };
    use uuid::Uuid;

    use super::*;

    async fn append(store: &EmbeddedStore, count: usize) {
        let event = |_| NewEvent {
            id: Uuid::now_v7(),
            kind: "Happened".into(),
            data: Bytes::from_static(&[7; 900]),
            metadata: Bytes::new(),
            is_json: true,
        };
        let stream = StreamId::new("order", Uuid::now_v7()).unwrap();
        store.append(&stream, Expected::Any, (0..count).map(event).collect()).await.unwrap();
    }

    #[tokio::test]
    async fn frames_are_read_once_each_over_all_segments() {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { segment_bytes: 8 << 10, ..EmbeddedOptions::default() };
        let store = EmbeddedStore::open(dir.path(), &options).unwrap();
        let mut frames = Frames::new(dir.path());
        for count in [1, 3, 2, 4, 5] {
            append(&store, count).await;
        }

        let first = frames.next(15).unwrap();
        append(&store, 2).await;
        let second = frames.next(2).unwrap();

        let events = |frames: &[Frame]| frames.iter().map(|frame| frame.events).collect::<Vec<_>>();
        assert_eq!(events(&first), [1, 3, 2, 4, 5]);
        assert_eq!(events(&second), [2]);
        assert!(first.iter().all(|frame| frame.bytes as u64 > frame.events * 900));
        assert_eq!(frames.next(0).unwrap(), []);
        assert!(frames.next(1).is_err());
    }

    #[test]
    fn the_raw_loop_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let frames = [Frame { bytes: 1_096, events: 1 }, Frame { bytes: 64_000, events: 60 }];

        let sample = raw_loop(&dir.path().join("raw"), &frames).unwrap();

        assert!(sample[&crate::Figure::PerSecond] > 0.0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
