use std::collections::BTreeMap;

use daybook_domain::values::{InvalidValue, OrderId, Timestamp};
use daybook_event_schemas::runtime::ParkingRecord;
use daybook_event_schemas::{Actor, DecodeError, open, seal};
use daybook_event_store::{
    AppendError, Direction, EventStore, Expected, InvalidStreamId, Position, ReadError, Recorded,
    Revision, Store, StreamId,
};
use futures::TryStreamExt;
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use super::{Clock, ExecuteError, Process, Task};
use crate::commands::{CommandContext, Commands};

/// A command of a process manager that could not be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct ParkedEffect {
    /// The process manager's name.
    pub process: String,
    /// Its instance.
    pub instance: String,
    /// The command's id, by which it is retried or discarded.
    pub command_id: Uuid,
    /// The command, as it stands in the process's record.
    pub command: Value,
    /// Why it could not be carried out.
    pub error: String,
    /// How often that was tried.
    pub attempts: u32,
    /// When it was put aside: microseconds since 1970-01-01T00:00:00Z.
    pub parked_at: i64,
    /// Shared by everything that the same request set off.
    pub correlation_id: Uuid,
}

/// A parked command that was given up, or refused when it was tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct DiscardedEffect {
    /// The command, as it was parked.
    pub effect: ParkedEffect,
    /// Why it was given up, or the rule that refused it.
    pub reason: String,
    /// Who gave it up, or tried it again.
    pub by: Actor,
    /// When: microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
}

