//! A list's events in groups that lie together in memory, so that who reads a list again finds a
//! group at once rather than each of its events in another block of the log.

use std::ops::Range;
use std::sync::Arc;

use super::records::LARGE;
use super::{Found, Segment};
use crate::Direction;
use crate::embedded::block::{Block, BlockBuilder};
use crate::embedded::bytes::{narrow, size};
use crate::embedded::cache::{Io, Key, Part};
use crate::embedded::error::Fault;
use crate::embedded::index::{Entry, List, Wanted};

/// Most events of a group.
const EVENTS: u64 = 64;

impl Segment {
    /// The group of a list's events that has one of a revision or ordinal; `None` where it is not
    /// cached and better not made. It is made when it is wanted again, unless `first_look` says that
    /// it was this very read that wanted it before.
    pub(crate) fn group(
        &self,
        (list, entry): (&List, &Entry),
        ordinal: u64,
        first_look: bool,
        io: Io,
    ) -> Result<Option<Arc<Block>>, Fault> {
        let group = (ordinal - entry.span.first) / EVENTS;
        let key = self.group_key(entry, group);
        if let Some(group) = self.cache.block(&key) {
            return Ok(Some(group));
        }
        if first_look || !self.cache.was_missed(&key) {
            return Ok(None);
        }
        match self.copies(list, entry, group, io) {
            Ok(Some(block)) => {
                self.cache.insert_block(key, Arc::clone(&block));
                Ok(Some(block))
            }
            Err(fault @ Fault::NotCached) => Err(fault),
            // One of its records may be damaged, and those that are wanted good.
            _ => Ok(None),
        }
    }

    /// Takes note that some of a list's events were wanted, and not in groups; returns those that
    /// are in these groups.
    pub(crate) fn miss_groups(&self, entry: &Entry, ordinals: Range<u64>) -> Range<u64> {
        let (first, group) =
            (entry.span.first, |ordinal: u64| (ordinal - entry.span.first) / EVENTS);
        let groups = group(ordinals.start)..group(ordinals.end - 1) + 1;
        for group in groups.clone() {
            self.cache.misses_again(&self.group_key(entry, group));
        }
        first + groups.start * EVENTS..first + groups.end * EVENTS
    }

    /// Whether a record's block was missed before, and is to be loaded: it will not come to be in a
    /// group. That it is missed now is taken note of.
    pub(crate) fn misses_again(&self, Found { extent, .. }: &Found, key: &Key) -> bool {
        let alone = extent.end - extent.start > u64::from(LARGE) / EVENTS;
        (alone || self.sealed_index().is_none()) && self.misses_stretch_again(key)
    }

    /// Copies of a group's events; `None` where that would be much.
    fn copies(
        &self,
        list: &List,
        entry: &Entry,
        group: u64,
        io: Io,
    ) -> Result<Option<Arc<Block>>, Fault> {
        let first = entry.span.first + group * EVENTS;
        let window = 0..narrow(size(self.count()));
        let (direction, most) = (Direction::Forward, size(EVENTS));
        let wanted = Wanted { window, from: first, direction, most };
        let found = self.locate(list, (entry.span, Some(entry)), &wanted, io)?;
        let bytes: u64 = found.iter().map(|Found { extent, .. }| extent.end - extent.start).sum();
        if bytes > LARGE.into() {
            return Ok(None);
        }
        let mut events = Vec::with_capacity(found.len());
        let mut copy = |position: u64, block: &Block| {
            let event = block.share(position);
            events.extend(event.map(|event| (event, block.has_dropped(position..position + 1))));
        };
        // The group will do: no whole stretch for one event.
        self.each_block(
            &found,
            |_, _| false,
            |_| None,
            io,
            |found, block| copy(found.position, block),
        )?;
        let whole = events.len() == found.len();
        Ok(whole.then(|| BlockBuilder::of_copies(first, &events)))
    }

    fn group_key(&self, entry: &Entry, group: u64) -> Key {
        Key { file: self.id, part: Part::Group(entry.at, narrow(size(group))) }
    }
}
