//! Placeholder.

pub mod catalog;
pub mod time_travel;
