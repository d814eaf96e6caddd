use std::pin::Pin;

use daybook_database::Pool;
use daybook_event_schemas::integration::Topic;
use daybook_event_store::{EventStore, Position, ReadError, Store, Tailed};
use futures::{Stream, StreamExt};
use tokio::time::{sleep, timeout};

use super::{Feed, FeedError, Message, events};
use crate::follower::{Follower, Lease};

/// Most events taken from the store in one go.
const CHUNK: usize = 256;

type Tail = Pin<Box<dyn Stream<Item = Vec<Result<Tailed, ReadError>>> + Send>>;

/// The tail of the store, for one process at a time, with a checkpoint in the database.
pub struct InProcessFeed {
    store: Store,
    pool: Pool,
    group: &'static str,
    kinds: &'static [&'static str],
    lease: Lease,
    session: Option<Session>,
}

struct Session {
    follower: Follower,
    tail: Tail,
    upto: Option<Position>,
}

impl InProcessFeed {
    /// The feed of a group that wants events of these types.
    pub fn new(
        store: Store,
        pool: Pool,
        group: &'static str,
        kinds: &'static [&'static str],
        lease: Lease,
    ) -> Self {
        Self { store, pool, group, kinds, lease, session: None }
    }

    /// Holds the place and follows the store from the checkpoint on, unless the place is taken.
    async fn begin(&mut self) -> Result<(), FeedError> {
        let taken = Follower::take(&self.pool, self.group, &self.lease).await?;
        self.session = taken.map(|follower| {
            let tail = self.store.tail(follower.position, events(self.kinds));
            Session { follower, tail: tail.ready_chunks(CHUNK).boxed(), upto: None }
        });
        Ok(())
    }

    async fn take(&mut self) -> Result<Vec<Message>, FeedError> {
        if self.session.is_none() {
            self.begin().await?;
        }
        let Some(session) = &mut self.session else {
            sleep(self.lease.length / 4).await;
            return Ok(Vec::new());
        };
        let renewal = session.follower.renewal();
        let Ok(chunk) = timeout(renewal, session.tail.next()).await else { return Ok(Vec::new()) };
        let mut messages = Vec::new();
        for item in chunk.ok_or(FeedError::Closed)? {
            match item? {
                Tailed::CaughtUp(position) => session.upto = Some(position),
                Tailed::Event(event) => {
                    session.upto = Some(event.position);
                    let Some(topic) = Topic::of(&event.stream) else { continue };
                    // Whoever opens it finds out what is wrong with it.
                    let unread = |_| Some(Message::unread(&event, topic));
                    messages.extend(Message::of(&event).unwrap_or_else(unread));
                }
            }
        }
        Ok(messages)
    }

    async fn advance(&mut self) -> Result<(), FeedError> {
        let Some(Session { follower, upto, .. }) = &mut self.session else { return Ok(()) };
        let mut tx = self.pool.begin().await?;
        if !follower.advance(&mut tx, *upto).await? {
            return Err(FeedError::Fenced);
        }
        tx.commit().await?;
        follower.position = upto.or(follower.position);
        Ok(())
    }
}

impl Feed for InProcessFeed {
    async fn next(&mut self, _most: usize) -> Result<Vec<Message>, FeedError> {
        let taken = self.take().await;
        if taken.is_err() {
            self.session = None;
        }
        taken
    }

    async fn commit(&mut self) -> Result<(), FeedError> {
        let advanced = self.advance().await;
        if advanced.is_err() {
            self.session = None;
        }
        advanced
    }

    async fn bury(&mut self, _message: &Message, _error: &str) -> Result<(), FeedError> {
        Ok(())
    }

    async fn close(self) {
        if let Some(Session { follower, .. }) = &self.session
            && let Err(error) = follower.release(&self.pool).await
        {
            tracing::debug!(%error, "a lease was not given up, and lapses");
        }
    }
}
