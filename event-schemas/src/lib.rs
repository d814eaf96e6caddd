//! The wire form of every event: names, versions, upcasters, JSON Schemas and fixtures.
//!
//! The domain knows none of this, and nothing here decides anything.

mod contract;
mod envelope;

pub use contract::{Contract, DecodeError, Wire};
pub use envelope::{Actor, Envelope, Metadata, open, seal};
