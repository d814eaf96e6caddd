//! The event store on EventStoreDB's wire protocol: every official client can append to it, read
//! it and follow it.
//!
//! One port carries gRPC (HTTP/2, with prior knowledge where there is no TLS) and the few HTTP/1.1
//! routes that clients and probes ask for. What of the protocol is served, and where it differs,
//! is in `docs/reference/eventstoredb.md`.

mod access;
mod budget;
mod calls;
mod codec;
mod connections;
mod errors;
mod features;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gossip;
mod http;
mod monitoring;
mod node;
mod operations;
mod options;
mod persistent;
mod prompt;
mod protocol;
mod server;
mod stats;
mod streams;
mod tls;
mod users;

pub use options::ServerOptions;
pub use prompt::Prompt;
pub use server::Server;
pub use tls::{Tls, TlsError};
pub use users::{Users, UsersError};
