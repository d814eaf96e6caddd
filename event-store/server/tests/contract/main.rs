//! The port's contract over the wire: the adapter for EventStoreDB's protocol against this server,
//! and against a cluster where one is given.

#![expect(clippy::unwrap_used, reason = "a test fails where what must be there is not")]

mod cluster;
mod given;
mod lost;
mod restarts;
mod served;
#[path = "../../../tests/contract/suite/mod.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "some rules are not for the wire")]
mod suite;
