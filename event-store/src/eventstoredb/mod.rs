//! The adapter for a store that is served on EventStoreDB's protocol: an EventStoreDB or KurrentDB
//! cluster, or the server of this workspace.

mod address;
mod append;
mod connection;
mod failure;
mod follow;
mod pages;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::watch;

pub use address::InvalidAddress;
use connection::Connection;

use crate::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, IndexStream,
    Limits, Listed, NewEvent, Position, ReadError, Recorded, Revision, StreamId, StreamWrite,
    Tailed, Transaction, admission,
};

/// How to use a store on EventStoreDB's protocol.
#[derive(Debug, Clone)]
pub struct EventStoreDbOptions {
    /// The most that one append may hold. EventStoreDB takes 1 MiB, unless told otherwise.
    pub limits: Limits,
    /// How long a call is tried again while the store does not answer.
    pub patience: Duration,
    /// How long one try may take, with a page of what is read; ten times as long where the server
    /// has to search for it. It is taken for lost then.
    pub answer: Duration,
}

impl Default for EventStoreDbOptions {
    fn default() -> Self {
        let limits = Limits { append_bytes: 1 << 20, ..Limits::default() };
        let (patience, answer) = (Duration::from_secs(15), Duration::from_secs(30));
        Self { limits, patience, answer }
    }
}

/// A store on EventStoreDB's protocol, through the official client.
///
/// It connects when it is first used, survives restarts of the server, and tries again for a while
/// what a lost connection interrupted. What became of an append then, its event ids tell.
#[derive(Clone)]
pub struct EventStoreDb {
    connection: Arc<Connection>,
    limits: Limits,
    closed: Arc<watch::Sender<bool>>,
}

impl fmt::Debug for EventStoreDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventStoreDb").field(&self.to_string()).finish()
    }
}

/// Where the store is, without credentials.
impl fmt::Display for EventStoreDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}

impl EventStoreDb {
    /// The store at an address such as `esdb://user:password@host:2113`, `kurrentdb://a,b,c` or
    /// `esdb+discover://cluster`, with the settings that official clients take in it.
    ///
    /// # Errors
    /// The address cannot be understood.
    pub fn new(address: &str, options: &EventStoreDbOptions) -> Result<Self, InvalidAddress> {
        let settings = address::settings(address)?;
        let connection = Arc::new(Connection::new(settings, options.patience, options.answer));
        Ok(Self { connection, limits: options.limits, closed: Arc::default() })
    }

    /// Ends the store for all its handles: tails end, and nothing more is appended.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Why the store takes no appends any more; `None` while it does.
    pub fn stopped(&self) -> Option<String> {
        self.closed.borrow().then(|| "it was closed".to_owned())
    }

    /// Whether something may be asked of the server that is right as far as can be told.
    fn check(
        &self,
        is_right: impl FnOnce(&Limits) -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        match self.stopped() {
            Some(reason) => Err(AppendError::Stopped { reason }),
            None => is_right(&self.limits),
        }
    }

    /// Done when the store is closed, or all its handles are gone.
    fn end(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closed = self.closed.subscribe();
        async move {
            let _ = closed.wait_for(|closed| *closed).await;
        }
    }
}

impl EventStore for EventStoreDb {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let mut writes = vec![StreamWrite { stream: stream.clone(), expected, events }];
        self.check(|limits| admission::check_writes(&writes, limits))?;
        append::append(&self.connection, writes.remove(0)).await
    }

    fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        pages::stream(Arc::clone(&self.connection), stream.clone(), from, direction)
    }

    fn read_index(
        &self,
        index: &IndexStream,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Listed, ReadError>> + Send + 'static {
        pages::index(Arc::clone(&self.connection), index, from, direction)
    }

    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        pages::all(Arc::clone(&self.connection), after, filter)
    }

    fn read_all_backward(
        &self,
        before: Option<Position>,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        pages::all_backward(Arc::clone(&self.connection), before)
    }

    fn tail(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static {
        follow::follow(self.connection.another(), after, filter).take_until(self.end())
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        pages::head(&self.connection).await
    }

    async fn delete(&self, stream: &StreamId, expected: Expected) -> Result<Appended, AppendError> {
        self.check(|_| admission::check_end(stream))?;
        append::delete(&self.connection, stream, expected).await
    }

    async fn tombstone(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> Result<Appended, AppendError> {
        self.check(|_| admission::check_end(stream))?;
        append::tombstone(&self.connection, stream, expected).await
    }
}

impl AtomicAppend for EventStoreDb {
    /// The client appends to one stream at a time, and checks nothing else: more is refused.
    async fn commit(&self, transaction: Transaction) -> Result<Vec<Appended>, AppendError> {
        let (checks, writes, _) = transaction.into_parts();
        let actual = checks.len() + writes.len();
        match <[_; 1]>::try_from(writes) {
            Ok([StreamWrite { stream, expected, events }]) if checks.is_empty() => {
                Ok(vec![self.append(&stream, expected, events).await?])
            }
            _ => {
                let what =
                    "the number of writes and checks in one append over EventStoreDB's protocol";
                Err(AppendError::Size { what, min: 1, max: 1, actual })
            }
        }
    }
}
