//! Where a segment's events are: kept in memory while the segment is written, and in a file of
//! its own (`.idx`) once it is sealed. Either can be made from the segment alone.
//!
//! Events are numbered within the segment, from 0, as positions are within the store. They are
//! listed by stream, by category and by type: all three are [`List`]s, and read the same way.
//! Dropped events keep their stream and type, and stay in all of them.

mod blocks;
mod changes;
mod list;
mod memory;
mod numbers;
mod offsets;
mod sealed;

pub(crate) use blocks::{BlockWriter, Blocks, Cursor};
pub(crate) use list::{List, key};
pub(crate) use memory::{Indexed, MemoryIndex};
pub(crate) use sealed::{Entry, Lists, SealedIndex, contents, write};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located {
    /// Its number in the list that it was found by.
    pub(crate) ordinal: u64,
    pub(crate) number: u32,
    pub(crate) offset: u32,
    /// The offset of the next event's record, if there is one.
    pub(crate) next: Option<u32>,
}

/// The part of a list that a segment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The revision or ordinal of its first event there.
    pub(crate) first: u64,
    /// How many; at least one.
    pub(crate) count: u64,
}

impl Span {
    /// A part of so many events, where there can be one.
    fn new(first: u64, count: u64) -> Option<Self> {
        let end = first.checked_add(count).filter(|end| *end < u64::MAX);
        end.filter(|end| *end > first).map(|_| Self { first, count })
    }

    pub(crate) fn last(self) -> u64 {
        self.first + self.count - 1
    }
}

/// Which events of a list to look for in a segment.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Event numbers in the segment.
    pub(crate) window: Range<u32>,
    /// The first revision or ordinal, in the direction of the read.
    pub(crate) from: u64,
    pub(crate) direction: Direction,
    /// At most so many.
    pub(crate) most: usize,
}

impl Wanted {
    /// Which of a list's events in the segment are wanted: there are so many of them, the first of
    /// a given revision, and `below` tells how many have numbers below a bound.
    fn range<E>(
        &self,
        first: u64,
        count: usize,
        mut below: impl FnMut(u32) -> Result<usize, E>,
    ) -> Result<Range<usize>, E> {
        let before = |revision: u64| {
            count.min(usize::try_from(revision.saturating_sub(first)).unwrap_or(count))
        };
        let (mut start, mut end) = (below(self.window.start)?, below(self.window.end)?);
        match self.direction {
            Direction::Forward => {
                start = start.max(before(self.from)).min(end);
                end = end.min(start.saturating_add(self.most));
            }
            Direction::Backward => {
                if self.from != u64::MAX {
                    end = end.min(before(self.from + 1)).max(start);
                }
                start = start.max(end.saturating_sub(self.most));
            }
        }
        Ok(start.min(end)..end)
    }

    /// Turns what was found in ascending order to the direction of the read.
    fn in_order(&self, mut found: Vec<Located>) -> Vec<Located> {
        if self.direction == Direction::Backward {
            found.reverse();
        }
        found
    }
}

/// How many of the first of `count` hold, where all that hold come first.
pub(crate) fn partition_point<E>(
    count: usize,
    mut holds: impl FnMut(usize) -> Result<bool, E>,
) -> Result<usize, E> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle)? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn pick(window: Range<u32>, from: u64, direction: Direction, most: usize) -> Vec<u32> {
        let numbers = [2, 3, 5, 7, 11];
        let wanted = Wanted { window, from, direction, most };
        let below = |bound| Ok::<_, Infallible>(numbers.partition_point(|n| *n < bound));
        let Ok(range) = wanted.range(10, numbers.len(), below);
        numbers[range].to_vec()
    }

    #[test]
    fn a_part_has_events_whose_numbers_there_can_be() {
        assert!(Span::new(0, 1).is_some() && Span::new(u64::MAX - 3, 2).is_some());
        assert_eq!(Span::new(7, 0), None);
        assert_eq!(Span::new(u64::MAX - 3, 3), None);
        assert_eq!(Span::new(u64::MAX, 2), None);
    }

    #[test]
    fn picks_by_revision_window_and_count() {
        use Direction::{Backward, Forward};
        assert_eq!(pick(0..20, 0, Forward, 9), [2, 3, 5, 7, 11]);
        assert_eq!(pick(0..20, 12, Forward, 2), [5, 7]);
        assert_eq!(pick(3..11, 0, Forward, 9), [3, 5, 7]);
        assert_eq!(pick(0..20, 15, Forward, 9), [0; 0]);
        assert_eq!(pick(0..20, u64::MAX, Forward, 9), [0; 0]);
        assert_eq!(pick(0..20, u64::MAX, Backward, 2), [7, 11]);
        assert_eq!(pick(0..20, 12, Backward, 9), [2, 3, 5]);
        assert_eq!(pick(0..5, 12, Backward, 9), [2, 3]);
        assert_eq!(pick(0..20, 9, Backward, 9), [0; 0]);
        assert_eq!(pick(6..9, 11, Backward, 9), [0; 0]);
    }
}
