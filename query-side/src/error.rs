use daybook_database::Address;
use thiserror::Error;

use crate::InvalidCursor;

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The database cannot be read now and may be later.
    #[error("the read models cannot be read now")]
    Unavailable(#[from] daybook_database::Error),
    /// No database can be at such an address.
    #[error("{address} is not the address of a database")]
    Address {
        /// As given.
        address: Address,
        /// What is wrong with it.
        source: daybook_database::Error,
    },
    /// The cursor is not one of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The days asked for are too many, or end before they begin.
    #[error("a range must be of 1 to {max} days, not {days}")]
    Range {
        /// Most days.
        max: i64,
        /// As asked for.
        days: i64,
    },
    /// No projection has this name.
    #[error("there is no projection {name:?}")]
    UnknownProjection {
        /// As asked for.
        name: String,
    },
}
