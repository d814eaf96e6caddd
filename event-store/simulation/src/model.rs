//! What a store must hold and answer, in the plainest terms: a list of events. It shares nothing
//! with the engine but the port's types.

use std::collections::BTreeMap;

use daybook_event_store::{
    AppendError, Appended, Direction, Expected, Filter, NewEvent, Position, Recorded, Revision,
    StreamId, StreamWrite,
};
use uuid::Uuid;

use crate::invariant::{Check, Invariant, Violation, ensure};

/// An event as it must stand in the store.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) stream: StreamId,
    pub(crate) revision: u64,
    pub(crate) new: NewEvent,
    /// As it was first read; the store chooses it.
    recorded_at: Option<i64>,
}

/// All events that must be in the store, by position.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    events: Vec<Event>,
    streams: BTreeMap<StreamId, Vec<usize>>,
    ids: BTreeMap<Uuid, usize>,
}

/// What an append must be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Fresh(Vec<Appended>),
    Repeated(Vec<Appended>),
    Conflict { stream: StreamId, actual: Option<Revision> },
    IdReused,
}

impl Model {
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn streams(&self) -> impl Iterator<Item = &StreamId> {
        self.streams.keys()
    }

    pub(crate) fn last(&self, stream: &StreamId) -> Option<Revision> {
        let last = self.streams.get(stream)?.len() as u64 - 1;
        Some(Revision(last))
    }

    /// What an append must be answered now.
    pub(crate) fn judge(&self, writes: &[StreamWrite]) -> Answer {
        let mut ids: Vec<_> = writes.iter().flat_map(|w| &w.events).map(|e| e.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Answer::IdReused;
        }
        let known: Vec<_> = ids.iter().filter(|id| self.ids.contains_key(id)).collect();
        if !known.is_empty() {
            let all: Option<Vec<_>> = writes.iter().map(|write| self.repeated(write)).collect();
            return all.map_or(Answer::IdReused, Answer::Repeated);
        }
        let wrong = writes.iter().find(|write| !self.is_expected(write));
        if let Some(StreamWrite { stream, .. }) = wrong {
            return Answer::Conflict { stream: stream.clone(), actual: self.last(stream) };
        }
        let mut position = self.events.len() as u64;
        let answer = |write: &StreamWrite| {
            let count = write.events.len() as u64;
            position += count;
            let before = self.last(&write.stream).map_or(0, |last| last.0 + 1);
            Appended { revision: Revision(before + count - 1), position: Position(position - 1) }
        };
        Answer::Fresh(writes.iter().map(answer).collect())
    }

    /// Where all events of a write are, if they are in its stream, one after another.
    fn repeated(&self, write: &StreamWrite) -> Option<Appended> {
        let places: Vec<_> =
            write.events.iter().map(|e| self.ids.get(&e.id)).collect::<Option<_>>()?;
        let first = self.events[*places[0]].revision;
        let same = places.iter().zip(first..).all(|(at, revision)| {
            self.events[**at].stream == write.stream && self.events[**at].revision == revision
        });
        let last = **places.last()?;
        let revision = Revision(self.events[last].revision);
        same.then_some(Appended { revision, position: Position(last as u64) })
    }

    fn is_expected(&self, write: &StreamWrite) -> bool {
        let last = self.last(&write.stream);
        match write.expected {
            Expected::Any => true,
            Expected::NoStream => last.is_none(),
            Expected::StreamExists => last.is_some(),
            Expected::At(revision) => last == Some(revision),
        }
    }

    /// Takes an append in that was judged fresh.
    pub(crate) fn apply(&mut self, writes: &[StreamWrite]) {
        for write in writes {
            for new in &write.events {
                let at = self.events.len();
                let places = self.streams.entry(write.stream.clone()).or_default();
                let revision = places.len() as u64;
                places.push(at);
                self.ids.insert(new.id, at);
                let (stream, new) = (write.stream.clone(), new.clone());
                self.events.push(Event { stream, revision, new, recorded_at: None });
            }
        }
    }

