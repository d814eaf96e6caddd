//! The feed: where consumers get the events from.

mod in_process;
mod kafka;
mod message;

use daybook_event_schemas::integration::Topic;
use daybook_event_store::{Filter, ReadError};
use rdkafka::error::KafkaError;
use thiserror::Error;

pub use in_process::InProcessFeed;
pub use kafka::KafkaFeed;
pub use message::Message;

/// Why a feed has nothing to give at the moment.
#[derive(Debug, Error)]
pub enum FeedError {
    /// The store cannot be read.
    #[error("the event store could not be read")]
    Store(#[from] ReadError),
    /// The database failed.
    #[error("the database failed")]
    Sql(#[from] daybook_database::Error),
    /// Kafka failed.
    #[error("kafka failed")]
    Kafka(#[from] KafkaError),
    /// Another process took over, or the checkpoint was set back.
    #[error("another process took over, or the checkpoint was set back")]
    Fenced,
    /// The store was closed.
    #[error("the event store has closed")]
    Closed,
}

/// The events of these types that are of a topic.
pub(crate) fn events(kinds: &[&str]) -> Filter {
    let categories = Topic::ALL.map(|topic| topic.category().into()).into();
    Filter { categories, ..Filter::kinds(kinds) }
}

/// Messages for one group of consumers: at least once, and those of a key in order. What was not
/// committed comes again to whoever takes the place next.
pub trait Feed: Send + 'static {
    /// Waits for messages and takes those that are there, up to so many. None after a while
    /// without any.
    ///
    /// # Errors
    /// The feed has nothing to give now, and may later.
    fn next(&mut self, most: usize)
    -> impl Future<Output = Result<Vec<Message>, FeedError>> + Send;

    /// Says that everything that was delivered is done with.
    ///
    /// # Errors
    /// It may be delivered again.
    fn commit(&mut self) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// Puts a message that could not be processed where its feed keeps such messages, if anywhere.
    ///
    /// # Errors
    /// It is not there.
    fn bury(
        &mut self,
        message: &Message,
        error: &str,
    ) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// Leaves the group, so that others need not wait.
    fn close(self) -> impl Future<Output = ()> + Send;
}
