//! What a store must hold and answer, in the plainest terms: a list of events. It shares nothing
//! with the engine but the port's types.

mod judge;
mod reads;

use std::collections::BTreeMap;

use bytes::Bytes;
use daybook_event_store::{NewEvent, Recorded, Revision, StreamId, StreamMetadata};
use uuid::Uuid;

use crate::invariant::{Check, Invariant, Violation, ensure};

pub(crate) use judge::{Answer, Request};
pub(crate) use reads::{Expectation, Given, Wanted};

/// The type of the event that ends a stream.
const TOMBSTONE: &str = "$streamDeleted";
/// More microseconds than pass by looks at the clock alone, each of which takes one.
const LOOKS: i64 = 100_000;

/// An event as it must stand in the store.
#[derive(Debug, Clone)]
struct Event {
    stream: StreamId,
    revision: u64,
    body: Body,
    /// As it was first read; the store chooses it.
    recorded_at: Option<i64>,
    /// The clock before it was written: it is recorded then or later.
    not_before: i64,
    /// A scavenge may have found it excluded, and dropped it.
    droppable: bool,
}

/// What an event says.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// What a writer gave.
    Given(NewEvent),
    /// The store's own: metadata, or a tombstone where there is none. Its id and bytes are learnt
    /// when it is first read.
    Own { said: Option<StreamMetadata>, seen: Option<(Uuid, Bytes)> },
}

/// All events that must be in the store, by position.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    events: Vec<Event>,
    streams: BTreeMap<StreamId, Vec<usize>>,
    ids: BTreeMap<(StreamId, Uuid), usize>,
    /// The clock when the commit began that runs.
    clock: i64,
    /// The latest that the clock has been, and may be by the next look at it.
    latest: i64,
    /// A scavenge was asked for.
    scavenged: bool,
    /// The events that somebody found dropped since the store was opened.
    missed: Vec<usize>,
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

    /// Takes events in.
    fn push(&mut self, stream: &StreamId, body: Body) {
        let at = self.events.len();
        let places = self.streams.entry(stream.clone()).or_default();
        let revision = places.len() as u64;
        places.push(at);
        if let Body::Given(event) = &body {
            self.ids.insert((stream.clone(), event.id), at);
        }
        self.events.push(Event {
            stream: stream.clone(),
            revision,
            body,
            recorded_at: None,
            not_before: self.clock,
            droppable: false,
        });
    }

    /// Where a stream's event of an id is, if it has one.
    fn find(&self, stream: &StreamId, id: Uuid) -> Option<usize> {
        self.ids.get(&(stream.clone(), id)).copied()
    }

    /// Forgets the events from a position on.
    pub(crate) fn cut(&mut self, length: usize) {
        for event in self.events.drain(length..).rev() {
            if let Body::Given(given) = &event.body {
                self.ids.remove(&(event.stream.clone(), given.id));
            }
            if let Some(places) = self.streams.get_mut(&event.stream) {
                places.pop();
            }
        }
        self.streams.retain(|_, places| !places.is_empty());
    }

    /// A commit begins.
    pub(crate) fn begin(&mut self, clock: i64) {
        self.clock = clock;
    }

    /// The clock has come so far.
    pub(crate) fn tick(&mut self, clock: i64) {
        self.latest = self.latest.max(clock + LOOKS);
    }

    /// The store was opened again. What was dropped may not have been for good, and when what was
    /// not answered was recorded is to be learnt.
    pub(crate) fn reopened(&mut self) {
        self.missed.clear();
        self.clock = i64::MIN;
    }

    /// From now on a scavenge may drop what is excluded.
    pub(crate) fn scavenge(&mut self) {
        self.scavenged = true;
        self.settle();
    }

    /// Whether events may have been dropped.
    pub(crate) fn is_scavenged(&self) -> bool {
        self.scavenged
    }

    /// Notes which events a scavenge that runs may drop.
    pub(crate) fn settle(&mut self) {
        if !self.scavenged {
            return;
        }
        let head = self.len();
        let dead = |at: &usize| !self.is_live(*at, head, self.latest);
        let dead: Vec<_> = (0..head).filter(dead).collect();
        for at in dead {
            self.events[at].droppable = true;
        }
    }

    /// Checks an event that was read from a position where one must be.
    pub(crate) fn check(&mut self, read: &Recorded) -> Check {
        let at = usize::try_from(read.position.0).unwrap_or(usize::MAX);
        let Some(event) = self.events.get_mut(at) else {
            let what = format!("position {at} was read, and nothing was submitted there");
            return Err(Violation::new(Invariant::D2, what));
        };
        let same = event.is(read);
        ensure(same, Invariant::D1, || format!("position {at} is {read:?}, not {event:?}"))?;
        event.recorded_at = Some(read.recorded_at);
        self.check_time(at, read.recorded_at)
    }

    fn check_time(&self, at: usize, time: i64) -> Check {
        let times = |range: std::ops::Range<usize>| {
            self.events[range].iter().filter_map(|event| event.recorded_at)
        };
        let in_order = times(at.saturating_sub(8)..at).all(|before| before <= time)
            && times(at + 1..self.len().min(at + 8)).all(|after| after >= time);
        ensure(in_order, Invariant::D3, || {
            format!("the time of position {at}, {time}, is not between its neighbours'")
        })
    }
}

impl Event {
    fn kind(&self) -> &str {
        match &self.body {
            Body::Given(event) => &event.kind,
            Body::Own { said: Some(_), .. } => StreamMetadata::KIND,
            Body::Own { said: None, .. } => TOMBSTONE,
        }
    }

    /// Whether this is what was read; learns what the store chose.
    fn is(&mut self, read: &Recorded) -> bool {
        let place = self.stream == read.stream && self.revision == read.revision.0;
        let time = self.recorded_at.is_none_or(|time| time == read.recorded_at);
        place && time && *self.kind() == *read.kind && self.body.is(read)
    }
}

impl Body {
    fn is(&mut self, read: &Recorded) -> bool {
        match self {
            Self::Given(event) => {
                let same = |event: &NewEvent| (event.id, event.is_json) == (read.id, read.is_json);
                same(event) && event.data == read.data && event.metadata == read.metadata
            }
            Self::Own { said, seen } => {
                let (id, data) = seen.get_or_insert_with(|| (read.id, read.data.clone()));
                let says = said.is_none() || StreamMetadata::decode(&read.data) == *said;
                *id == read.id && *data == read.data && says && read.metadata.is_empty()
            }
        }
    }

    /// What the event of a metadata stream says.
    fn said(&self) -> StreamMetadata {
        match self {
            Self::Given(event) => StreamMetadata::decode(&event.data).unwrap_or_default(),
            Self::Own { said, .. } => said.clone().unwrap_or_default(),
        }
    }
}
