//! Tails: a subscription, and where that ends, another from the last position on.

use std::time::Duration;

use async_stream::stream;
use eventstore::{
    Client, Position as WirePosition, StreamPosition, SubscribeToAllOptions, Subscription,
    SubscriptionEvent,
};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};

use super::connection::{Connection, answer};
use super::failure::Failure;
use super::wire::Names;
use super::{pages, wire};
use crate::{Filter, Position, ReadError, Recorded, Tailed};

/// How many events a server passes over before it tells how far it is, while there are many …
const FAR: u32 = 256;
/// … and once the tail has caught up with it.
const NEAR: u32 = 1;

/// The most messages that are taken together.
const CHUNK: usize = 512;

/// Follows all matching events, over a connection of its own: whoever is slow to take them slows
/// nobody else down.
pub(super) fn follow(
    connection: Connection,
    after: Option<Position>,
    filter: Filter,
) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static {
    stream! {
        let mut attempts = connection.attempts();
        let mut tail = Tail::new(connection, after, filter);
        loop {
            match tail.next().await {
                Ok(items) => {
                    attempts.succeeded();
                    for item in items {
                        yield Ok(item);
                    }
                }
                Err(failure) if failure.may_pass() && attempts.again(&failure).await => {}
                Err(failure) => {
                    yield Err(failure.unread(None));
                    return;
                }
            }
        }
    }
}

/// How far a tail has come.
struct Tail {
    connection: Connection,
    filter: Filter,
    /// Everything that matches up to here was delivered.
    at: Option<Position>,
    /// Up to where that was said.
    told: Option<Position>,
    /// Where the head was when the subscription began.
    head: Option<Position>,
    /// Whether the tail has caught up since the last failure.
    live: bool,
    messages: Option<BoxStream<'static, Vec<Result<SubscriptionEvent, Failure>>>>,
    /// What ended the last subscription, after what that delivered.
    failure: Option<Failure>,
    names: Names,
}

impl Tail {
    fn new(connection: Connection, after: Option<Position>, filter: Filter) -> Self {
        let (told, head, live, messages, failure) = (None, None, false, None, None);
        let names = Names::default();
        Self { connection, filter, at: after, told, head, live, messages, failure, names }
    }

    /// What comes next, which may be nothing yet. After a failure it subscribes anew.
    async fn next(&mut self) -> Result<Vec<Tailed>, Failure> {
        if let Some(failure) = self.failure.take() {
            self.live = false;
            return Err(failure);
        }
        let mut messages = match self.messages.take() {
            Some(messages) => messages,
            None => self.subscribe().await?,
        };
        let (mut items, was_live) = (Vec::new(), self.live);
        let mut passed = false;
        for message in messages.next().await.unwrap_or_default() {
            passed = matches!(message, Ok(SubscriptionEvent::Checkpoint(_)));
            match message.and_then(|message| self.take(message)) {
                Ok(event) => items.extend(event),
                Err(failure) => self.failure = Some(failure),
            }
        }
        if (self.live || passed) && self.at > self.told {
            self.told = self.at;
            items.extend(self.at.map(Tailed::CaughtUp));
        }
        // Having caught up, it wants to be told at once of what does not match.
        let ask_anew = self.live && !was_live && pages::server_filter(&self.filter).is_some();
        if self.failure.is_none() && !ask_anew {
            self.messages = Some(messages);
        }
        Ok(items)
    }

    async fn subscribe(
        &mut self,
    ) -> Result<BoxStream<'static, Vec<Result<SubscriptionEvent, Failure>>>, Failure> {
        self.head = pages::last(&self.connection).await?;
        let options = self.options();
        let subscribe = |client: Client| async move { Ok(client.subscribe_to_all(&options).await) };
        let subscription = self.connection.once(subscribe).await?;
        Ok(messages(subscription, self.connection.answer()).ready_chunks(CHUNK).boxed())
    }

    fn options(&self) -> SubscribeToAllOptions {
        let options = SubscribeToAllOptions::default().position(match self.at {
            Some(Position(at)) => {
                StreamPosition::Position(WirePosition { commit: at, prepare: at })
            }
            None => StreamPosition::Start,
        });
        match pages::server_filter(&self.filter) {
            Some(filter) => options.filter(filter.max(if self.live { NEAR } else { FAR })),
            None => options,
        }
    }

    /// Takes a message into account. The result is an event that it brought.
    fn take(&mut self, message: SubscriptionEvent) -> Result<Option<Tailed>, Failure> {
        let position = |position: WirePosition| Some(Position(position.commit));
        match message {
            SubscriptionEvent::EventAppeared(appeared) => {
                let Some(event) = appeared.event else { return Ok(None) };
                let event = Recorded::from(wire::recorded(event, &mut self.names)?);
                let is_new = Some(event.position) > self.at;
                self.at = self.at.max(Some(event.position));
                let wanted = is_new && self.filter.matches(event.stream.as_str(), &event.kind);
                return Ok(wanted.then_some(Tailed::Event(event)));
            }
            SubscriptionEvent::Checkpoint(at) => self.at = self.at.max(position(at)),
            SubscriptionEvent::CaughtUp(caught_up) => {
                let told = caught_up.and_then(|caught_up| caught_up.position).and_then(position);
                // Servers that do not tell where have delivered at least what was there before.
                self.at = self.at.max(told).max(self.head);
                self.live = true;
            }
            _ => {}
        }
        Ok(None)
    }
}

/// The messages of a subscription, up to its first error. The first one, that it was begun, has to
/// come in time; the others come when there is something to tell.
fn messages(
    subscription: Subscription,
    first: Duration,
) -> impl Stream<Item = Result<SubscriptionEvent, Failure>> + Send + 'static {
    stream::unfold(Some((subscription, first)), |waiting| async move {
        let (mut subscription, most) = waiting?;
        match answer(most, subscription.next_subscription_event()).await {
            Ok(message) => Some((Ok(message), Some((subscription, Duration::MAX)))),
            Err(error) => Some((Err(Failure::from(error)), None)),
        }
    })
}
