//! What is to be dropped of a segment, and what that would give back.

use std::sync::Arc;

use crate::Revision;
use crate::embedded::bytes::narrow;
use crate::embedded::cache::Io;
use crate::embedded::error::Fault;
use crate::embedded::format::encode_husk;
use crate::embedded::index::StreamNumbers;
use crate::embedded::log::Log;
use crate::embedded::rewrite::Piece;
use crate::embedded::segment::Segment;
use crate::lifetimes::{Bounds, Lifetime};

/// A look at those events of a segment that may be dropped.
#[derive(Debug)]
pub(super) struct Measure {
    pub(super) segment: Arc<Segment>,
    /// What bounds the streams that they are of.
    bounds: Vec<Bounds>,
    /// Their numbers in the segment, in order, and which bounds are theirs.
    candidates: Vec<(u32, u32)>,
    /// How many of them have been looked at.
    looked: usize,
    /// The numbers of those that are dropped, in order.
    pub(super) dropped: Vec<u32>,
    /// The bytes that go with them.
    pub(super) bytes: u64,
}

impl Measure {
    /// Finds out of the index which events may be dropped, without a look at them. All of the
    /// segment's events were recorded at `since` or later.
    pub(super) fn begin(
        log: &Log,
        segment: &Arc<Segment>,
        since: i64,
        now: i64,
    ) -> Result<Self, Fault> {
        let (mut bounds, mut candidates) = (Vec::new(), Vec::new());
        for StreamNumbers { stream, first, numbers } in segment.streams()? {
            let lifetime = log.lifetimes().of(&stream);
            if lifetime == Lifetime::default() {
                continue;
            }
            let counted = lifetime.max_count.is_some();
            let last = if counted { log.last_revision(&stream, Io::Allowed)? } else { None };
            let of_stream = lifetime.bounds(last.unwrap_or(Revision::START), || now);
            let aged = of_stream.since.is_some_and(|oldest| oldest > since);
            let end = if aged { u64::MAX } else { of_stream.first.0 };
            let dying = numbers.iter().zip(first.0..).filter(|(_, revision)| *revision < end);
            candidates.extend(dying.map(|(number, _)| (*number, narrow(bounds.len()))));
            bounds.push(of_stream);
        }
        candidates.sort_unstable();
        let segment = Arc::clone(segment);
        Ok(Self { segment, bounds, candidates, looked: 0, dropped: Vec::new(), bytes: 0 })
    }

    pub(super) fn is_done(&self) -> bool {
        self.looked == self.candidates.len()
    }

    /// Looks at the next of them; how many bytes it read.
    pub(super) fn step(&mut self) -> Result<u64, Fault> {
        let Some((next, _)) = self.candidates.get(self.looked) else { return Ok(0) };
        let first = self.segment.first();
        let piece = Piece::read(&self.segment, first + u64::from(*next))?;
        let mut husk = Vec::new();
        for record in piece.records(&self.segment) {
            let (position, record) = record?;
            let Some((number, of)) = self.candidates.get(self.looked) else { break };
            if position != first + u64::from(*number) {
                continue;
            }
            self.looked += 1;
            let bounds = &self.bounds[*of as usize];
            if !record.is_husk() && !bounds.include(record.revision(), record.recorded_at()) {
                husk.clear();
                encode_husk(&mut husk, &record, position);
                self.dropped.push(*number);
                self.bytes += (record.length() - husk.len()) as u64;
            }
        }
        Ok(piece.bytes())
    }
}
