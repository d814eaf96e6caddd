//! What a segment's events say of streams' lifetimes, as an index keeps it.

use std::num::NonZeroU64;

use crate::StreamId;
use crate::embedded::bytes::{narrow, u64_at};
use crate::lifetimes::{Changes, Lifetime};

const TOMBSTONED: u8 = 1;
/// The bytes of an entry before its name.
const FIXED: usize = 26;

pub(super) fn encode(changes: &Changes) -> Vec<u8> {
    let mut sorted: Vec<_> = changes.iter().collect();
    sorted.sort_unstable_by_key(|(stream, _)| *stream);
    let mut bytes = Vec::new();
    for (stream, lifetime) in sorted {
        let some = |bound: Option<NonZeroU64>| bound.map_or(0, NonZeroU64::get);
        for n in [some(lifetime.max_age), some(lifetime.max_count), lifetime.truncate_before] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.push(if lifetime.tombstoned { TOMBSTONED } else { 0 });
        bytes.push(narrow(stream.as_str().len()).to_le_bytes()[0]);
        bytes.extend_from_slice(stream.as_str().as_bytes());
    }
    bytes
}

pub(super) fn decode(mut bytes: &[u8]) -> Option<Changes> {
    let mut changes = Changes::new();
    while let Some((fixed, rest)) = bytes.split_at_checked(FIXED) {
        let (name, rest) = rest.split_at_checked(fixed[25].into())?;
        let stream: StreamId = std::str::from_utf8(name).ok()?.parse().ok()?;
        let lifetime = Lifetime {
            max_age: NonZeroU64::new(u64_at(fixed, 0)),
            max_count: NonZeroU64::new(u64_at(fixed, 8)),
            truncate_before: u64_at(fixed, 16),
            tombstoned: fixed[24] == TOMBSTONED,
        };
        changes.insert(stream, lifetime);
        bytes = rest;
    }
    bytes.is_empty().then_some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded_and_nothing_else_is() {
        let lifetime = |n: u64| Lifetime {
            max_age: NonZeroU64::new(n),
            max_count: NonZeroU64::new(n / 2),
            truncate_before: n * 3,
            tombstoned: n == 2,
        };
        let changes: Changes =
            (0..4).map(|n| (StreamId::new("order", n).unwrap(), lifetime(n))).collect();

        let bytes = encode(&changes);

        assert_eq!(decode(&bytes), Some(changes));
        assert_eq!(decode(&[]), Some(Changes::new()));
        for end in (1..bytes.len()).filter(|end| end % (FIXED + "order-1".len()) != 0) {
            assert_eq!(decode(&bytes[..end]), None, "{end} bytes");
        }
    }
}
