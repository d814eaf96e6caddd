//! The edge as clients see it.

mod api;
mod bad_input;
mod commands;
mod description;
mod headers;
mod reads;
mod server;
