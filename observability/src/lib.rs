//! Telemetry: where log records go and how metrics are read.
//!
//! Crates of the platform record with `tracing` and `prometheus` directly; this crate only
//! decides, once per process, what becomes of it. It knows nothing of commerce, HTTP or storage.
//!
//! # Conventions
//! Records go to standard error, so that standard output stays data. Work that belongs together
//! runs in a span whose fields have the same names everywhere:
//!
//! | field | what it is |
//! |---|---|
//! | `request_id` | one HTTP request, as in `X-Request-Id` |
//! | `correlation_id` | everything that one request set off, as in the events' `$correlationId` |
//! | `command_id` | one command, as in the events' `$causationId` |
//! | `actor` | on whose behalf, `kind:name` |
//! | `stream`, `revision`, `position` | an event's place |
//! | `projection`, `process` | which worker |
//! | `error` | what went wrong, with its sources |
//!
//! Metrics are named `daybook_<crate>_<what>_<unit>` and registered in the default registry.

mod logs;
mod metrics;

pub use logs::{InitError, LogFormat, LogOptions, init};
pub use metrics::render;
