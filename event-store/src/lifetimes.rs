//! Which events of a stream are still there for its readers: the one place that says it, to
//! readers and to whatever drops events for good.

use std::collections::HashMap;
use std::num::NonZeroU64;

use crate::{Revision, StreamId, StreamMetadata};

/// The type of the event that ends a stream for good.
pub(crate) const TOMBSTONE: &str = "$streamDeleted";

/// What bounds a stream's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// In seconds.
    pub(crate) max_age: Option<NonZeroU64>,
    pub(crate) max_count: Option<NonZeroU64>,
    /// The first revision that may live.
    pub(crate) truncate_before: u64,
    /// Whether the stream has ended for good.
    pub(crate) tombstoned: bool,
}

impl Lifetime {
    /// Of a stream with this metadata.
    fn of_metadata(metadata: &StreamMetadata) -> Self {
        Self {
            max_age: metadata.max_age,
            max_count: metadata.max_count,
            truncate_before: metadata.truncate_before.map_or(0, |revision| revision.0),
            tombstoned: false,
        }
    }

    /// Of a stream whose tombstone has this revision: nothing but the tombstone lives.
    fn ended(tombstone: Revision) -> Self {
        Self { truncate_before: tombstone.0, tombstoned: true, ..Self::default() }
    }

    /// Of the metadata stream of a stream with this lifetime: what was said last lives, and
    /// nothing once the stream has ended.
    fn of_its_metadata(self) -> Self {
        Self {
            max_count: Some(NonZeroU64::MIN),
            truncate_before: if self.tombstoned { u64::MAX } else { 0 },
            tombstoned: self.tombstoned,
            ..Self::default()
        }
    }

    /// Whether the stream was deleted and may be written to again.
    pub(crate) fn is_deleted(self) -> bool {
        !self.tombstoned && self.truncate_before == StreamMetadata::DELETED.0
    }

    /// What it means at a time for a stream whose last event has the revision `last`.
    pub(crate) fn bounds(self, last: Revision, now: impl FnOnce() -> i64) -> Bounds {
        let counted = self.max_count.map_or(0, |most| (last.0 + 1).saturating_sub(most.get()));
        let since = self.max_age.map(|age| {
            let microseconds = age.get().saturating_mul(1_000_000);
            now().saturating_sub_unsigned(microseconds)
        });
        Bounds { first: Revision(self.truncate_before.max(counted)), since }
    }
}

/// What a stream's lifetime means at one time: which of its events live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The first revision that may live.
    pub(crate) first: Revision,
    /// When the oldest live event can have been recorded; `None` where its age does not matter.
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(crate) since: Option<i64>,
}

impl Bounds {
    /// Whether an event lives.
    pub(crate) fn include(&self, revision: Revision, recorded_at: i64) -> bool {
        revision >= self.first && self.since.is_none_or(|since| recorded_at >= since)
    }
}

/// What a stretch of events says of streams' lifetimes: of each stream the last, and of one that
/// has ended its end.
pub(crate) type Changes = HashMap<StreamId, Lifetime>;

/// What one event says, and of which stream.
pub(crate) fn change(
    stream: &str,
    kind: &str,
    revision: Revision,
    data: &[u8],
) -> Option<(StreamId, Lifetime)> {
    if kind == TOMBSTONE {
        return Some((StreamId::checked(stream), Lifetime::ended(revision)));
    }
    if kind != StreamMetadata::KIND {
        return None;
    }
    let described = stream.strip_prefix(StreamId::METADATA)?;
    let metadata = StreamMetadata::decode(data).unwrap_or_default();
    Some((StreamId::checked(described), Lifetime::of_metadata(&metadata)))
}

/// Takes a later change in.
pub(crate) fn take(changes: &mut Changes, stream: StreamId, lifetime: Lifetime) {
    let known = changes.entry(stream).or_default();
    if !known.tombstoned {
        *known = lifetime;
    }
}

/// The lifetimes of all streams that have bounds. Memory is linear in their number.
#[derive(Debug, Default)]
pub(crate) struct Lifetimes {
    streams: Changes,
}

impl Lifetimes {
    /// Takes in what later events say.
    pub(crate) fn extend(&mut self, changes: impl IntoIterator<Item = (StreamId, Lifetime)>) {
        for (stream, lifetime) in changes {
            if lifetime != Lifetime::default() {
                take(&mut self.streams, stream, lifetime);
            } else if !self.of(&stream).tombstoned {
                self.streams.remove(&stream);
            }
        }
    }

    /// The lifetime of any stream, also of metadata streams.
    pub(crate) fn of(&self, stream: &StreamId) -> Lifetime {
        self.of_after(&Changes::new(), stream)
    }

