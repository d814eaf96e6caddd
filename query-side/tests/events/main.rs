//! What is read from the events themselves: time travel and verification.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod live;
mod models;
mod story;
mod time_travel;
mod verify;
