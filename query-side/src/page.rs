//! Pages of a list, by keyset: a cursor names the last entry of a page, and the next page is what
//! comes after it, whatever was added in the meantime.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;
use utoipa::ToSchema;

/// Where a page ends. Its text means nothing to anybody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

/// A text is not a cursor, or not one of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the cursor is not one that this list gave out: start again without a cursor")]
pub struct InvalidCursor;

impl Cursor {
    /// The longest text.
    const MAX_LEN: usize = 1_024;

    /// The cursor of an entry whose place in the list is given by `key`.
    pub(crate) fn new(list: &str, key: &impl Serialize) -> Self {
        let json = serde_json::to_vec(&(list, key)).unwrap_or_default();
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16);
        Self(json.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect())
    }

    /// The place that it stands for, if it is one of this list.
    pub(crate) fn key<K: DeserializeOwned>(&self, list: &str) -> Result<K, InvalidCursor> {
        #[derive(Deserialize)]
        struct Key<K>(String, K);
        let byte = |at| u8::from_str_radix(self.0.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<_>> = (0..self.0.len()).step_by(2).map(byte).collect();
        let key: Key<K> =
            serde_json::from_slice(&bytes.ok_or(InvalidCursor)?).map_err(|_| InvalidCursor)?;
        if key.0 == list { Ok(key.1) } else { Err(InvalidCursor) }
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex && text.len() <= Self::MAX_LEN {
            Ok(Self(text.into()))
        } else {
            Err(InvalidCursor)
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// How many entries a page may have: 1 to [`Limit::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

/// A number of entries that no page may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a page has 1 to {} entries, not {actual}", Limit::MAX)]
pub struct InvalidLimit {
    /// As given.
    pub actual: i64,
}

impl Limit {
    /// The most.
    pub const MAX: u16 = 100;
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl TryFrom<i64> for Limit {
    type Error = InvalidLimit;

    fn try_from(actual: i64) -> Result<Self, InvalidLimit> {
        u16::try_from(actual)
            .ok()
            .filter(|limit| (1..=Self::MAX).contains(limit))
            .map(Self)
            .ok_or(InvalidLimit { actual })
    }
}

impl From<Limit> for usize {
    fn from(limit: Limit) -> Self {
        limit.0.into()
    }
}

impl Limit {
    /// The number itself.
    pub(crate) fn get(self) -> i64 {
        self.0.into()
    }

    /// One more than asked for, which tells whether there is a next page.
    pub(crate) fn and_one(self) -> i64 {
        self.get() + 1
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of entries that were fetched with [`Limit::and_one`].
    pub(crate) fn new(mut items: Vec<T>, limit: Limit, cursor: impl Fn(&T) -> Cursor) -> Self {
        let limit = usize::from(limit);
        let has_next = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_next).map(cursor);
        Self { items, next }
    }
}
