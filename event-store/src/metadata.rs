use std::num::NonZeroU64;

use serde_json::{Map, Value};

use crate::Revision;

const MAX_AGE: &str = "$maxAge";
const MAX_COUNT: &str = "$maxCount";
const TRUNCATE_BEFORE: &str = "$tb";

/// What is said of a stream as a whole. It is kept in a stream of its own
/// ([`StreamId::metadata_stream`](crate::StreamId::metadata_stream)), and the last that was said
/// counts.
///
/// An event of the stream is shown to its readers where none of the three bounds excludes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamMetadata {
    /// Shows only events that were recorded within so many seconds.
    pub max_age: Option<NonZeroU64>,
    /// Shows only so many of the last events.
    pub max_count: Option<NonZeroU64>,
    /// Shows only events from this revision on; [`DELETED`](Self::DELETED) shows none.
    pub truncate_before: Option<Revision>,
    /// All other keys, as they were given. Those that begin with `$` are the system's, such as
    /// `$acl`.
    pub custom: Map<String, Value>,
}

impl StreamMetadata {
    /// The type of the events that hold metadata.
    pub const KIND: &'static str = "$metadata";
    /// The bound of a stream that was deleted and may be written to again.
    pub const DELETED: Revision = Revision(i64::MAX.cast_unsigned());

    /// The JSON that EventStoreDB keeps.
    pub fn encode(&self) -> Vec<u8> {
        let mut keys = self.custom.clone();
        let bounds = [
            (MAX_AGE, self.max_age.map(NonZeroU64::get)),
            (MAX_COUNT, self.max_count.map(NonZeroU64::get)),
            (TRUNCATE_BEFORE, self.truncate_before.map(|revision| revision.0)),
        ];
        for (key, bound) in bounds {
            match bound {
                Some(bound) => keys.insert(key.into(), bound.into()),
                None => keys.remove(key),
            };
        }
        Value::Object(keys).to_string().into_bytes()
    }

    /// Metadata from its JSON; `None` where that is no object, or where a bound is neither `null`
    /// nor a number in its range (`$maxAge` and `$maxCount` from 1, `$tb` from 0, all below 2⁶³).
    pub fn decode(json: &[u8]) -> Option<Self> {
        let mut custom: Map<String, Value> = serde_json::from_slice(json).ok()?;
        let mut bound = |key| match custom.remove(key) {
            None | Some(Value::Null) => Some(None),
            Some(value) => value.as_u64().filter(|bound| *bound <= Self::DELETED.0).map(Some),
        };
        let [max_age, max_count, truncate_before] =
            [bound(MAX_AGE)?, bound(MAX_COUNT)?, bound(TRUNCATE_BEFORE)?];
        let positive = |bound: Option<u64>| match bound {
            Some(bound) => NonZeroU64::new(bound).map(Some),
            None => Some(None),
        };
        Some(Self {
            max_age: positive(max_age)?,
            max_count: positive(max_count)?,
            truncate_before: truncate_before.map(Revision),
            custom,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_and_all_else_is_kept() {
        let json = br#"{"$maxAge":60,"$maxCount":5,"$tb":3,"$acl":{"$r":"ouro"},"owner":[1,null]}"#;

        let metadata = StreamMetadata::decode(json).unwrap();

        assert_eq!(metadata.max_age, NonZeroU64::new(60));
        assert_eq!(metadata.max_count, NonZeroU64::new(5));
        assert_eq!(metadata.truncate_before, Some(Revision(3)));
        assert_eq!(metadata.custom.keys().collect::<Vec<_>>(), ["$acl", "owner"]);
        assert_eq!(StreamMetadata::decode(&metadata.encode()), Some(metadata));
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        assert_eq!(StreamMetadata::default().encode(), b"{}");
        assert_eq!(StreamMetadata::decode(b"{\"$tb\":null}"), Some(StreamMetadata::default()));
    }

    #[test]
    fn a_bound_among_the_other_keys_does_not_count() {
        let custom = serde_json::from_str(r#"{"$tb":7,"$maxAge":null}"#).unwrap();
        let metadata = StreamMetadata { max_age: NonZeroU64::new(1), custom, ..Default::default() };
        assert_eq!(metadata.encode(), br#"{"$maxAge":1}"#);
    }

    #[test]
    fn malformed_metadata_is_none() {
        let malformed: [&[u8]; 12] = [
            b"",
            b"nonsense",
            b"[]",
            b"7",
            b"{\"$tb\":",
            b"{\"$tb\":-1}",
            b"{\"$tb\":\"3\"}",
            b"{\"$tb\":1.5}",
            b"{\"$tb\":9223372036854775808}",
            b"{\"$maxCount\":0}",
            b"{\"$maxAge\":0}",
            b"{\"$maxCount\":[1]}",
        ];
        for json in malformed {
            assert_eq!(StreamMetadata::decode(json), None, "{}", String::from_utf8_lossy(json));
        }
    }
}
