use std::sync::Arc;

use daybook_domain::values::{OrderId, Timestamp};
use daybook_domain::{ProcessManager, Route};
use daybook_event_schemas::{Actor, Advanced, Metadata, ProcessForm, open};
use daybook_event_store::{Direction, EventStore, Position, Revision, Store, StreamId};
use futures::TryStreamExt;
use uuid::Uuid;

use super::ProcessError;

/// What belongs to one request, over all that it sets off.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub(super) correlation_id: Uuid,
    pub(super) traceparent: Option<Arc<str>>,
}

/// An input on its way to its instance.
pub(super) struct Arrival<P: ProcessManager> {
    pub(super) instance: OrderId,
    pub(super) input: P::Input,
    /// Where the event stands that it came from; rejections and timeouts have none.
    pub(super) position: Option<Position>,
    /// What it came from: an event, a command or an instance.
    pub(super) cause: Uuid,
    pub(super) trace: Trace,
    /// The record of the effect that it reports on.
    pub(super) settles: Option<Position>,
}

/// An instance of a process manager, as its stream tells.
pub(super) struct Instance<P: ProcessManager> {
    state: P::State,
    upto: Option<u64>,
    pub(super) revision: Option<Revision>,
    /// Of what set the instance off.
    pub(super) trace: Option<Trace>,
}

impl<P: ProcessManager> Clone for Instance<P> {
    fn clone(&self) -> Self {
        let Self { state, upto, revision, trace } = self;
        Self { state: state.clone(), upto: *upto, revision: *revision, trace: trace.clone() }
    }
}

impl<P: ProcessManager> Default for Instance<P> {
    fn default() -> Self {
        Self { state: P::State::default(), upto: None, revision: None, trace: None }
    }
}

impl<P: ProcessForm> Instance<P> {
    /// The instance as it stands in the store.
    pub(super) async fn load(store: &Store, stream: &StreamId) -> Result<Self, ProcessError> {
        let mut records = store.read(stream, Revision::START, Direction::Forward);
        let mut instance = Self::default();
        while let Some(recorded) = records.try_next().await? {
            instance.revision = Some(recorded.revision);
            let Some(envelope) = open::<Advanced<P>>(&recorded)? else { continue };
            let Metadata { correlation_id, traceparent, .. } = envelope.metadata;
            instance.trace.get_or_insert(Trace { correlation_id, traceparent });
            let Advanced { inputs, upto, .. } = envelope.event;
            instance.upto = Some(upto);
            instance.state = inputs.iter().fold(instance.state, P::evolve);
        }
        Ok(instance)
    }

    /// What becomes of the instance by some inputs, and the record that makes it so. `None`: there
    /// is nothing new for it in them.
    pub(super) fn step(mut self, arrivals: &[Arrival<P>]) -> Option<(Self, Advanced<P>)> {
        let (mut inputs, mut effects) = (Vec::new(), Vec::new());
        for Arrival { input, position, trace, .. } in arrivals {
            if !self.awaits(input, *position) {
                continue;
            }
            self.trace.get_or_insert_with(|| trace.clone());
            self.upto = position.map(|position| position.0).or(self.upto);
            effects.extend(P::react(&self.state, input));
            self.state = P::evolve(self.state, input);
            inputs.push(input.clone());
        }
        self.revision = Some(Revision(self.revision.map_or(0, |revision| revision.0 + 1)));
        let upto = self.upto.unwrap_or_default();
        (!inputs.is_empty()).then_some((self, Advanced { inputs, effects, upto }))
    }

    /// Whether an input begins the instance, or goes to one that has begun and has not had it.
    fn awaits(&self, input: &P::Input, position: Option<Position>) -> bool {
        let repeated = position.is_some_and(|position| self.upto >= Some(position.0));
        let begun = self.trace.is_some() || matches!(P::route(input), Route::Start(_));
        begun && !repeated
    }

    /// What is to be said about the instance's next record.
    pub(super) fn metadata(&self, cause: Uuid, actor: &Actor) -> Metadata {
        let (correlation_id, traceparent) = match &self.trace {
            Some(trace) => (trace.correlation_id, trace.traceparent.clone()),
            None => (cause, None),
        };
        Metadata {
            schema_version: 0,
            correlation_id,
            causation_id: cause,
            actor: actor.clone(),
            traceparent,
        }
    }
}

impl<P: ProcessForm> Arrival<P> {
    /// A timeout that is due.
    pub(super) fn timed_out(instance: OrderId, timeout: &P::Timeout, at: Timestamp) -> Self {
        Self {
            instance,
            input: P::timed_out(instance, timeout, at),
            position: None,
            cause: instance.0,
            trace: Trace { correlation_id: instance.0, traceparent: None },
            settles: None,
        }
    }
}
