use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// A stream's name: `<category>-<id>`. The category is what stands before the first hyphen, as
/// in EventStoreDB; a name without a hyphen has no category.
///
/// A name that begins with `$$` is that of the stream that holds another one's metadata.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

/// A text is not a stream's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a stream's name must be 1 to {max} bytes without control characters: {input:?}", max = StreamId::MAX_LEN)]
pub struct InvalidStreamId {
    /// What was given, cut to a readable length.
    pub input: String,
}

impl StreamId {
    /// The longest name, in bytes. That of a metadata stream may have two more.
    pub const MAX_LEN: usize = 253;
    /// What the names of metadata streams begin with.
    pub(crate) const METADATA: &str = "$$";

    /// The stream of one instance of a category.
    ///
    /// # Errors
    /// The name is too long or has control characters.
    pub fn new(category: &str, id: impl fmt::Display) -> Result<Self, InvalidStreamId> {
        format!("{category}-{id}").parse()
    }

    /// A name that was checked before.
    pub(crate) fn checked(name: &str) -> Self {
        Self(name.into())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stream that holds this one's metadata: its name after `$$`. `None` for a metadata
    /// stream, of which nothing can be said.
    pub fn metadata_stream(&self) -> Option<Self> {
        match self.described() {
            Some(_) => None,
            None => Some(Self([Self::METADATA, &*self.0].concat().into())),
        }
    }

    /// The name of the stream whose metadata this one holds, if it is a metadata stream.
    pub(crate) fn described(&self) -> Option<&str> {
        self.0.strip_prefix(Self::METADATA)
    }

    /// What stands before the first hyphen; empty where there is none.
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or("", |(category, _)| category)
    }

    /// What stands after the first hyphen; the whole name where there is none.
    pub fn id(&self) -> &str {
        self.0.split_once('-').map_or(&*self.0, |(_, id)| id)
    }
}

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(input: &str) -> Result<Self, InvalidStreamId> {
        let described = input.strip_prefix(Self::METADATA).unwrap_or(input);
        if input.is_empty()
            || described.len() > Self::MAX_LEN
            || input.chars().any(char::is_control)
        {
            return Err(InvalidStreamId { input: input.chars().take(80).collect() });
        }
        Ok(Self(input.into()))
    }
}

impl Borrow<str> for StreamId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({:?})", &*self.0)
    }
}
