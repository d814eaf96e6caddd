use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use daybook_domain::Decider;
use daybook_event_schemas::{Contract, seal};
use daybook_event_store::{Appended, Expected, NewEvent, Position, Revision};
use tokio::sync::oneshot;

use super::{CommandContext, CommandError, CommandOptions, Handled, Loaded, event_id};
use crate::metrics::CommandMetrics;

pub(super) type Answer<D> = Result<Handled<D>, CommandError<<D as Decider>::Rejection>>;

/// A command that waits for its turn.
pub(super) struct Pending<D: Decider> {
    pub(super) command: D::Command,
    pub(super) context: CommandContext,
    pub(super) attempts: u32,
    pub(super) reply: oneshot::Sender<Answer<D>>,
}

impl<D: Decider> Pending<D> {
    /// The command, known to have taken effect before.
    pub(super) fn repeated(mut self) -> Self {
        self.context.repeated = true;
        self
    }

    /// Answers the caller, who may have gone away.
    pub(super) fn answer(self, answer: Answer<D>, metrics: &CommandMetrics) {
        match &answer {
            Ok(handled) if handled.events.is_empty() => metrics.unchanged.inc(),
            Ok(_) => metrics.accepted.inc(),
            Err(CommandError::Rejected(_)) => metrics.rejected.inc(),
            Err(CommandError::Stale { .. }) => metrics.stale.inc(),
            Err(CommandError::Conflict { .. }) => metrics.conflict.inc(),
            Err(_) => metrics.failed.inc(),
        }
        drop(self.reply.send(answer));
    }
}

/// What a command made happen, and the revision after it.
type Verdict<D> =
    Result<(Vec<<D as Decider>::Event>, Option<Revision>), CommandError<<D as Decider>::Rejection>>;

/// Commands decided one after the other, each on what the ones before it made happen. Nothing of
/// it counts until its events are appended.
pub(super) struct Batch<D: Decider> {
    /// The stream's end that all of it rests on.
    base: Option<Revision>,
    position: Option<Position>,
    state: Arc<D::State>,
    revision: Option<Revision>,
    events: Vec<NewEvent>,
    bytes: usize,
    decided: Vec<(Pending<D>, Verdict<D>)>,
}

impl<D: Decider> Batch<D>
where
    D::Event: Contract,
{
    /// Decides at most so many commands from the front of `queue`, as many as fit.
    pub(super) fn decide(
        loaded: Loaded<D>,
        queue: &mut VecDeque<Pending<D>>,
        commands: usize,
        options: &CommandOptions,
    ) -> Self {
        let Loaded { state, revision, position } = loaded;
        let (events, decided) = (Vec::new(), Vec::with_capacity(queue.len()));
        let base = revision;
        let mut batch = Self { base, position, state, revision, events, bytes: 0, decided };
        while batch.decided.len() < commands
            && let Some(pending) = queue.pop_front()
        {
            if let Err(pending) = batch.take(pending, options) {
                queue.push_front(pending);
                break;
            }
        }
        batch
    }

    /// Whether the very same command is in the batch already.
    fn has(&self, pending: &Pending<D>) -> bool {
        let id = pending.context.command_id;
        self.decided.iter().any(|(earlier, _)| earlier.context.command_id == id)
    }

    fn verdict(&self, pending: &Pending<D>) -> Result<Vec<D::Event>, CommandError<D::Rejection>> {
        match pending.context.expected {
            Some(expected) if self.revision != Some(expected) => {
                Err(CommandError::Stale { expected, actual: self.revision })
            }
            _ => D::decide(&self.state, pending.command.clone()).map_err(CommandError::Rejected),
        }
    }

    /// Decides a command, or gives it back because it is for the next append.
    fn take(&mut self, pending: Pending<D>, options: &CommandOptions) -> Result<(), Pending<D>> {
        // The second of two is to see what the first one did.
        if self.has(&pending) {
            return Err(pending);
        }
        let happened = match self.verdict(&pending) {
            Ok(happened) => happened,
            Err(refused) => {
                self.decided.push((pending, Err(refused)));
                return Ok(());
            }
        };
        let sealed = sealed(&pending.context, &happened);
        let bytes: usize = sealed.iter().map(|event| event.data.len() + event.metadata.len()).sum();
        let full = self.events.len() + sealed.len() > options.append_events
            || self.bytes + bytes > options.append_bytes;
        if full && !self.events.is_empty() {
            return Err(pending);
        }
        self.bytes += bytes;
        self.events.extend(sealed);
        self.evolve(&happened);
        self.decided.push((pending, Ok((happened, self.revision))));
        Ok(())
    }

    fn evolve(&mut self, happened: &[D::Event]) {
        let Some(last) = (happened.len() as u64).checked_sub(1) else { return };
        let state = Arc::unwrap_or_clone(mem::take(&mut self.state));
        self.state = Arc::new(happened.iter().fold(state, D::evolve));
        self.revision = Some(Revision(self.revision.map_or(last, |r| r.0 + 1 + last)));
    }
}

impl<D: Decider> Batch<D> {
    /// What the append is to expect of the stream, by the fold.
    pub(super) fn expected(&self) -> Expected {
        self.base.map_or(Expected::NoStream, Expected::At)
    }

    /// The events to append.
    pub(super) fn take_events(&mut self) -> Vec<NewEvent> {
        mem::take(&mut self.events)
    }

    pub(super) fn len(&self) -> usize {
        self.decided.len()
    }

    /// Whether the append was this one and not a repetition of an earlier one.
    pub(super) fn is_at(&self, appended: Appended) -> bool {
        self.revision == Some(appended.revision)
    }

    /// Answers those at the front whose refusal rests on durable state alone.
    pub(super) fn answer_early(&mut self, metrics: &CommandMetrics) {
        let refused = self.decided.iter().take_while(|(_, verdict)| verdict.is_err()).count();
        for (pending, verdict) in self.decided.drain(..refused) {
            if let Err(refused) = verdict {
                pending.answer(Err(refused), metrics);
            }
        }
    }

    /// Where the aggregate stands now that the events are durable; `None`: there were none.
    pub(super) fn publish(&mut self, appended: Option<Appended>) -> Loaded<D> {
        Loaded {
            state: mem::take(&mut self.state),
            revision: self.revision,
            position: appended.map(|appended| appended.position).or(self.position),
        }
    }

    /// Answers everybody.
    pub(super) fn answer(self, position: Option<Position>, metrics: &CommandMetrics) {
        for (pending, verdict) in self.decided {
            let handled = verdict.map(|(events, revision)| Handled { revision, position, events });
            pending.answer(handled, metrics);
        }
    }

    /// Gives the commands back: nothing was appended.
    pub(super) fn into_pending(self) -> impl DoubleEndedIterator<Item = Pending<D>> {
        self.decided.into_iter().map(|(pending, _)| pending)
    }
}

fn sealed<E: Contract>(context: &CommandContext, events: &[E]) -> Vec<NewEvent> {
    if events.is_empty() {
        return Vec::new();
    }
    let metadata = context.metadata();
    let seal = |(n, event)| seal(event_id(context.command_id, n), event, &metadata);
    events.iter().enumerate().map(seal).collect()
}
