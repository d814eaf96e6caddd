//! The wire form of every event: names, versions, upcasters, JSON Schemas and fixtures.
//!
//! The domain knows none of this, and nothing here decides anything.
//!
//! # One form for each value
//!
//! | value | in JSON |
//! |---|---|
//! | money | `{"amount": 1299, "currency": "GBP"}`: an integer of minor units and an ISO 4217 code; never a float |
//! | ids | a UUID as lowercase, hyphenated text |
//! | instants | RFC 3339 in UTC with six digits of fraction: `"2011-12-09T12:50:00.000000Z"` |
//! | quantities | an integer of at least 1 |
//! | texts (SKU, seller, name, …) | text that the domain's parser takes |
//! | choices | text (`"expired"`), or an object with its `"type"` (`{"type": "outOfStock", "sku": "22423"}`) |
//! | nothing | `null`; a missing field reads the same |
//!
//! Field names are camelCase. A field that is not known is passed over, so that a later release
//! may add optional fields without a new version.
//!
//! # To change an event
//!
//! Any other change is a new version: put the new form and number into the table of its contract,
//! add an [`Upcast`] from the version before and a payload in `fixtures/<type>.v<version>.json`,
//! and run `UPDATE_SCHEMAS=1 cargo test -p daybook-event-schemas` to write its JSON Schema beside
//! the earlier ones in `schemas/`. The tests fail where one of these was forgotten.

mod business;
mod catalogue;
mod contract;
mod envelope;
pub mod integration;
mod processes;
pub mod runtime;
mod shape;
mod timestamp;
mod upcast;
mod value;

pub use business::DomainEvent;
pub use catalogue::catalogue;
pub use contract::{Contract, DecodeError, EventForm, Wire};
pub use envelope::{Actor, Envelope, Metadata, open, open_known, seal};
pub use processes::{Advanced, ProcessForm};
pub use timestamp::{format_timestamp, parse_timestamp};
pub use upcast::{MAX_PAYLOAD, Upcast};
