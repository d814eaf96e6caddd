//! What a request must be answered, and what it makes of the store.

use std::collections::{BTreeMap, BTreeSet};

use daybook_event_store::{
    AppendError, Appended, Expected, Position, Recorded, Revision, StreamCheck, StreamId,
    StreamMetadata, StreamState, StreamWrite, Transaction, Violation,
};

use super::{Body, Model};
use crate::invariant::Invariant;

/// What a writer asks for.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Append(Transaction),
    Delete(StreamId, Expected),
    Tombstone(StreamId, Expected),
}

/// What a request must be answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These places, for these events.
    Fresh(Vec<Appended>, Vec<(StreamId, Body)>),
    Repeated(Vec<Appended>),
    Conflict(StreamId, Option<Revision>),
    Violated(Vec<Violation>),
    Deleted(StreamId),
    IdReused,
}

impl Model {
    /// What a request must be answered now.
    pub(crate) fn judge(&self, request: &Request) -> Answer {
        match request {
            Request::Append(transaction) => self.judge_append(transaction),
            Request::Delete(stream, expected) => self.judge_delete(stream, *expected),
            Request::Tombstone(stream, expected) => {
                let refused = self.refuse(stream, *expected);
                let tombstone = Body::Own { said: None, seen: None };
                refused.unwrap_or_else(|| self.fresh(vec![(stream.clone(), tombstone)]))
            }
        }
    }

    /// Takes in what was judged fresh.
    pub(crate) fn apply(&mut self, answer: &Answer) {
        if let Answer::Fresh(_, events) = answer {
            for (stream, body) in events {
                self.push(stream, body.clone());
            }
        }
    }

    fn judge_append(&self, transaction: &Transaction) -> Answer {
        let writes = transaction.writes();
        if writes.iter().any(|write| !has_distinct_ids(write)) {
            return Answer::IdReused;
        }
        let is_known = |write: &StreamWrite| {
            write.events.iter().any(|event| self.find(&write.stream, event.id).is_some())
        };
        if writes.iter().any(is_known) {
            let all: Option<Vec<_>> = writes.iter().map(|write| self.repeated(write)).collect();
            return all.map_or(Answer::IdReused, Answer::Repeated);
        }
        let violations = self.violations(transaction.checks());
        if !violations.is_empty() {
            return Answer::Violated(violations);
        }
        let refused = writes.iter().find_map(|write| self.refuse(&write.stream, write.expected));
        if let Some(refused) = refused {
            return refused;
        }
        let mut events = in_order(transaction);
        let end = |write: &StreamWrite| events.iter().rposition(|(of, _)| *of == write.stream);
        let ends: Vec<_> = writes.iter().filter_map(end).collect();
        let described = |stream: &Option<StreamId>| {
            writes.iter().any(|write| Some(&write.stream) == stream.as_ref())
        };
        for StreamWrite { stream, .. } in writes {
            // A deleted stream begins anew, unless something else is said of it.
            if self.is_deleted(stream) && !described(&stream.metadata_stream()) {
                let next = self.last(stream).map_or(0, |last| last.0 + 1);
                events.extend(self.truncated(stream, Revision(next)));
            }
        }
        let Answer::Fresh(places, events) = self.fresh(events) else { return Answer::IdReused };
        Answer::Fresh(ends.into_iter().map(|end| places[end]).collect(), events)
    }

    /// The checks that do not hold.
    fn violations(&self, checks: &[StreamCheck]) -> Vec<Violation> {
        let actual = |StreamCheck { stream, expected }: &StreamCheck| {
            let (last, deleted) = (self.last(stream), self.is_deleted(stream));
            match (self.refuse(stream, *expected)?, last) {
                (Answer::Deleted(_), _) => Some(StreamState::Tombstoned),
                (_, None) => Some(StreamState::NoStream),
                (_, Some(last)) if !deleted => Some(StreamState::At(last)),
                (_, Some(last)) => Some(match expected {
                    Expected::At(_) => StreamState::At(last),
                    _ => StreamState::Deleted,
                }),
            }
        };
        let checks = checks.iter().enumerate();
        checks
            .filter_map(|(check, of)| actual(of).map(|actual| Violation { check, actual }))
            .collect()
    }

    fn judge_delete(&self, stream: &StreamId, expected: Expected) -> Answer {
        if let Some(refused) = self.refuse(stream, expected) {
            return refused;
        }
        if self.last(stream).is_none() {
            return Answer::Conflict(stream.clone(), None);
        }
        let metadata = stream.metadata_stream().and_then(|stream| self.streams.get(&stream));
        if let Some(last) = metadata.and_then(|places| places.last())
            && self.is_deleted(stream)
        {
            let revision = Revision(self.events[*last].revision);
            return Answer::Repeated(vec![Appended { revision, position: Position(*last as u64) }]);
        }
        self.fresh(self.truncated(stream, StreamMetadata::DELETED))
    }

    /// The event that says where a stream begins, and else what was said before.
    fn truncated(&self, stream: &StreamId, before: Revision) -> Vec<(StreamId, Body)> {
        let Some(metadata) = stream.metadata_stream() else { return Vec::new() };
        let said = self.said(stream, self.len()).unwrap_or_default();
        let said = Some(StreamMetadata { truncate_before: Some(before), ..said });
        vec![(metadata, Body::Own { said, seen: None })]
    }

