//! The real engine in real processes on the real file system: killed, refused, filled and flipped.
//!
//! Each module is a suite with a command line of its own; `docs/event-store-testing.md` tells what
//! each one proves, and lists them.

#![expect(clippy::unwrap_used, reason = "a test fails where what must be there is not")]

mod bits;
mod checker;
mod child;
mod flips;
mod kills;
mod ledger;
mod linear;
mod load;
mod order;
mod planted;
mod program;
mod syscalls;
mod tmpfs;
mod trace;
mod traced;
