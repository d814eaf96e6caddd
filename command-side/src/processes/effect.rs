use std::sync::Arc;
use std::time::Duration;

use daybook_domain::values::OrderId;
use daybook_event_schemas::Actor;
use daybook_event_schemas::runtime::ParkingRecord;
use daybook_event_store::{Position, Revision};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::instance::{Arrival, Trace};
use super::parking::park;
use super::{ExecuteError, Process, ProcessError, ProcessOptions, Task};
use crate::commands::{CommandContext, Commands};
use crate::metrics::ProcessMetrics;

/// A command that a record wants carried out.
pub(super) struct Outgoing<P: Process> {
    pub(super) instance: OrderId,
    pub(super) command: P::Command,
    pub(super) context: CommandContext,
    /// Where its record stands in the store.
    pub(super) record: Position,
}

impl<P: Process> Outgoing<P> {
    /// The command number `index` of the record at a revision of the instance's stream. Its id
    /// derives from that, so that it is the same however often it is sent.
    pub(super) fn new(
        instance: OrderId,
        command: P::Command,
        (position, revision, index): (Position, Revision, usize),
        trace: Trace,
        actor: Actor,
    ) -> Self {
        let name = format!("{}:{revision}:{index}", P::NAME);
        let context = CommandContext {
            command_id: Uuid::new_v5(&instance.0, name.as_bytes()),
            correlation_id: trace.correlation_id,
            actor,
            traceparent: trace.traceparent,
            expected: None,
            repeated: false,
        };
        Self { instance, command, context, record: position }
    }
}

/// What became of a command.
pub(super) enum Done<P: Process> {
    /// It was carried out or parked.
    Settled(Position),
    /// A business rule said no, and the process wants to know.
    Rejected(Arrival<P>),
    /// The program stops; it is sent again after the restart.
    Interrupted,
}

/// What carrying out commands takes.
pub(super) struct Sender<P: Process> {
    pub(super) commands: Commands,
    pub(super) ports: P::Ports,
    pub(super) options: ProcessOptions,
    pub(super) shutdown: CancellationToken,
    pub(super) metrics: ProcessMetrics,
}

impl<P: Process> Sender<P> {
    /// Carries a command out, however long that takes.
    pub(super) async fn send(self: Arc<Self>, outgoing: Outgoing<P>) -> Done<P> {
        let mut attempts = 1;
        let error = loop {
            match self.execute(&outgoing).await {
                Ok(()) => return Done::Settled(outgoing.record),
                Err(ExecuteError::Unavailable(_)) if attempts < self.options.attempts => {
                    self.metrics.retries.inc();
                    if !self.pause(attempts).await {
                        return Done::Interrupted;
                    }
                    attempts += 1;
                }
                Err(error) => break error,
            }
        };
        match self.answer(&outgoing, &error) {
            Some(arrival) => Done::Rejected(arrival),
            None => self.park(outgoing, &error, attempts).await,
        }
    }

    async fn execute(&self, outgoing: &Outgoing<P>) -> Result<(), ExecuteError> {
        let task = Task {
            commands: &self.commands,
            ports: &self.ports,
            instance: outgoing.instance,
            context: &outgoing.context,
            at: self.options.clock.now(),
        };
        P::execute(task, &outgoing.command).await
    }

    /// What the process gets to know of a failure.
    fn answer(&self, outgoing: &Outgoing<P>, error: &ExecuteError) -> Option<Arrival<P>> {
        let ExecuteError::Rejected(reason) = error else { return None };
        let CommandContext { command_id, correlation_id, ref traceparent, .. } = outgoing.context;
        let at = self.options.clock.now();
        P::rejected(outgoing.instance, &outgoing.command, reason, at).map(|input| Arrival {
            instance: outgoing.instance,
            input,
            position: None,
            cause: command_id,
            trace: Trace { correlation_id, traceparent: traceparent.clone() },
            settles: Some(outgoing.record),
        })
    }

    /// Puts a command aside for an operator, however long that takes.
    async fn park(&self, outgoing: Outgoing<P>, error: &ExecuteError, attempts: u32) -> Done<P> {
        let Outgoing { instance, command, context, record } = outgoing;
        let command_id = context.command_id;
        tracing::warn!(process = P::NAME, %instance, %command_id, %error, "command parked");
        self.metrics.parked.inc();
        let parked = ParkingRecord::Parked {
            process: P::NAME.into(),
            instance: instance.to_string(),
            command_id,
            command: P::command_to_json(&command),
            error: error.to_string(),
            attempts,
        };
        for tried in 1.. {
            match park(self.commands.store(), &context, parked.clone(), P::NAME).await {
                Ok(_) => return Done::Settled(record),
                Err(error) => {
                    tracing::error!(process = P::NAME, %command_id, %error, "parking failed");
                    if !self.pause(tried).await {
                        break;
                    }
                }
            }
        }
        Done::Interrupted
    }

    /// Waits after a failure of the store, before the next try.
    ///
    /// # Errors
    /// The failure itself, where it will not pass or the program stops.
    pub(super) async fn outlast(
        &self,
        error: ProcessError,
        tried: &mut u32,
    ) -> Result<(), ProcessError> {
        *tried += 1;
        if !error.may_pass() {
            return Err(error);
        }
        tracing::warn!(process = P::NAME, %error, tried, "waiting for the store");
        if self.pause(*tried).await { Ok(()) } else { Err(error) }
    }

    /// Waits before the next try. `false`: the program stops.
    pub(super) async fn pause(&self, tried: u32) -> bool {
        let ProcessOptions { backoff, longest_backoff, .. } = self.options;
        let longest = backoff.saturating_mul(1 << (tried - 1).min(20)).min(longest_backoff);
        let pause: Duration = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}
