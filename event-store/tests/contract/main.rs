//! One suite of rules for every event store; each adapter runs all of it.

#![expect(clippy::unwrap_used, reason = "a test fails where what must be there is not")]

mod embedded;
mod memory;
mod planted;
mod planted_lifetimes;
mod suite;
