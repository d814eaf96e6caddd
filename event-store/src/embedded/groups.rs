//! A list's events in groups that lie together in memory, so that who reads a list again finds a
//! group at once: not by way of the indexes, nor each event in another block of the log, and not
//! once for each segment that has some of them.
//!
//! A list's numbers begin with 0 and none is left out: its n-th group has the events from 64 n on.
//! Only events of sealed segments are in groups.

use std::ops::Range;
use std::sync::Arc;

use super::block::{Block, BlockBuilder};
use super::bytes::size;
use super::cache::{Cache, Io, Key, Part};
use super::error::Fault;
use super::index::List;
use super::list_scan::{FoundIn, ListScan};
use super::segment::{Found, LARGE};
use super::snapshot::Snapshot;
use crate::planted::{self, Bug};
use crate::{Direction, Revision};

/// Most events of a group.
pub(crate) const EVENTS: u64 = 64;

/// Copies of events of a list, one after another.
#[derive(Debug)]
pub(crate) struct Group {
    /// By their revisions or ordinals.
    pub(crate) events: Block,
    /// The list has no others from the last of them up to this position.
    pub(crate) until: u64,
}

impl Group {
    /// Whether it is one of a list's: the cache tells lists by a hash.
    fn is_of(&self, list: &List) -> bool {
        self.events.events().first().is_some_and(|event| list.lists(event))
    }

    /// Its events in a window of positions.
    pub(crate) fn within(&self, window: &Range<u64>) -> Range<u64> {
        let before = |position| {
            // Nearly always it is all of them, or none.
            let count = match self.events.events() {
                [first, ..] if first.position.0 >= position => 0,
                [.., last] if last.position.0 < position => self.events.count(),
                events => events.partition_point(|event| event.position.0 < position),
            };
            self.events.first() + count as u64
        };
        before(window.start)..before(window.end)
    }

    /// Whether no event will ever be added to it.
    pub(crate) fn is_full(&self) -> bool {
        self.events.count() as u64 == EVENTS
    }
}

/// The groups of a store that are cached.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    cache: Cache,
    /// How many segments were written anew: groups of before are not found any more.
    era: u64,
}

impl Groups {
    pub(crate) fn new(cache: Cache) -> Self {
        Self { cache, era: 0 }
    }

    /// The same store's, of which none is cached yet.
    pub(crate) fn renewed(&self) -> Self {
        let era = self.era + u64::from(!planted::is(Bug::StaleGroups));
        Self { era, ..self.clone() }
    }

    /// The group that has a list's event of a revision or ordinal; with the hash of the list's name.
    fn get(&self, (list, hash): (&List, u64), ordinal: u64) -> Option<Arc<Group>> {
        let group = self.cache.group(&self.key(hash, ordinal / EVENTS))?;
        (group.events.covers(ordinal) && group.is_of(list)).then_some(group)
    }

    /// Takes note that some of a list's events were wanted, and not in groups; returns those that
    /// are in these groups.
    pub(crate) fn miss(&self, hash: u64, ordinals: Range<u64>) -> Range<u64> {
        let groups = ordinals.start / EVENTS..(ordinals.end - 1) / EVENTS + 1;
        for group in groups.clone() {
            self.cache.misses_again(&self.key(hash, group));
        }
        groups.start * EVENTS..groups.end * EVENTS
    }

    fn key(&self, hash: u64, group: u64) -> Key {
        Key { file: self.era, part: Part::Group(hash, group) }
    }
}

impl Snapshot {
    /// The group of a list's events that has one of a revision or ordinal; `None` where it is not
    /// cached and better not made. It is made when it is wanted again, unless `first_look` says that
    /// it was this very read that wanted it before.
    pub(crate) fn group(
        &self,
        (list, hash): (&List, u64),
        ordinal: u64,
        first_look: bool,
        io: Io,
    ) -> Result<Option<Arc<Group>>, Fault> {
        if let Some(group) = self.groups.get((list, hash), ordinal) {
            return Ok(Some(group));
        }
        let key = self.groups.key(hash, ordinal / EVENTS);
        if first_look || !self.groups.cache.was_missed(&key) {
            return Ok(None);
        }
        match self.copies(list, ordinal / EVENTS * EVENTS, io) {
            Ok(Some(group)) => {
                let group = Arc::new(group);
                self.groups.cache.insert_group(key, Arc::clone(&group));
                Ok(group.events.covers(ordinal).then_some(group))
            }
            Err(fault @ Fault::NotCached) => Err(fault),
            // One of its records may be damaged, and those that are wanted good.
            _ => Ok(None),
        }
    }

    /// Copies of a group's events, from its first on; `None` where there is none, or that would be
    /// much.
    fn copies(&self, list: &List, first: u64, io: Io) -> Result<Option<Group>, Fault> {
        let parts = self.find(list, first, io)?;
        let found = || parts.iter().flat_map(|(_, found)| found);
        let (count, bytes) = (found().count(), found().map(Found::bytes).sum::<u64>());
        let in_order = found().map(|event| event.ordinal).eq(first..first + count as u64);
        if !in_order || bytes > LARGE.into() {
            return Ok(None);
        }
        let mut copies = Vec::with_capacity(count);
        for (segment, found) in &parts {
            // The group will do: no whole stretch for one event.
            let (load, at_hand) = (|_: &Found, _: &Key| false, |_| None);
            segment.each_block(found, load, at_hand, io, |&Found { position, .. }, block| {
                let dropped = block.has_dropped(position..position + 1);
                copies.extend(block.share(position).map(|event| (event, dropped)));
            })?;
        }
        let Some((end, _)) = copies.last().filter(|_| copies.len() == count) else {
            return Ok(None);
        };
        let until = if count < size(EVENTS) { self.sealed_end } else { end.position.0 + 1 };
        Ok(Some(Group { events: BlockBuilder::of_copies(first, &copies), until }))
    }

    /// Where the events of a group are.
    fn find(&self, list: &List, first: u64, io: Io) -> Result<Vec<FoundIn>, Fault> {
        let (from, sealed) = (Revision(first), 0..self.sealed_end);
        let mut scan = ListScan::new(list.clone(), from, Direction::Forward, sealed);
        let (mut parts, mut left) = (Vec::new(), size(EVENTS));
        while left > 0 {
            scan.read_at_once(left);
            let Some((segment, found)) = scan.next_found(self, io)? else { break };
            scan.pass_found(&found);
            left -= found.len();
            parts.push((segment, found));
        }
        Ok(parts)
    }
}
