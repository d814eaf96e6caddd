//! Tests of the command side through its public interface.
#![expect(clippy::unwrap_used, reason = "a failed expectation fails the test")]

mod commands;
mod hall;
mod idempotency;
mod orders;
mod outages;
mod processes;
mod shop;