/// Why nothing was done about a parked effect.
#[derive(Debug, Clone, Error)]
pub enum ParkingError {
    /// It was never parked, or it was dealt with.
    #[error("process {process} has no parked command {command_id}")]
    NotParked {
        /// The process manager's name.
        process: String,
        /// The command's id.
        command_id: Uuid,
    },
    /// It failed again and stays parked.
    #[error("the command stays parked, {0}")]
    Failed(#[from] ExecuteError),
    /// The store gives no events.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store takes no events.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The process's name does not make a stream's name.
    #[error(transparent)]
    InvalidName(#[from] InvalidStreamId),
    /// What was parked makes no sense to this release.
    #[error("a parked command cannot be read: {0}")]
    Undecodable(String),
}

impl From<DecodeError> for ParkingError {
    fn from(error: DecodeError) -> Self {
        Self::Undecodable(super::chain(&error))
    }
}

impl From<InvalidValue> for ParkingError {
    fn from(error: InvalidValue) -> Self {
        Self::Undecodable(error.to_string())
    }
}

impl From<serde_json::Error> for ParkingError {
    fn from(error: serde_json::Error) -> Self {
        Self::Undecodable(error.to_string())
    }
}

/// Puts a command aside. Once per command, however often it fails.
pub(super) async fn park(
    store: &Store,
    context: &CommandContext,
    record: ParkingRecord,
    process: &str,
) -> Result<Position, ParkingError> {
    let id = Uuid::new_v5(&context.command_id, b"parked");
    let event = seal(id, &record, &context.metadata());
    let appended = store.append(&stream(process)?, Expected::Any, vec![event]).await?;
    Ok(appended.position)
}

/// The parked commands of a process manager, oldest first.
///
/// # Errors
/// They cannot be read.
pub async fn list(store: &Store, process: &str) -> Result<Vec<ParkedEffect>, ParkingError> {
    Ok(read(store, process).await?.0)
}

/// The commands of a process manager that were parked and given up, in the order in which that was.
///
/// # Errors
/// They cannot be read.
pub async fn discarded(store: &Store, process: &str) -> Result<Vec<DiscardedEffect>, ParkingError> {
    Ok(read(store, process).await?.1)
}

/// What is parked, and what was given up.
async fn read(
    store: &Store,
    process: &str,
) -> Result<(Vec<ParkedEffect>, Vec<DiscardedEffect>), ParkingError> {
    let mut events = store.read(&stream(process)?, Revision::START, Direction::Forward);
    let (mut parked, mut discarded) = (BTreeMap::new(), Vec::new());
    while let Some(recorded) = events.try_next().await? {
        let Some(envelope) = open(&recorded)? else { continue };
        match envelope.event {
            ParkingRecord::Parked { process, instance, command_id, command, error, attempts } => {
                let (parked_at, correlation_id) =
                    (recorded.recorded_at, envelope.metadata.correlation_id);
                let effect = ParkedEffect {
                    process,
                    instance,
                    command_id,
                    command,
                    error,
                    attempts,
                    parked_at,
                    correlation_id,
                };
                parked.insert(command_id, (recorded.revision, effect));
            }
            ParkingRecord::Resolved { command_id } => drop(parked.remove(&command_id)),
            ParkingRecord::Discarded { command_id, reason, .. } => {
                let (by, at) = (envelope.metadata.actor, recorded.recorded_at);
                let effect = parked.remove(&command_id).map(|(_, effect)| effect);
                discarded.extend(effect.map(|effect| DiscardedEffect { effect, reason, by, at }));
            }
        }
    }
    let mut parked: Vec<_> = parked.into_values().collect();
    parked.sort_by_key(|(revision, _)| *revision);
    Ok((parked.into_iter().map(|(_, effect)| effect).collect(), discarded))
}

/// Carries a parked command out after all. If a business rule refuses it now and its process has
/// an answer to that, the process is told.
///
/// # Errors
/// It is not parked, or it fails again and stays parked.
pub async fn retry<P: Process>(
    commands: &Commands,
    ports: &P::Ports,
    command_id: Uuid,
    actor: &Actor,
) -> Result<(), ParkingError> {
    let parked = find(commands.store(), P::NAME, command_id).await?;
    let (instance, command): (OrderId, _) =
        (parked.instance.parse()?, P::command_from_json(&parked.command)?);
    let context = CommandContext {
        command_id,
        correlation_id: parked.correlation_id,
        repeated: true,
        ..CommandContext::new(actor.clone())
    };
    let at = Clock::system().now();
    let task = Task { commands, ports, instance, context: &context, at };
    match P::execute(task, &command).await {
        Ok(()) => {
            let resolved = ParkingRecord::Resolved { command_id };
            settle(commands.store(), P::NAME, &resolved, actor).await
        }
        // The process has an answer to a refusal, and learns of it as of a discarded command.
        Err(ExecuteError::Rejected(reason))
            if P::rejected(instance, &command, &reason, at).is_some() =>
        {
            settle(commands.store(), P::NAME, &discarding(parked, reason), actor).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a parked command can be read by this release, as [`retry`] will have to.
///
/// # Errors
/// It cannot.
pub fn is_readable<P: Process>(parked: &ParkedEffect) -> Result<(), ParkingError> {
    parked.instance.parse::<OrderId>()?;
    P::command_from_json(&parked.command)?;
    Ok(())
}

/// Gives a parked command up: its process goes on as if it had been refused.
///
/// # Errors
/// It is not parked.
pub async fn discard(
    store: &Store,
    process: &str,
    command_id: Uuid,
    reason: &str,
    actor: &Actor,
) -> Result<(), ParkingError> {
    let parked = find(store, process, command_id).await?;
    settle(store, process, &discarding(parked, reason.to_owned()), actor).await
}

fn discarding(parked: ParkedEffect, reason: String) -> ParkingRecord {
    let ParkedEffect { command_id, instance, command, .. } = parked;
    ParkingRecord::Discarded { command_id, instance, command, reason }
}

/// What a recorded event of a process's parking stream means to the process: a command that was
/// given up is a command that was refused.
pub(super) fn refusal<P: Process>(
    recorded: &Recorded,
) -> Result<Option<(OrderId, P::Input)>, ParkingError> {
    if recorded.stream != stream(P::NAME)? {
        return Ok(None);
    }
    let Some(envelope) = open(recorded)? else { return Ok(None) };
    let ParkingRecord::Discarded { instance, command, reason, .. } = envelope.event else {
        return Ok(None);
    };
    let (instance, command) = (instance.parse()?, P::command_from_json(&command)?);
    let at = Timestamp::from_micros(recorded.recorded_at);
    Ok(P::rejected(instance, &command, &reason, at).map(|input| (instance, input)))
}

async fn find(
    store: &Store,
    process: &str,
    command_id: Uuid,
) -> Result<ParkedEffect, ParkingError> {
    let parked = list(store, process).await?.into_iter().find(|p| p.command_id == command_id);
    parked.ok_or_else(|| ParkingError::NotParked { process: process.into(), command_id })
}

async fn settle(
    store: &Store,
    process: &str,
    record: &ParkingRecord,
    actor: &Actor,
) -> Result<(), ParkingError> {
    let metadata = CommandContext::new(actor.clone()).metadata();
    let event = seal(Uuid::now_v7(), record, &metadata);
    store.append(&stream(process)?, Expected::Any, vec![event]).await?;
    Ok(())
}

fn stream(process: &str) -> Result<StreamId, InvalidStreamId> {
    StreamId::new("parked", process)
}
