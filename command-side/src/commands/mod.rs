//! One way to carry out a command, whatever the aggregate: load, decide, append.

mod batch;
mod desk;
mod error;
mod history;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::Decider;
use daybook_event_schemas::{Actor, Contract, Metadata};
use daybook_event_store::{Position, Revision, Store, StreamId};
use parking_lot::RwLock;
use uuid::Uuid;

pub use error::{CommandError, LoadError, StoreError};
pub use history::event_id;

use desk::Desk;

/// How commands are carried out.
#[derive(Debug, Clone)]
pub struct CommandOptions {
    /// How often a command is tried when others write to its stream meanwhile; at least 1.
    pub attempts: u32,
    /// The pause before the second retry, doubled each time; the first retry comes at once.
    pub backoff: Duration,
    /// Most commands decided for one append; at least 1.
    pub batch_commands: usize,
    /// Most events of one append, unless a single command makes more.
    pub append_events: usize,
    /// Most bytes of one append, unless a single command makes more.
    pub append_bytes: usize,
    /// How many aggregates of one kind are kept in memory.
    pub cached_aggregates: u64,
}

impl Default for CommandOptions {
    fn default() -> Self {
        Self {
            attempts: 10,
            backoff: Duration::from_millis(2),
            batch_commands: 256,
            append_events: 2_048,
            append_bytes: 4 << 20,
            cached_aggregates: 10_000,
        }
    }
}

/// Who sends a command, and under what circumstances.
#[derive(Debug, Clone)]
pub struct CommandContext {
    /// Identifies the command; the ids of its events derive from it, so that it takes effect once in
    /// its stream. In another stream, it is that of another command.
    pub command_id: Uuid,
    /// Shared by everything that one request sets off.
    pub correlation_id: Uuid,
    /// On whose behalf.
    pub actor: Actor,
    /// W3C Trace Context of the request.
    pub traceparent: Option<Arc<str>>,
    /// The only revision that the command may change.
    pub expected: Option<Revision>,
    /// The command may have taken effect before: what it did then is looked up in the stream.
    pub repeated: bool,
}

impl CommandContext {
    /// A command of its own, sent for the first time, that changes whatever it finds.
    pub fn new(actor: Actor) -> Self {
        let command_id = Uuid::now_v7();
        Self {
            command_id,
            correlation_id: command_id,
            actor,
            traceparent: None,
            expected: None,
            repeated: false,
        }
    }

    /// What is to be said about the command's events.
    pub(crate) fn metadata(&self) -> Metadata {
        Metadata {
            schema_version: 0,
            correlation_id: self.correlation_id,
            causation_id: self.command_id,
            actor: self.actor.clone(),
            traceparent: self.traceparent.clone(),
        }
    }
}

/// Where an aggregate stands.
pub struct Loaded<D: Decider> {
    /// Its state.
    pub state: Arc<D::State>,
    /// Its last event's revision; `None` where nothing has happened yet.
    pub revision: Option<Revision>,
    /// Its last event's position.
    pub position: Option<Position>,
}

impl<D: Decider> Clone for Loaded<D> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), revision: self.revision, position: self.position }
    }
}

impl<D: Decider> Default for Loaded<D> {
    fn default() -> Self {
        Self { state: Arc::default(), revision: None, position: None }
    }
}

/// What a command did. All of it is durable. The state that it led to is not part of it, so that
/// it can evolve in place; [`Commands::load`] it where it is needed.
pub struct Handled<D: Decider> {
    /// The aggregate's revision after the command; `None` where nothing has happened yet.
    pub revision: Option<Revision>,
    /// A position by which all of it is in the store; `None` where nothing has happened yet.
    pub position: Option<Position>,
    /// What the command made happen; empty where its effect was there already.
    pub events: Vec<D::Event>,
}

impl<D: Decider> fmt::Debug for Handled<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handled")
            .field("revision", &self.revision)
            .field("position", &self.position)
            .field("events", &self.events.len())
            .finish()
    }
}

/// Carries out commands on the aggregates of one store. Clones share their caches.
///
/// Commands for one stream are decided one after the other and appended together. The state they
/// are decided on is kept in memory; the append checks that it is still the stream's. A refusal
/// appends nothing, so where several processes write to one store it can be a moment out of date.
#[derive(Clone)]
pub struct Commands {
    store: Store,
    options: Arc<CommandOptions>,
    desks: Arc<RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>,
}

impl Commands {
    /// Carries out commands on the aggregates of `store`.
    pub fn new(store: Store) -> Self {
        Self::with_options(store, CommandOptions::default())
    }

    /// Carries out commands in a way of one's own.
    pub fn with_options(store: Store, options: CommandOptions) -> Self {
        Self { store, options: Arc::new(options), desks: Arc::default() }
    }

    /// Where the events are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Carries out a command. It goes on to its end even where the returned future is dropped.
    ///
    /// # Errors
    /// A business rule said no, the caller's revision is stale, or the store does not serve.
    pub async fn handle<D: Decider>(
        &self,
        id: impl Display + Send,
        command: D::Command,
        context: &CommandContext,
    ) -> Result<Handled<D>, CommandError<D::Rejection>>
    where
        D::Event: Contract,
    {
        let stream = StreamId::new(D::CATEGORY, id).map_err(CommandError::InvalidId)?;
        let answer = self.desk::<D>().submit(stream, command, context.clone());
        answer.await.unwrap_or(Err(CommandError::Unavailable(StoreError::Abandoned)))
    }

    /// Where an aggregate stands. What another process has just written may not be in it.
    ///
    /// # Errors
    /// The stream cannot be read or holds something unreadable.
    pub async fn load<D: Decider>(&self, id: impl Display + Send) -> Result<Loaded<D>, LoadError>
    where
        D::Event: Contract,
    {
        self.desk::<D>().load(&StreamId::new(D::CATEGORY, id)?).await
    }

    /// What a command did to an aggregate earlier; `None` where it did nothing.
    ///
    /// # Errors
    /// The stream cannot be read or holds something unreadable.
    pub async fn recall<D: Decider>(
        &self,
        id: impl Display + Send,
        command_id: Uuid,
    ) -> Result<Option<Handled<D>>, LoadError>
    where
        D::Event: Contract,
    {
        self.desk::<D>().recall(&StreamId::new(D::CATEGORY, id)?, command_id).await
    }

    fn desk<D: Decider>(&self) -> Arc<Desk<D>>
    where
        D::Event: Contract,
    {
        let kind = TypeId::of::<D>();
        let known = self.desks.read().get(&kind).cloned();
        let desk = known.unwrap_or_else(|| {
            let open = || Arc::new(Desk::<D>::new(self.store.clone(), Arc::clone(&self.options)));
            Arc::clone(self.desks.write().entry(kind).or_insert_with(|| open()))
        });
        desk.downcast().unwrap_or_else(|_| unreachable!("desks are filed under their own type"))
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("options", &self.options).finish_non_exhaustive()
    }
}
