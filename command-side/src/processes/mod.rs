//! Process managers at work: they follow the events of several aggregates and send commands to
//! others.
//!
//! A batch of events becomes at most one record per instance, which holds what the instance took
//! in and what it wants done. Only when the record is durable are its commands sent, under ids
//! that derive from it. So a crash at any point, and the repetitions that follow it, do no harm.
//!
//! Nothing here decides what a process does; that is the domain's.

mod checkout;
mod checkpoint;
mod clock;
mod effect;
mod fulfilment;
mod instance;
mod ledger;
mod parking;
mod payment;
mod runtime;
mod timers;
mod worker;

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use daybook_domain::Decider;
use daybook_domain::values::{OrderId, Timestamp};
use daybook_event_schemas::{Contract, DecodeError, DomainEvent, Envelope, ProcessForm};
use daybook_event_store::{AppendError, InvalidStreamId, Position, ReadError};
use thiserror::Error;

use crate::commands::{CommandContext, CommandError, Commands};

pub use clock::Clock;
pub use parking::{
    DiscardedEffect, ParkedEffect, ParkingError, discard, discarded, is_readable, list, retry,
};
pub use runtime::{ProcessHandle, ProcessRuntime};

/// Binds a process manager of the domain to the platform.
pub trait Process: ProcessForm<Input: PartialEq> {
    /// Event types that the process follows.
    const FOLLOWS: &'static [&'static str];
    /// What it needs beside the command side, such as a payment provider.
    type Ports: Clone + Send + Sync + 'static;

    /// What an event means to the process, if anything.
    fn input(event: &Envelope<DomainEvent>) -> Option<Self::Input>;

    /// Carries a command out. Repeating it is harmless.
    fn execute(
        task: Task<'_, Self::Ports>,
        command: &Self::Command,
    ) -> impl Future<Output = Result<(), ExecuteError>> + Send;
}

/// The circumstances of a process's command.
pub struct Task<'a, Ports> {
    /// The way to the aggregates.
    pub commands: &'a Commands,
    /// The way to everything else.
    pub ports: &'a Ports,
    /// The instance that wants it done.
    pub instance: OrderId,
    /// Under which id, and on whose behalf.
    pub context: &'a CommandContext,
    /// What time it is.
    pub at: Timestamp,
}

impl<Ports: Sync> Task<'_, Ports> {
    /// Sends a command to an aggregate.
    async fn handle<D: Decider>(
        &self,
        id: impl Display + Send,
        command: D::Command,
    ) -> Result<(), ExecuteError>
    where
        D::Event: Contract,
    {
        self.commands.handle::<D>(id, command, self.context).await?;
        Ok(())
    }
}

/// Why a process's command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExecuteError {
    /// A business rule said no: the process is told.
    #[error("rejected: {0}")]
    Rejected(String),
    /// It may work later.
    #[error("not available: {0}")]
    Unavailable(String),
    /// It will not work until somebody has had a look.
    #[error("broken: {0}")]
    Broken(String),
}

impl<R: Error + Send + Sync + 'static> From<CommandError<R>> for ExecuteError {
    fn from(error: CommandError<R>) -> Self {
        match &error {
            CommandError::Rejected(rejection) => Self::Rejected(rejection.to_string()),
            CommandError::Conflict { .. }
            | CommandError::Stale { .. }
            | CommandError::Unavailable(_) => Self::Unavailable(chain(&error)),
            CommandError::TooLarge(_) | CommandError::Damaged(_) | CommandError::InvalidId(_) => {
                Self::Broken(chain(&error))
            }
        }
    }
}

/// An error with all its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

/// How a process manager is run.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// Most events taken in together.
    pub batch_events: usize,
    /// Most records appended at the same time.
    pub appends: usize,
    /// Commands under way at the same time; no events are taken in while there are more.
    pub in_flight: usize,
    /// How often a command is tried before it is parked; at least 1.
    pub attempts: u32,
    /// The pause before a command's second try, doubled each time.
    pub backoff: Duration,
    /// The longest pause.
    pub longest_backoff: Duration,
    /// How many instances are kept in memory.
    pub cached_instances: u64,
    /// Events after which a checkpoint is written.
    pub checkpoint_events: u64,
    /// Time after which a checkpoint is written; longer where there are many timers to write.
    pub checkpoint_interval: Duration,
    /// How often timers and checkpoints are looked at.
    pub tick: Duration,
    /// The clock that timers go by.
    pub clock: Clock,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self {
            batch_events: 4_096,
            appends: 256,
            in_flight: 4_096,
            attempts: 12,
            backoff: Duration::from_millis(50),
            longest_backoff: Duration::from_secs(30),
            cached_instances: 20_000,
            checkpoint_events: 20_000,
            checkpoint_interval: Duration::from_secs(1),
            tick: Duration::from_millis(100),
            clock: Clock::system(),
        }
    }
}

/// How far a process manager got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every event up to here was taken in.
    pub taken: Option<Position>,
    /// Every event up to here was taken in, and everything that came of it was carried out or
    /// parked. This is what a restart goes on from, at the latest checkpoint.
    pub settled: Option<Position>,
    /// Commands under way.
    pub in_flight: usize,
    /// Timeouts that are waited for.
    pub timers: usize,
}

/// Why a process manager stopped.
#[derive(Debug, Clone, Error)]
pub enum ProcessError {
    /// Another runtime of the same process took over.
    #[error("process {process} is run by somebody else now: run it in one place only")]
    Superseded {
        /// Which process.
        process: &'static str,
    },
    /// The store gives no events.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store takes no events.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An event makes no sense to this release.
    #[error("process managers cannot read an event: {0}")]
    Undecodable(String),
    /// An instance's id does not make a stream's name.
    #[error(transparent)]
    InvalidId(#[from] InvalidStreamId),
    /// Something panicked. What was under way is done again after a restart.
    #[error("process {process} panicked")]
    Panicked {
        /// Which process.
        process: &'static str,
    },
}

impl ProcessError {
    /// Whether a later attempt may succeed.
    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Read(ReadError::Unavailable { .. })
                | Self::Append(AppendError::Unavailable { .. } | AppendError::Uncertain { .. })
        )
    }
}

impl From<DecodeError> for ProcessError {
    fn from(error: DecodeError) -> Self {
        Self::Undecodable(chain(&error))
    }
}