    /// The same without the events from a position on.
    pub(crate) fn cut(&mut self, length: usize) {
        for event in self.events.drain(length..).rev() {
            self.ids.remove(&event.new.id);
            if let Some(places) = self.streams.get_mut(&event.stream) {
                places.pop();
            }
        }
        self.streams.retain(|_, places| !places.is_empty());
    }

    /// Checks an event that was read from a position where one must be.
    pub(crate) fn check(&mut self, read: &Recorded) -> Check {
        let at = usize::try_from(read.position.0).unwrap_or(usize::MAX);
        let Some(event) = self.events.get(at) else {
            let what = format!("position {at} was read, and nothing was submitted there");
            return Err(Violation::new(Invariant::D2, what));
        };
        let Event { stream, revision, new, recorded_at } = event;
        let same = *stream == read.stream
            && *revision == read.revision.0
            && (&new.id, &new.kind) == (&read.id, &read.kind)
            && (&new.data, &new.metadata) == (&read.data, &read.metadata)
            && recorded_at.is_none_or(|at| at == read.recorded_at);
        ensure(same, Invariant::D1, || {
            format!("position {at} is {}, not {}", describe(read), describe_model(event))
        })?;
        let times = |range: std::ops::Range<usize>| {
            self.events[range].iter().filter_map(|event| event.recorded_at)
        };
        let in_order = times(at.saturating_sub(8)..at).all(|time| time <= read.recorded_at)
            && times(at + 1..self.events.len().min(at + 8)).all(|time| time >= read.recorded_at);
        ensure(in_order, Invariant::D3, || {
            format!(
                "the time of position {at}, {}, is not between its neighbours'",
                read.recorded_at
            )
        })?;
        self.events[at].recorded_at = Some(read.recorded_at);
        Ok(())
    }

    /// The positions that a read of a stream gives.
    pub(crate) fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> Vec<usize> {
        let places = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(from.0).unwrap_or(usize::MAX);
        match direction {
            Direction::Forward => places[from.min(places.len())..].to_vec(),
            Direction::Backward => {
                places[..places.len().min(from.saturating_add(1))].iter().rev().copied().collect()
            }
        }
    }

    /// The matching positions from one on.
    pub(crate) fn matching(&self, from: usize, filter: &Filter) -> Vec<usize> {
        let matches = |at: &usize| {
            let event = &self.events[*at];
            filter.matches(event.stream.as_str(), &event.new.kind)
        };
        (from.min(self.len())..self.len()).filter(matches).collect()
    }
}

impl Answer {
    /// Whether the engine answered this.
    pub(crate) fn is(&self, answer: &Result<Vec<Appended>, AppendError>) -> bool {
        match (self, answer) {
            (Self::Fresh(expected) | Self::Repeated(expected), Ok(appended)) => {
                expected == appended
            }
            (
                Self::Conflict { stream, actual },
                Err(AppendError::Conflict { stream: other, actual: told, .. }),
            ) => stream == other && actual == told,
            (Self::IdReused, Err(AppendError::IdReused { .. })) => true,
            _ => false,
        }
    }

    /// What a wrong answer breaks.
    pub(crate) fn invariant(&self) -> Invariant {
        match self {
            Self::Fresh(_) | Self::Conflict { .. } => Invariant::D4,
            Self::Repeated(_) | Self::IdReused => Invariant::D5,
        }
    }
}

fn describe(read: &Recorded) -> String {
    let Recorded { stream, revision, id, kind, data, recorded_at, .. } = read;
    format!("{stream}@{revision} {kind} {id} ({} bytes, at {recorded_at})", data.len())
}

fn describe_model(event: &Event) -> String {
    let Event { stream, revision, new, recorded_at } = event;
    let NewEvent { id, kind, data, .. } = new;
    format!("{stream}@{revision} {kind} {id} ({} bytes, at {recorded_at:?})", data.len())
}
