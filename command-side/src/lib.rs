//! The writing half of the platform: commands are decided on the state that a stream's events
//! make, and what they decide is appended.
//!
//! Nothing here answers questions; that is the query side's.

pub mod commands;
pub mod idempotency;
mod metrics;
pub mod orders;
pub mod payments;
pub mod processes;
pub mod refunds;

pub use commands::{
    CommandContext, CommandError, CommandOptions, Commands, Handled, LoadError, Loaded, StoreError,
};
