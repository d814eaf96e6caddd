//! The server as the official Rust client sees it.

#![expect(clippy::unwrap_used, reason = "a test fails where what must be there is not")]

mod authentication;
mod given;
mod hostile;
mod http;
mod memory;
mod memory_of_groups;
mod operations;
mod persistent;
mod persistent_restart;
mod raw;
mod stop;
mod streams;
mod tls;
mod users;
