//! Payment providers from the outside: one contract for all of them, the server's edge, the
//! client under faults, and properties of random histories.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod contract;
mod faults;
mod metrics;
mod properties;
mod server;
mod support;
