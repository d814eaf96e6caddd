//! Catalog search over an index that the real projection wrote: in a folder or, where a search server
//! is given, on that.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod contract;
mod faults;
mod folder;
mod relevance;
mod shop;
