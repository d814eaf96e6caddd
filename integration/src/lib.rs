//! Integration events: what other systems, and the consumers in the box, learn of what happened.
//!
//! The [`Relay`] publishes every event of the business to Kafka. Consumers take events from a
//! [`Feed`](feed::Feed): Kafka's topics, or the tail of the store in the same process. Everything
//! comes at least once; what comes twice is known by its id, so that it counts once.
//!
//! It decides nothing and answers no questions.

mod analytics;
mod consumer;
mod database;
pub mod dead_letters;
mod discarded;
pub mod feed;
mod follower;
mod kafka;
mod metrics;
pub mod notifications;
mod relay;

pub use analytics::Analytics;
pub use consumer::{Again, Consumer, ConsumerOptions, HandleError, run};
pub use database::{MIGRATIONS, OpenError, connect, open};
pub use daybook_database::Pool;
pub use discarded::{DELIVERY, Discarded, discarded};
pub use follower::Lease;
pub use kafka::Kafka;
pub use relay::{Publish, RELAY, Relay, RelayOptions};
