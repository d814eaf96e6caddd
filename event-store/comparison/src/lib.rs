//! The embedded event store beside others that do the same work: SQLite and redb as event stores,
//! the bare disk with the same writers and with the same frames, and a probe of the disk.
//!
//! Not a benchmark of databases. It asks one question, whether an engine of our own is worth its
//! code, and asks it of all on the same machine within the same minutes. Each peer is set up as
//! somebody who knows it would set it up for durable appends; `sqlite` and `redb` say how.
//! Failures end a measurement and are told to a person, so errors are [`anyhow::Error`] here.

mod comparison;
mod contender;
mod disk;
mod engine;
mod frames;
mod group;
mod ledger;
mod live;
mod load;
mod ported;
mod probe;
mod raw;
mod redb;
mod report;
mod rounds;
mod sqlite;
mod stats;
mod wire;

pub use comparison::{Comparison, Part};
pub use engine::{Appends, Engine, Reader, Select, View};
pub use ported::{Embedded, Ported};
pub use probe::Probe;
pub use raw::Raw;
pub use redb::Redb;
pub use report::{Aim, Bound, Measure, Outcome, Quantity, Report};
pub use sqlite::Sqlite;
pub use stats::{Figure, Sample, Spread};
pub use wire::{WireComparison, WireServer};