    /// The lifetime of any stream once these changes are taken in.
    pub(crate) fn of_after(&self, changes: &Changes, stream: &StreamId) -> Lifetime {
        let known = |stream: &str| {
            changes.get(stream).or_else(|| self.streams.get(stream)).copied().unwrap_or_default()
        };
        match stream.described() {
            Some(described) => known(described).of_its_metadata(),
            None => known(stream.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str) -> StreamId {
        name.parse().unwrap()
    }

    fn said(of: &str, json: &str) -> (StreamId, Lifetime) {
        let metadata = stream(of).metadata_stream().unwrap();
        change(metadata.as_str(), StreamMetadata::KIND, Revision(0), json.as_bytes()).unwrap()
    }

    fn lifetimes(changes: impl IntoIterator<Item = (StreamId, Lifetime)>) -> Lifetimes {
        let mut lifetimes = Lifetimes::default();
        lifetimes.extend(changes);
        lifetimes
    }

    /// Which of the revisions 0 to 9 live; each was recorded at its revision, in seconds.
    fn live(lifetime: Lifetime, now: i64) -> Vec<u64> {
        let bounds = lifetime.bounds(Revision(9), || now);
        let is_live = |n: &u64| bounds.include(Revision(*n), n.cast_signed() * 1_000_000);
        (0..10).filter(is_live).collect()
    }

    #[test]
    fn each_bound_excludes_the_oldest_events() {
        let of = |json| said("order-1", json).1;
        assert_eq!(live(of("{}"), 0), (0..10).collect::<Vec<_>>());
        assert_eq!(live(of(r#"{"$tb":7}"#), 0), [7, 8, 9]);
        assert_eq!(live(of(r#"{"$tb":99}"#), 0), [0; 0]);
        assert_eq!(live(of(r#"{"$maxCount":2}"#), 0), [8, 9]);
        assert_eq!(live(of(r#"{"$maxCount":99}"#), 0).len(), 10);
        assert_eq!(live(of(r#"{"$maxAge":3}"#), 10_000_000), [7, 8, 9]);
        assert_eq!(live(of(r#"{"$maxAge":3}"#), 10_000_001), [8, 9]);
        assert_eq!(live(of(r#"{"$maxAge":9223372036854775807}"#), 10_000_000).len(), 10);
        assert_eq!(live(of(r#"{"$maxAge":3,"$maxCount":4,"$tb":9}"#), 0), [9]);
    }

    #[test]
    fn a_deleted_stream_has_no_live_event() {
        let lifetime = said("order-1", r#"{"$tb":9223372036854775807}"#).1;
        assert!(lifetime.is_deleted());
        assert_eq!(live(lifetime, 0), [0; 0]);
    }

    #[test]
    fn of_a_tombstoned_stream_the_tombstone_lives() {
        let order = stream("order-1");
        let end = change("order-1", TOMBSTONE, Revision(9), b"").unwrap();
        let bounds = || said("order-1", r#"{"$maxAge":1,"$tb":3}"#);

        let lifetimes = lifetimes([bounds(), end, bounds(), said("order-1", "{}")]);

        assert_eq!(live(lifetimes.of(&order), i64::MAX), [9]);
        assert!(lifetimes.of(&order).tombstoned && !lifetimes.of(&order).is_deleted());
        assert_eq!(live(lifetimes.of(&stream("$$order-1")), 0), [0; 0]);
    }

    #[test]
    fn of_metadata_the_last_lives() {
        let lifetimes = lifetimes([said("order-1", r#"{"$maxCount":5,"$maxAge":1}"#)]);
        assert_eq!(live(lifetimes.of(&stream("$$order-1")), i64::MAX), [9]);
        assert_eq!(live(lifetimes.of(&stream("$$order-2")), i64::MAX), [9]);
    }

    #[test]
    fn the_last_that_is_said_counts_and_malformed_counts_as_nothing() {
        let bounds = said("order-1", r#"{"$tb":3}"#);
        assert!(lifetimes([bounds.clone(), said("order-1", "{}")]).streams.is_empty());
        assert!(lifetimes([bounds.clone(), said("order-1", "[")]).streams.is_empty());
        let later = lifetimes([bounds, said("order-1", r#"{"$tb":1}"#)]);
        assert_eq!(later.of(&stream("order-1")).truncate_before, 1);
    }

    #[test]
    fn other_events_say_nothing() {
        let plain = change("order-1", StreamMetadata::KIND, Revision(0), b"{\"$tb\":3}");
        assert_eq!(plain, None);
        assert_eq!(change("order-1", "Placed", Revision(0), b"{\"$tb\":3}"), None);
    }
}
