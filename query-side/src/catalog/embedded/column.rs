//! Columns of text: each product's value as an ordinal of the column's sorted dictionary.

use std::ops::Bound;

use tantivy::columnar::StrColumn;
use tantivy::{DocId, TantivyError};

/// The ordinal of a product's value.
pub(super) fn value(column: Option<&StrColumn>, doc: DocId) -> Option<u64> {
    column?.ords().first(doc)
}

/// The least ordinal of the values from a bound on.
pub(super) fn from(column: &StrColumn, least: Bound<&str>) -> tantivy::Result<u64> {
    let bounds = column.dictionary().term_bounds_to_ord(least, Bound::Unbounded)?;
    Ok(match bounds.0 {
        Bound::Excluded(ordinal) => ordinal + 1,
        Bound::Included(ordinal) => ordinal,
        Bound::Unbounded => 0,
    })
}

/// The texts of ascending ordinals; empty ones of a column that is not there. They are read in one
/// go: unpacking a block of the dictionary for each would take longer than the search.
pub(super) fn texts(column: Option<&StrColumn>, ordinals: &[u64]) -> tantivy::Result<Vec<String>> {
    let Some(column) = column else { return Ok(vec![String::new(); ordinals.len()]) };
    let mut texts = Vec::with_capacity(ordinals.len());
    let take = |text: &[u8]| texts.push(String::from_utf8_lossy(text).into_owned());
    if column.dictionary().sorted_ords_to_term_cb(ordinals, take)? {
        Ok(texts)
    } else {
        Err(TantivyError::InternalError("a column has values that it does not name".into()))
    }
}
