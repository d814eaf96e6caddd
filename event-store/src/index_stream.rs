use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::StreamId;

/// A list of events that the store keeps by itself, over all streams, in their order.
///
/// Its ordinals count from 0 over every event that it ever had; where events were dropped, reads
/// pass over theirs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IndexStream {
    /// `$ce-<category>`: the events of all streams of a category.
    Category(Arc<str>),
    /// `$et-<type>`: the events of a type.
    EventType(Arc<str>),
}

/// A text does not name an index stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an index stream is named $ce-<category> or $et-<event type>, not {input:?}")]
pub struct InvalidIndexStream {
    /// What was given, cut to a readable length.
    pub input: String,
}

impl IndexStream {
    /// Whether it lists an event of this stream and type.
    pub fn lists(&self, stream: &StreamId, kind: &str) -> bool {
        match self {
            Self::Category(category) => **category == *stream.category(),
            Self::EventType(wanted) => **wanted == *kind,
        }
    }
}

impl FromStr for IndexStream {
    type Err = InvalidIndexStream;

    fn from_str(input: &str) -> Result<Self, InvalidIndexStream> {
        match input.split_at_checked(4) {
            // A category has no hyphen: no stream is of one that has.
            Some(("$ce-", category)) if !category.contains('-') => {
                Ok(Self::Category(category.into()))
            }
            Some(("$et-", kind)) if !kind.is_empty() => Ok(Self::EventType(kind.into())),
            _ => Err(InvalidIndexStream { input: input.chars().take(80).collect() }),
        }
    }
}

impl fmt::Display for IndexStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Category(category) => write!(f, "$ce-{category}"),
            Self::EventType(kind) => write!(f, "$et-{kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_as_they_are_printed() {
        let names = [
            ("$ce-order", IndexStream::Category("order".into())),
            ("$ce-", IndexStream::Category("".into())),
            ("$ce-$$order", IndexStream::Category("$$order".into())),
            ("$et-OrderPlaced", IndexStream::EventType("OrderPlaced".into())),
            ("$et-$metadata", IndexStream::EventType("$metadata".into())),
            ("$et-order-placed", IndexStream::EventType("order-placed".into())),
        ];
        for (name, index) in names {
            assert_eq!(index.to_string(), name);
            assert_eq!(name.parse(), Ok(index));
        }
    }

    #[test]
    fn an_index_lists_by_category_or_by_type() {
        let stream = StreamId::new("order", "1-2").unwrap();
        for (name, lists) in
            [("$ce-order", true), ("$ce-orders", false), ("$et-Placed", true), ("$et-order", false)]
        {
            let index: IndexStream = name.parse().unwrap();
            assert_eq!(index.lists(&stream, "Placed"), lists, "{name}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["", "$ce", "order-1", "$et-", "$ce-order-1", "ce-order", "$CE-order", "äöü-1"]
        {
            let refused = name.parse::<IndexStream>().unwrap_err();
            assert_eq!(refused.input, name);
        }
        assert_eq!("x".repeat(1_000).parse::<IndexStream>().unwrap_err().input.len(), 80);
    }
}