    /// The places that events get.
    fn fresh(&self, events: Vec<(StreamId, Body)>) -> Answer {
        let place = |at: usize| {
            let stream = &events[at].0;
            let before = events[..at].iter().filter(|(other, _)| other == stream).count() as u64;
            let next = self.last(stream).map_or(0, |last| last.0 + 1);
            let position = Position((self.len() + at) as u64);
            Appended { revision: Revision(next + before), position }
        };
        Answer::Fresh((0..events.len()).map(place).collect(), events)
    }

    /// Where all events of a write are, if they are in its stream, one after another.
    fn repeated(&self, write: &StreamWrite) -> Option<Appended> {
        let places: Vec<_> =
            write.events.iter().map(|e| self.find(&write.stream, e.id)).collect::<Option<_>>()?;
        let first = self.events[places[0]].revision;
        let same = places.iter().zip(first..).all(|(at, n)| self.events[*at].revision == n);
        let last = *places.last()?;
        let revision = Revision(self.events[last].revision);
        same.then_some(Appended { revision, position: Position(last as u64) })
    }

    /// Why a stream is not written to.
    fn refuse(&self, stream: &StreamId, expected: Expected) -> Option<Answer> {
        if self.has_ended(stream, self.len()) {
            return Some(Answer::Deleted(stream.clone()));
        }
        let (last, deleted) = (self.last(stream), self.is_deleted(stream));
        let as_expected = match expected {
            Expected::Any => true,
            Expected::NoStream => last.is_none() || deleted,
            Expected::StreamExists => last.is_some() && !deleted,
            Expected::At(revision) => last == Some(revision),
        };
        (!as_expected).then(|| Answer::Conflict(stream.clone(), last))
    }

    fn is_deleted(&self, stream: &StreamId) -> bool {
        let said = self.said(stream, self.len());
        said.is_some_and(|said| said.truncate_before == Some(StreamMetadata::DELETED))
    }
}

/// The events of a transaction as they come to stand.
fn in_order(transaction: &Transaction) -> Vec<(StreamId, Body)> {
    let writes = transaction.writes().iter();
    let mut rest: BTreeMap<_, _> = writes.map(|of| (&of.stream, of.events.iter())).collect();
    let order = transaction.order().into_iter();
    let events = order.filter_map(|stream| Some((stream, rest.get_mut(stream)?.next()?)));
    events.map(|(stream, event)| (stream.clone(), Body::Given(event.clone()))).collect()
}

fn has_distinct_ids(write: &StreamWrite) -> bool {
    let ids: BTreeSet<_> = write.events.iter().map(|event| event.id).collect();
    ids.len() == write.events.len()
}

impl Request {
    /// What it asks for, on one line; ids by their numbers.
    pub(crate) fn summary(&self) -> String {
        let Self::Append(transaction) = self else { return format!("{self:?}") };
        let write = |write: &StreamWrite| {
            let ids: Vec<_> = write.events.iter().map(|event| event.id.as_u64_pair().1).collect();
            let said = write.events.first().filter(|event| &*event.kind == StreamMetadata::KIND);
            let said = said.map(|event| String::from_utf8_lossy(&event.data)).unwrap_or_default();
            format!("{} {:?} {ids:?} {said}", write.stream, write.expected)
        };
        let writes: Vec<_> = transaction.writes().iter().map(write).collect();
        let checks = transaction.checks().iter();
        let checks: Vec<_> = checks.map(|of| format!("{} {:?}", of.stream, of.expected)).collect();
        if checks.is_empty() {
            return writes.join(", ");
        }
        let order: Vec<_> = transaction.order().into_iter().map(StreamId::as_str).collect();
        format!("{} if {}, in the order {}", writes.join(", "), checks.join(", "), order.join(" "))
    }
}

impl Answer {
    /// Whether the engine answered this.
    pub(crate) fn is(&self, answer: &Result<Vec<Appended>, AppendError>) -> bool {
        match (self, answer) {
            (Self::Fresh(expected, _) | Self::Repeated(expected), Ok(appended)) => {
                expected.iter().take(appended.len().max(1)).eq(appended)
            }
            (
                Self::Conflict(stream, actual),
                Err(AppendError::Conflict { stream: other, actual: told, .. }),
            ) => stream == other && actual == told,
            (Self::Violated(all), Err(AppendError::Violated { violations })) => all == violations,
            (Self::Deleted(stream), Err(AppendError::Deleted { stream: other })) => stream == other,
            (Self::IdReused, Err(AppendError::IdReused { .. })) => true,
            _ => false,
        }
    }

    /// Whether an event is the first that comes of this.
    pub(crate) fn begins_with(&self, read: &Recorded) -> bool {
        let Self::Fresh(_, events) = self else { return false };
        events.first().is_some_and(|(stream, body)| *stream == read.stream && body.clone().is(read))
    }

    /// What a wrong answer breaks.
    pub(crate) fn invariant(&self) -> Invariant {
        match self {
            Self::Fresh(..) | Self::Conflict(..) | Self::Violated(_) | Self::Deleted(_) => {
                Invariant::D4
            }
            Self::Repeated(_) | Self::IdReused => Invariant::D5,
        }
    }
}
