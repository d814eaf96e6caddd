//! Ascending numbers, as differences of variable length in chunks that can be skipped.

use std::ops::Range;

use super::blocks::Cursor;
use super::partition_point;
use crate::embedded::bytes::{narrow, u32_at};
use crate::embedded::error::Fault;

/// Numbers of a chunk. Before each chunk but the first one can skip to it: the list begins with
/// their first numbers and places.
const CHUNK: usize = 128;
const SKIP: usize = 8;
/// Most bytes of a chunk.
const MOST_BYTES: u64 = CHUNK as u64 * 5;

/// Appends a list to a buffer. The numbers must ascend.
pub(crate) fn encode(buffer: &mut Vec<u8>, numbers: &[u32]) {
    let mut chunks = Vec::new();
    for (n, chunk) in numbers.chunks(CHUNK).enumerate() {
        let (mut before, rest) = if n == 0 { (0, chunk) } else { (chunk[0], &chunk[1..]) };
        if n > 0 {
            buffer.extend_from_slice(&chunk[0].to_le_bytes());
            buffer.extend_from_slice(&narrow(chunks.len()).to_le_bytes());
        }
        for &number in rest {
            push(&mut chunks, number - before);
            before = number;
        }
    }
    buffer.extend_from_slice(&chunks);
}

/// Seven bits per byte, the lowest first; the highest bit says that more follow.
fn push(buffer: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        buffer.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    buffer.push(n.to_le_bytes()[0]);
}

/// The number at the start of some bytes, and what follows it.
fn pop(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut n = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        n |= u32::from(byte & 0x7f) << (at * 7);
        if byte & 0x80 == 0 {
            return Some((n, &bytes[at + 1..]));
        }
    }
    None
}

/// All of a list of so many numbers; `None` where it is cut off or does not ascend.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Option<Vec<u32>> {
    if count > bytes.len() {
        // No number takes less than a byte.
        return None;
    }
    let chunks = count.div_ceil(CHUNK).max(1);
    let (skips, mut rest) = bytes.split_at_checked((chunks - 1) * SKIP)?;
    let (mut numbers, mut before) = (Vec::with_capacity(count), 0_u32);
    while numbers.len() < count {
        if !numbers.is_empty() && numbers.len().is_multiple_of(CHUNK) {
            before = u32_at(skips, (numbers.len() / CHUNK - 1) * SKIP);
        } else {
            let (difference, after) = pop(rest)?;
            (before, rest) = (before.checked_add(difference)?, after);
        }
        numbers.push(before);
    }
    ascend(&numbers).then_some(numbers)
}

/// Whether no number comes again, and none is less than the one before.
pub(crate) fn ascend(numbers: &[u32]) -> bool {
    numbers.is_sorted_by(|a, b| a < b)
}

/// A list in a file.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    /// Where its bytes are.
    pub(crate) bytes: Range<u64>,
    /// How many numbers it has.
    pub(crate) count: usize,
}

impl Numbers {
    /// How many of them are below a bound.
    pub(crate) fn below(&self, cursor: &mut Cursor<'_>, bound: u32) -> Result<usize, Fault> {
        let chunks = self.count.div_ceil(CHUNK);
        let chunk =
            partition_point(chunks.saturating_sub(1), |n| Ok(self.skip(cursor, n + 1)?.0 < bound))?;
        let before = self.chunk(cursor, chunk)?.iter().take_while(|n| **n < bound).count();
        Ok(chunk * CHUNK + before)
    }

    /// Some of them.
    pub(crate) fn get(
        &self,
        cursor: &mut Cursor<'_>,
        range: Range<usize>,
    ) -> Result<Vec<u32>, Fault> {
        let mut numbers = Vec::with_capacity(range.len());
        for chunk in range.start / CHUNK..range.end.div_ceil(CHUNK) {
            let start = chunk * CHUNK;
            let within = range.start.max(start) - start..range.end.min(start + CHUNK) - start;
            numbers.extend_from_slice(&self.chunk(cursor, chunk)?[within]);
        }
        Ok(numbers)
    }

