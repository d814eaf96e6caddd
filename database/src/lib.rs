//! `SQLite` or `PostgreSQL`, behind one face.
//!
//! One SQL text serves both engines: `$1` for parameters, BIGINT, TEXT and BOOLEAN for columns.
//! Everything in which they differ stands here: how they are opened and limited ([`Pool`]), how
//! rows are written and read in bulk ([`Tx::upsert`], [`Tx::select`]), how tables are declared
//! ([`Engine::declaration`]), and what their errors mean ([`is_refusal`]). So does how rows
//! keep instants ([`now`]) and errors ([`chain`]).
//!
//! It knows no table and no business: whoever uses it brings the SQL. Where read models are in several
//! databases, [`PerModel`] says which is whose.

mod address;
mod bulk;
mod dialect;
mod error;
mod instant;
mod migrations;
mod per_model;
mod pool;
mod query;
mod row;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;

pub use address::Address;
pub use bulk::{Column, Kind, Merge, Table};
pub use dialect::Engine;
pub use error::{chain, is_refusal};
pub use instant::{micros, now};
pub use migrations::{Migrations, Step, StepState};
pub use per_model::PerModel;
pub use pool::{Limits, Pool};
pub use query::{Query, Value, query};
pub use row::{Raw, Row};
pub use sqlx::migrate::MigrateError;
pub use sqlx::{AssertSqlSafe, Error};
pub use tx::{Executor, Tx};
