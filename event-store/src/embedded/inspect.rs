//! Segments opened over their damage, for whoever looks for it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::bytes::u64_at;
use super::error::OpenError;
use super::format::{Record, SEGMENT_HEADER, SegmentHeader};
use super::lenient::Lenient;
use super::open::Folder;
use super::vfs::VfsFile;
use super::walk::{Damage, Step, walk};
use super::{compressed, layout, scan};
use crate::StreamId;

/// Something that is not as it was written, or not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, by its name in the store's folder.
    pub file: String,
    /// The bytes of the segment that are concerned; of a compressed one as if it were not. Empty
    /// where no particular ones are.
    pub bytes: Range<u64>,
    /// The positions of the events that are concerned; empty where none is lost.
    pub positions: Range<u64>,
    /// The stream that is concerned, where that can be told.
    pub stream: Option<StreamId>,
    /// What is wrong.
    pub reason: String,
}

/// What a segment has at some place.
pub(crate) enum Seen<'a> {
    /// A good record.
    Record { offset: u64, position: u64, record: Record<'a> },
    /// Something else than should be there.
    Found(Finding),
}

/// A segment that may be damaged.
pub(crate) struct Suspect {
    pub(crate) name: String,
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn VfsFile>,
    /// The bytes to look at.
    pub(crate) length: u64,
    /// Where the next segment begins, if there is one.
    pub(crate) until: Option<u64>,
    lenient: Arc<Lenient>,
    flaw: Option<Finding>,
}

/// The first positions of a store's segments, each with that of the next.
pub(crate) fn segments(folder: &Folder) -> Result<Vec<(u64, Option<u64>)>, OpenError> {
    let firsts = layout::segments(&*folder.vfs, &folder.dir)?;
    let next = firsts.iter().skip(1).copied().map(Some).chain([None]);
    Ok(firsts.iter().copied().zip(next).collect())
}

impl Suspect {
    /// Opens a segment; a finding where nothing in it can be read.
    pub(crate) fn open(
        folder: &Folder,
        first: u64,
        until: Option<u64>,
    ) -> Result<Self, Box<Finding>> {
        let name = layout::segment(first);
        let lost = |error: io::Error| {
            let positions = first..until.unwrap_or(first);
            let reason = format!("the segment cannot be read: {error}");
            Box::new(Finding { file: name.clone(), bytes: 0..0, positions, stream: None, reason })
        };
        let opened = compressed::open(&*folder.vfs, &folder.path(first)).map_err(lost)?;
        let lenient = Arc::new(Lenient::new(opened.file));
        let file: Arc<dyn VfsFile> = Arc::clone(&lenient) as _;
        let length = file.length().map_err(lost)?;
        let mut bytes = [0; SEGMENT_HEADER];
        let there = size_of_val(&bytes).min(super::bytes::size(length));
        file.read_exact_at(&mut bytes[..there], 0).map_err(lost)?;
        let (header, flaw) = match SegmentHeader::decode(&bytes) {
            Ok(header) if header.first == first => (header, None),
            // Of a bad header the salt may still be good; if not, frames are found by their records.
            other => {
                let header = SegmentHeader { first, salt: u64_at(&bytes, 24) };
                let other = other.err().unwrap_or("it is the header of another segment");
                (header, Some(other))
            }
        };
        let (bytes, positions) = (0..there as u64, first..first);
        let flaw = flaw.map(|flaw| Finding {
            file: name.clone(),
            bytes,
            positions,
            stream: None,
            reason: flaw.into(),
        });
        Ok(Self { name, header, file, length, until, lenient, flaw })
    }

    /// Whether it is the last segment and has no more than its header: it may just have been begun.
    pub(crate) fn is_begun(&self) -> bool {
        self.until.is_none() && self.length <= SEGMENT_HEADER as u64
    }

    /// Where the good frames of the last segment end, if what comes after is a write that is going
    /// on or was never finished. What is only prepared for one is not looked at from now on.
    pub(crate) fn unfinished(&mut self, folder: &Folder) -> Option<u64> {
        let last = folder.begun(self.header.first).ok().filter(|_| self.until.is_none())?;
        let end = last.map_or(SEGMENT_HEADER as u64, |last| last.end());
        if scan::is_unwritten(&self.file, end).unwrap_or_default() {
            self.length = end;
        }
        (end < self.length).then_some(end)
    }

    /// Goes through its records and its damage.
    pub(crate) fn walk(&self, see: &mut dyn FnMut(Seen<'_>)) -> io::Result<()> {
        self.flaw.iter().cloned().for_each(|flaw| see(Seen::Found(flaw)));
        walk(&self.file, self.header, self.length, self.until, &mut |step| match step {
            Step::Damage(damage) => see(Seen::Found(self.finding(damage))),
            Step::Record { offset, position, record } => {
                see(Seen::Record { offset, position, record });
            }
        })?;
        for (offset, error) in self.lenient.unreadable() {
            let (bytes, first) = (offset..offset, self.header.first);
            let (file, reason) = (self.name.clone(), format!("cannot be read: {error}"));
            let positions = first..first;
            see(Seen::Found(Finding { file, bytes, positions, stream: None, reason }));
        }
        Ok(())
    }

    fn finding(&self, damage: Damage) -> Finding {
        let Damage { bytes, positions, stream, flaw } = damage;
        Finding { file: self.name.clone(), bytes, positions, stream, reason: flaw.into() }
    }
}
