//! A group's task, as others see it.

use daybook_event_store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use super::actor::Actor;
use super::config::Entry;
use super::consumer::{Identity, Responses};
use super::machine::{ConsumerId, Nack};
use super::memory::GroupsMemory;
use crate::errors;
use crate::protocol::IdForm;
use crate::protocol::persistent::SubscriptionInfo;

/// How many requests may wait for a group.
const REQUESTS: usize = 64;

/// Where the answer to a request goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Status>>;

/// What a group is asked.
pub(crate) enum Request {
    Connect(Connect, Reply<(ConsumerId, Responses)>),
    /// A consumer has gone, or must go, for this reason.
    Disconnect(ConsumerId, Status),
    Ack(Vec<Uuid>),
    Nack(ConsumerId, Vec<Uuid>, Nack, String),
    Info(Reply<SubscriptionInfo>),
    /// Replay what is parked before a revision; all, where none is given.
    Replay(Option<u64>, Reply<()>),
    /// End; the answer comes when everything is written.
    End(Reply<()>),
}

/// Who wants to be a group's consumer.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) identity: Identity,
    pub(crate) ids: IdForm,
    /// The most messages that it has at one time.
    pub(crate) limit: usize,
}

/// A group that was started.
#[derive(Debug, Clone)]
pub(crate) struct Group(mpsc::Sender<Request>);

impl Group {
    /// Starts a group where it was left.
    ///
    /// # Errors
    /// What it left cannot be read.
    pub(crate) async fn start(
        store: &Store,
        entry: &Entry,
        memory: &GroupsMemory,
        stop: &CancellationToken,
    ) -> Result<Self, Status> {
        let (sender, requests) = mpsc::channel(REQUESTS);
        let actor = Actor::load(store, entry, memory, requests).await?;
        tokio::spawn(actor.run(stop.clone()));
        Ok(Self(sender))
    }

    /// Whether the task is no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a request that has no answer.
    ///
    /// # Errors
    /// The group has ended.
    pub(crate) async fn tell(&self, request: Request) -> Result<(), Status> {
        self.0.send(request).await.map_err(|_| errors::stopping())
    }

    /// Sends a request, and waits for the answer.
    ///
    /// # Errors
    /// The request was refused, or the group has ended.
    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        self.tell(request(reply)).await?;
        answer.await.map_err(|_| errors::stopping())?
    }
}
