//! The edge as clients see it.

mod api;
mod bad_input;
mod commands;
mod description;
mod failures;
mod headers;
mod reads;
mod server;
mod story;
