//! Everything that can still be read of a store that is damaged.

use std::io;

use bytes::Bytes;

use super::backup::Progress;
use super::error::OpenError;
use super::format::Record;
use super::inspect::{self, Finding, Seen, Suspect};
use super::open::Folder;
use crate::{Position, RecordedEvent, StreamId};

/// A piece of what is left of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Salvaged {
    /// An event.
    Event {
        /// As it stands in the store.
        event: RecordedEvent,
        /// It was dropped by scavenging: it has no metadata and no payload, and readers did not
        /// see it any more.
        scavenged: bool,
        /// It is in a frame that is not whole, at the end of the last segment: it may never have
        /// been acknowledged.
        unfinished: bool,
    },
    /// Bytes without an event, and the events that were there.
    Lost(Finding),
}

/// What is left of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Salvage {
    /// Events that can be read.
    pub events: u64,
    /// Of these, events that may never have been acknowledged.
    pub unfinished: u64,
    /// Stretches that cannot be read.
    pub lost: u64,
    /// Events that are known to be lost. There may be more after the last one that was found.
    pub lost_events: u64,
}

/// Reads what can be read, in order.
pub(crate) fn salvage(
    folder: &Folder,
    take: &mut dyn FnMut(Salvaged) -> io::Result<()>,
    progress: Progress<'_>,
) -> Result<Salvage, OpenError> {
    let segments = inspect::segments(folder)?;
    if segments.is_empty() {
        let reason = "it has no segment".into();
        return Err(OpenError::NotAStore { path: folder.dir.clone(), reason });
    }
    let mut taker = Taker { take, salvage: Salvage::default(), failed: None };
    let (mut done, total) = (0, segments.len() as u64);
    taker.missing(0..segments[0].0);
    for (first, until) in segments {
        taker.segment(folder, first, until);
        if let Some(error) = taker.failed.take() {
            return Err(OpenError::io("salvage", &folder.path(first))(error));
        }
        done += 1;
        progress(done, total);
    }
    Ok(taker.salvage)
}

struct Taker<'a> {
    take: &'a mut dyn FnMut(Salvaged) -> io::Result<()>,
    salvage: Salvage,
    /// Why nothing is taken any more.
    failed: Option<io::Error>,
}

impl Taker<'_> {
    fn take(&mut self, salvaged: Salvaged) {
        match &salvaged {
            Salvaged::Event { unfinished, .. } => {
                self.salvage.events += 1;
                self.salvage.unfinished += u64::from(*unfinished);
            }
            Salvaged::Lost(Finding { positions, .. }) => {
                self.salvage.lost += 1;
                self.salvage.lost_events += positions.end - positions.start;
            }
        }
        if self.failed.is_none() {
            self.failed = (self.take)(salvaged).err();
        }
    }

    /// The first segments are not there.
    fn missing(&mut self, positions: std::ops::Range<u64>) {
        if !positions.is_empty() {
            let (file, reason) = (super::layout::segment(0), "the segment is missing".into());
            self.take(Salvaged::Lost(Finding {
                file,
                bytes: 0..0,
                positions,
                stream: None,
                reason,
            }));
        }
    }

    fn segment(&mut self, folder: &Folder, first: u64, until: Option<u64>) {
        let mut suspect = match Suspect::open(folder, first, until) {
            Ok(suspect) if suspect.is_begun() => return,
            Ok(suspect) => suspect,
            Err(finding) => return self.take(Salvaged::Lost(*finding)),
        };
        let unfinished = suspect.unfinished(folder).unwrap_or(suspect.length);
        let walked = suspect.walk(&mut |seen| match seen {
            Seen::Record { offset, position, record } => {
                let (event, scavenged) = (recorded(&record, position), record.is_husk());
                let unfinished = offset >= unfinished;
                self.take(match event {
                    Some(event) => Salvaged::Event { event, scavenged, unfinished },
                    None => Salvaged::Lost(nameless(&suspect, offset, position, &record)),
                });
            }
            Seen::Found(finding) => self.take(Salvaged::Lost(finding)),
        });
        if let Err(error) = walked {
            self.failed.get_or_insert(error);
        }
    }
}

fn nameless(suspect: &Suspect, offset: u64, position: u64, record: &Record<'_>) -> Finding {
    Finding {
        file: suspect.name.clone(),
        bytes: offset..offset + record.length() as u64,
        positions: position..position + 1,
        stream: None,
        reason: "the stream's name is not valid".into(),
    }
}

fn recorded(record: &Record<'_>, position: u64) -> Option<RecordedEvent> {
    let bytes = Bytes::copy_from_slice(record.bytes());
    let stream: StreamId = record.stream().parse().ok()?;
    let (metadata, data) = Record::decode(&bytes, position).ok()?.contents(&bytes);
    Some(RecordedEvent {
        stream,
        revision: record.revision(),
        position: Position(position),
        recorded_at: record.recorded_at(),
        id: record.id(),
        kind: record.kind().into(),
        data,
        metadata,
        is_json: record.is_json(),
    })
}
