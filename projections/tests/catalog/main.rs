//! The catalog's worker against a real store and a real index: in a folder or, where a search server
//! is given, on that.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod contract;
mod faults;
mod folder;
mod left_out;
mod rebuild;
mod shop;
mod versions;
