//! The HTTP edge: routes, identity, limits, problems and the description of the API.
//!
//! A request is parsed into values of the domain here and nowhere else; what it means is decided
//! behind [`Commands`](daybook_command_side::Commands) and answered by
//! [`Queries`](daybook_query_side::Queries).

mod app;
mod command;
mod error;
mod extract;
mod headers;
mod health;
mod observe;
mod openapi;
mod problem;
mod read;
mod routes;
mod server;
mod values;

pub use app::Gateway;
pub use health::ReadinessCheck;
pub use openapi::openapi;
pub use server::{GatewayOptions, serve};
