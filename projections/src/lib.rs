//! Projections: read models in SQL, posted from the events.
//!
//! A [projection](projection) only says how an event changes rows. The runner does the rest: one
//! worker per projection, held by a lease, follows the store and writes the rows of a batch and
//! the checkpoint in one transaction. The tables are documented in `projections/migrations`.
//!
//! Nothing here answers questions; that is the query side's part.

mod batch;
pub mod catalog;
mod database;
mod metrics;
mod models;
mod options;
mod projection;
mod registry;
mod row;
mod rows;
mod runner;
mod sql;
mod worker;

pub use database::{Database, DatabaseError};
pub use options::ProjectionOptions;
pub use projection::ApplyError;
pub use runner::{Progress, Projections, StartError, State};
use sql::Tx;
