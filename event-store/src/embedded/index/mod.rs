//! Where a segment's events are: kept in memory while the segment is written, and in a file of
//! its own (`.idx`) once it is sealed. Either can be made from the segment alone.
//!
//! Events are numbered within the segment, from 0, as positions are within the store.

mod changes;
mod memory;
mod sealed;

pub(crate) use memory::{Indexed, MemoryIndex};
pub(crate) use sealed::{SealedIndex, encode};

use std::ops::Range;

use crate::{Direction, Revision, StreamId};

/// The events of a stream in the segment.
#[derive(Debug, Clone)]
pub(crate) struct StreamNumbers {
    pub(crate) stream: StreamId,
    /// The revision of the first of them.
    pub(crate) first: Revision,
    /// Their numbers, in order.
    pub(crate) numbers: Vec<u32>,
}

/// An event in the segment, and where its record is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located {
    pub(crate) number: u32,
    pub(crate) offset: u32,
    /// The offset of the next event's record, if there is one.
    pub(crate) next: Option<u32>,
}

/// Which events of a stream to look for in a segment.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Event numbers in the segment.
    pub(crate) window: Range<u32>,
    /// The first revision, in the direction of the read.
    pub(crate) from: u64,
    pub(crate) direction: Direction,
    /// At most so many.
    pub(crate) most: usize,
}

impl Wanted {
    /// Picks, out of a stream's event numbers in the segment (so many, ascending, the first of a
    /// given revision).
    fn pick(&self, first_revision: u64, count: usize, number: impl Fn(usize) -> u32) -> Vec<u32> {
        let below = |revision: u64| {
            count.min(usize::try_from(revision.saturating_sub(first_revision)).unwrap_or(count))
        };
        let before = |bound: u32| partition_point(count, |n| number(n) < bound);
        let (mut start, mut end) = (before(self.window.start), before(self.window.end));
        match self.direction {
            Direction::Forward => {
                start = start.max(below(self.from));
                (start..end.min(start.saturating_add(self.most))).map(number).collect()
            }
            Direction::Backward => {
                if self.from != u64::MAX {
                    end = end.min(below(self.from + 1));
                }
                start = start.max(end.saturating_sub(self.most));
                (start..end).rev().map(number).collect()
            }
        }
    }
}

/// How many of the first of `count` hold, where all that hold come first.
fn partition_point(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(window: Range<u32>, from: u64, direction: Direction, most: usize) -> Vec<u32> {
        let numbers = [2, 3, 5, 7, 11];
        Wanted { window, from, direction, most }.pick(10, numbers.len(), |n| numbers[n])
    }

    #[test]
    fn picks_by_revision_window_and_count() {
        use Direction::{Backward, Forward};
        assert_eq!(pick(0..20, 0, Forward, 9), [2, 3, 5, 7, 11]);
        assert_eq!(pick(0..20, 12, Forward, 2), [5, 7]);
        assert_eq!(pick(3..11, 0, Forward, 9), [3, 5, 7]);
        assert_eq!(pick(0..20, 15, Forward, 9), [0; 0]);
        assert_eq!(pick(0..20, u64::MAX, Forward, 9), [0; 0]);
        assert_eq!(pick(0..20, u64::MAX, Backward, 2), [11, 7]);
        assert_eq!(pick(0..20, 12, Backward, 9), [5, 3, 2]);
        assert_eq!(pick(0..5, 12, Backward, 9), [3, 2]);
        assert_eq!(pick(0..20, 9, Backward, 9), [0; 0]);
    }
}
