//! What a store holds, by its index files.

use std::collections::BTreeMap;
use std::path::Path;

use super::cache::Io;
use super::error::{Fault, OpenError};
use super::index::{List, Span};
use super::open::Folder;
use super::segment::Segment;
use super::vfs::OpenMode;
use crate::StreamId;

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreSummary {
    /// Events of all time, also those that have been scavenged.
    pub events: u64,
    /// Streams that ever had an event.
    pub streams: u64,
    /// Segments that have events.
    pub segments: usize,
    /// Of these, segments that are compressed.
    pub compressed: usize,
    /// Bytes of the segments on disk.
    pub log_bytes: u64,
    /// Bytes of the segments as if none were compressed.
    pub plain_bytes: u64,
    /// Bytes of the indexes on disk.
    pub index_bytes: u64,
    /// How many events each category of streams has. Streams without a category are under the empty
    /// one.
    pub categories: BTreeMap<Box<str>, u64>,
    /// How many events there are of each type.
    pub kinds: BTreeMap<Box<str>, u64>,
    /// When the first event was recorded: microseconds since 1970-01-01T00:00:00Z.
    pub first_recorded_at: Option<i64>,
    /// When the last event was recorded.
    pub last_recorded_at: Option<i64>,
}

/// Sums a store up. One segment's index is in memory at a time.
pub(crate) fn summary(folder: &Folder) -> Result<StoreSummary, OpenError> {
    let (closed, last) = folder.glance()?;
    let mut summary = StoreSummary::default();
    for first in closed {
        summary.add(folder, &folder.closed_as_it_is(first)?.0)?;
    }
    if let Some(last) = last {
        summary.add(folder, &last.segment(folder))?;
    }
    summary.index_bytes = index_bytes(folder)?;
    Ok(summary)
}

impl StoreSummary {
    fn add(&mut self, folder: &Folder, segment: &Segment) -> Result<(), OpenError> {
        let path = folder.path(segment.first());
        let failed = |fault: Fault| {
            let error = std::io::Error::other(fault.into_read_error());
            OpenError::io("read", &path)(error)
        };
        if segment.first() == 0 {
            self.first_recorded_at = Some(recorded_at(segment, 0).map_err(failed)?);
        }
        for (name, Span { first, count: events }) in segment.spans().map_err(failed)? {
            if let Some(kind) = List::event_type(&name) {
                count(&mut self.kinds, kind, events);
            } else if List::is_stream(&name) {
                // Each stream's first event is in one segment only.
                self.streams += u64::from(first == 0);
                count(&mut self.categories, StreamId::checked(&name).category(), events);
            }
        }
        self.segments += 1;
        self.compressed += usize::from(segment.is_compressed());
        self.events += segment.count();
        self.plain_bytes += segment.length();
        self.log_bytes += length(folder, &path)?;
        self.last_recorded_at = Some(segment.recorded_at());
        Ok(())
    }
}

fn count(counts: &mut BTreeMap<Box<str>, u64>, name: &str, events: u64) {
    if let Some(count) = counts.get_mut(name) {
        *count += events;
    } else {
        counts.insert(name.into(), events);
    }
}

fn recorded_at(segment: &Segment, position: u64) -> Result<i64, Fault> {
    let offsets = segment.offsets(position..position + 1, Io::Allowed)?;
    let bytes = segment.read(offsets[0].into()..offsets[1].into(), Io::Allowed)?;
    Ok(segment.record(&bytes, position, offsets[0].into())?.recorded_at())
}

fn length(folder: &Folder, path: &Path) -> Result<u64, OpenError> {
    let file = folder.vfs.open(path, OpenMode::Read);
    file.and_then(|file| file.length()).map_err(OpenError::io("measure", path))
}

/// The bytes of everything that can be made again from the segments.
fn index_bytes(folder: &Folder) -> Result<u64, OpenError> {
    let names = folder.vfs.list(&folder.dir).map_err(OpenError::io("list", &folder.dir))?;
    let is_index = |name: &&String| {
        Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "idx" || extension == "run")
    };
    // One may have been merged away since.
    let bytes = names.iter().filter(is_index).map(|name| length(folder, &folder.dir.join(name)));
    Ok(bytes.map(Result::unwrap_or_default).sum())
}
