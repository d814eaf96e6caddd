use daybook_event_schemas::{Contract, Envelope};
use daybook_event_store::Filter;
use thiserror::Error;

use crate::rows::Buffer;

/// Why an event could not be applied. It is parked, and the others go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// It changes a row that is not there, as after an earlier event that was parked.
    #[error("there is no row {key} in {table}")]
    Missing {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
    },
    /// A sum does not fit, or the event contradicts what came before it.
    #[error("{what} is out of range")]
    Range {
        /// What was reckoned.
        what: &'static str,
    },
    /// Its stream is not named after an id.
    #[error("{id:?} is not an id")]
    Stream {
        /// What stands in the stream's name.
        id: String,
    },
}

/// A read model: how events change rows.
///
/// It does no I/O of its own: [`apply`](Self::apply) is given an event and rows, and has nothing else
/// in hand, no clock, no connection, nothing to wait on. So replaying it is harmless whatever it is:
/// what has side effects cannot be a projection, and cannot be rebuilt. The runner finds
/// the rows that a batch of events needs, has the events applied, and writes the changed rows and
/// the checkpoint in one transaction.
pub(crate) trait Projection: Send + Sync + Sized + 'static {
    /// What operators and queries know it by.
    const NAME: &'static str;
    /// Grows whenever the same events would make other rows: a generation of the new version is
    /// built beside the old one from the first event on.
    const VERSION: u32;
    /// The declarations of its tables; see `projections/migrations/models`.
    const SCHEMA: &'static str;
    /// The names under which queries read its tables.
    const TABLES: &'static [&'static str];
    /// What it follows.
    type Event: Contract;

    /// Works on the tables of a generation.
    fn new(generation: u32) -> Self;

    /// Which events it follows.
    fn filter() -> Filter {
        Filter::kinds(Self::Event::KINDS)
    }

    /// Asks for the rows that the event may change.
    fn prepare(&mut self, event: &Envelope<Self::Event>);

    /// Applies the event to the rows.
    fn apply(&mut self, event: &Envelope<Self::Event>) -> Result<(), ApplyError>;

    /// The rows it works on.
    fn buffers(&mut self) -> Vec<&mut dyn Buffer>;

    /// Forgets all rows, after a transaction that was not committed.
    fn forget(&mut self) {
        self.buffers().into_iter().for_each(Buffer::forget);
    }
}
