//! Projections: read models in SQL, posted from the events, and the search index of the catalog.
//!
//! A projection only says how an event changes rows. The runner does the rest: one
//! worker per projection, held by a lease, follows the store and writes the rows of a batch and
//! the checkpoint in one transaction. So a crash at any point loses and repeats nothing, and a
//! worker that was taken over while it slept cannot write any more.
//!
//! # Adding a read model
//!
//! 1. Declare its tables in `migrations/models`, each name ending in `_v{generation}`; queries read
//!    them through views without that ending.
//! 2. Declare its rows and implement the projection in `src/models`, and name it in `src/model.rs`.
//!
//! A change to either later means a new `VERSION`: its tables are filled beside the old ones, and
//! the views turn to them once they have caught up. An [`Operator`] has that done to the same version
//! by another generation of tables.
//!
//! Nothing here answers questions; that is the query side's part.

mod batch;
pub mod catalog;
mod ceiling;
mod compare;
mod database;
mod error;
mod metrics;
mod model;
mod models;
mod operator;
mod options;
mod parked;
mod projection;
mod rebuild;
mod registry;
mod replay;
mod row;
mod rows;
mod rows_of;
mod runner;
mod worker;

pub use ceiling::Loaded;
pub use compare::{Change, Comparison, Difference, Expected, KeyRange, TableComparison, What};
pub use database::{Database, DatabaseError, Databases};
pub use daybook_database::{Address, Limits, PerModel, Step, StepState};
pub use error::OperateError;
pub use operator::{Operator, ParkedDetails, Then};
pub use options::ProjectionOptions;
pub use parked::{Discarded, Parked};
pub use projection::ApplyError;
pub use rebuild::{Built, Outcome};
pub use registry::{Generation, Role};
pub use replay::Replayed;
pub use runner::{Progress, Projections, StartError, State};