    /// A chunk's first number (0 for the first chunk, which begins with it) and place.
    fn skip(&self, cursor: &mut Cursor<'_>, chunk: usize) -> Result<(u32, u64), Fault> {
        let chunks =
            self.bytes.start + (self.count.div_ceil(CHUNK).max(1) - 1) as u64 * SKIP as u64;
        let Some(n) = chunk.checked_sub(1) else { return Ok((0, chunks)) };
        let at = self.bytes.start + (n * SKIP) as u64;
        let bytes = cursor.bytes(at..at + SKIP as u64)?;
        Ok((u32_at(&bytes, 0), chunks + u64::from(u32_at(&bytes, 4))))
    }

    fn chunk(&self, cursor: &mut Cursor<'_>, chunk: usize) -> Result<Vec<u32>, Fault> {
        let count = self.count.saturating_sub(chunk * CHUNK).min(CHUNK);
        let (first, start) = self.skip(cursor, chunk)?;
        let last = (chunk + 1) * CHUNK >= self.count;
        let end = if last { self.bytes.end } else { self.skip(cursor, chunk + 1)?.1 };
        let bytes = cursor.bytes(start..end.min(start + MOST_BYTES))?;
        let mut numbers = Vec::with_capacity(count);
        if chunk > 0 {
            numbers.push(first);
        }
        let (mut rest, mut before) = (&bytes[..], first);
        while numbers.len() < count {
            let next = pop(rest).and_then(|(n, rest)| Some((before.checked_add(n)?, rest)));
            let Some(next) = next else {
                return Err(cursor.blocks.flaw(start, "a list of numbers is cut off"));
            };
            (before, rest) = next;
            numbers.push(before);
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;
    use crate::embedded::cache::Io;
    use crate::embedded::index::blocks::tests::blocks_of;

    fn check(numbers: &[u32]) {
        let mut bytes = b"before".to_vec();
        encode(&mut bytes, numbers);
        assert_eq!(decode(&bytes[6..], numbers.len()).as_deref(), Some(numbers));
        let list = Numbers { bytes: 6..bytes.len() as u64, count: numbers.len() };
        bytes.extend_from_slice(b"after");
        let blocks = blocks_of(&bytes);
        let mut cursor = blocks.cursor(Io::Allowed);

        assert_eq!(list.get(&mut cursor, 0..numbers.len()).unwrap(), numbers);
        for n in (0..numbers.len()).step_by(37) {
            let range = n..numbers.len().min(n + 150);
            assert_eq!(list.get(&mut cursor, range.clone()).unwrap(), numbers[range]);
            for bound in [numbers[n], numbers[n].saturating_add(1)] {
                let below = numbers.partition_point(|number| *number < bound);
                assert_eq!(list.below(&mut cursor, bound).unwrap(), below);
            }
        }
        assert_eq!(list.below(&mut cursor, 0).unwrap(), 0);
    }

    #[test]
    fn dense_sparse_and_extreme_lists_come_back() {
        check(&[]);
        check(&[0]);
        check(&[u32::MAX]);
        check(&[0, u32::MAX]);
        check(&(0..128).collect::<Vec<_>>());
        check(&(7..136).collect::<Vec<_>>());
        check(&(0..20_000).collect::<Vec<_>>());
        check(&(0..20_000).map(|n| n * 200_003).collect::<Vec<_>>());
    }

    #[test]
    fn dense_numbers_take_a_byte_each() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &(0..100_000).map(|n| n * 3).collect::<Vec<_>>());
        assert!(bytes.len() < 108_000, "{}", bytes.len());
    }

    #[test]
    fn a_list_that_does_not_ascend_or_is_too_short_is_refused() {
        assert_eq!(decode(&[1, 1], 2), Some(vec![1, 2]));
        assert_eq!(decode(&[1, 0], 2), None, "a number comes again");
        assert_eq!(decode(&[1, 1], usize::MAX), None, "it is cut off");
    }

    proptest! {
        #[test]
        fn every_list_comes_back(numbers in btree_set(any::<u32>(), 0..700)) {
            check(&numbers.into_iter().collect::<Vec<_>>());
        }
    }
}
