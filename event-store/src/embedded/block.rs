use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::format::Record;
use crate::{Position, Recorded, RecordedEvent, StreamId};

/// Most types of events whose names are shared within a block.
const SHARED: usize = 16;
/// What a name takes beside its bytes, and what a block takes beside its events: counts and what
/// the allocator adds.
const NAME: usize = 32;
const FIXED: usize = 200;

/// Events one after another, checked and decoded: in the store's order, by their positions, those
/// of one frame or those whose records begin within one stretch of a segment; some of a list, by
/// their revisions or ordinals; or those that a scan looked up, by their numbers among these.
#[derive(Debug)]
pub(crate) struct Block {
    first: u64,
    events: Arc<[RecordedEvent]>,
    /// The numbers of those that were dropped, ascending; nearly always none.
    dropped: Vec<u64>,
    /// Roughly what it takes in memory.
    weight: usize,
}

impl Block {
    /// Of a frame's events, from a position on.
    pub(crate) fn new(first: u64, events: Arc<[RecordedEvent]>) -> Self {
        let contents = |event: &RecordedEvent| event.data.len() + event.metadata.len();
        let weight = FIXED + events.iter().map(contents).sum::<usize>();
        Self { first, events, dropped: Vec::new(), weight }
    }

    /// The number of its first event.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The number after that of its last event.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(crate) fn covers(&self, number: u64) -> bool {
        (self.first..self.end()).contains(&number)
    }

    pub(crate) fn count(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    pub(crate) fn events(&self) -> &[RecordedEvent] {
        &self.events
    }

    /// The event of a number, if it is here and was not dropped.
    pub(crate) fn get(&self, number: u64) -> Option<Recorded> {
        self.share(number).filter(|_| !self.is_dropped(number))
    }

    /// The event of a number, if it is here; without contents where it was dropped.
    pub(crate) fn share(&self, number: u64) -> Option<Recorded> {
        Recorded::of(&self.events, self.at(number)?)
    }

    /// The same, to be looked at.
    pub(crate) fn record(&self, number: u64) -> Option<&RecordedEvent> {
        self.events.get(self.at(number)?)
    }

    fn at(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Whether one of these events was dropped.
    pub(crate) fn has_dropped(&self, numbers: Range<u64>) -> bool {
        !self.dropped.is_empty() && numbers.into_iter().any(|number| self.is_dropped(number))
    }

    fn is_dropped(&self, number: u64) -> bool {
        !self.dropped.is_empty() && self.dropped.binary_search(&number).is_ok()
    }
}

/// Makes a block of records; names that come again are shared.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    first: u64,
    events: Vec<RecordedEvent>,
    dropped: Vec<u64>,
    weight: usize,
    kinds: Vec<Arc<str>>,
}

impl BlockBuilder {
    /// For so many records from a number on, with the bytes that they are kept in.
    pub(crate) fn new(first: u64, count: usize, bytes: &Bytes) -> Self {
        let weight = FIXED + bytes.len() + count * size_of::<RecordedEvent>();
        let events = Vec::with_capacity(count);
        Self { first, events, dropped: Vec::new(), weight, kinds: Vec::new() }
    }

    /// For copies of a list's events, from a number on: with bytes of their own, so that they lie
    /// together and keep nothing else.
    pub(crate) fn of_copies(first: u64, events: &[(Recorded, bool)]) -> Block {
        let parts = || events.iter().flat_map(|(event, _)| [&event.metadata, &event.data]);
        let mut bytes = Vec::with_capacity(parts().map(Bytes::len).sum());
        parts().for_each(|part| bytes.extend_from_slice(part));
        let mut rest = Bytes::from(bytes);
        let mut builder = Self::new(first, events.len(), &rest);
        for (event, dropped) in events {
            let metadata = rest.split_to(event.metadata.len());
            let data = rest.split_to(event.data.len());
            let copy = RecordedEvent {
                stream: builder.stream(event.stream.as_str()),
                kind: builder.kind(&event.kind),
                data,
                metadata,
                ..**event
            };
            builder.take(copy, *dropped);
        }
        builder.build()
    }

    /// Takes the next record, that of a position, which was decoded from these bytes.
    pub(crate) fn push(&mut self, record: &Record<'_>, position: u64, bytes: &Bytes) {
        let (metadata, data) = record.contents(bytes);
        let event = RecordedEvent {
            stream: self.stream(record.stream()),
            revision: record.revision(),
            position: Position(position),
            recorded_at: record.recorded_at(),
            id: record.id(),
            kind: self.kind(record.kind()),
            data,
            metadata,
            is_json: record.is_json(),
        };
        self.take(event, record.is_husk());
    }

    fn take(&mut self, event: RecordedEvent, dropped: bool) {
        if dropped {
            self.dropped.push(self.end());
        }
        self.events.push(event);
    }

    /// The number of the next event.
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(crate) fn finish(self) -> Arc<Block> {
        Arc::new(self.build())
    }

    fn build(self) -> Block {
        let Self { first, events, dropped, weight, .. } = self;
        Block { first, events: events.into(), dropped, weight }
    }

    fn stream(&mut self, name: &str) -> StreamId {
        match self.events.last() {
            Some(before) if before.stream.as_str() == name => before.stream.clone(),
            _ => {
                self.weight += NAME + name.len();
                StreamId::checked(name)
            }
        }
    }

    fn kind(&mut self, name: &str) -> Arc<str> {
        if let Some(kind) = self.kinds.iter().find(|kind| &***kind == name) {
            return Arc::clone(kind);
        }
        self.weight += NAME + name.len();
        let kind: Arc<str> = name.into();
        if self.kinds.len() < SHARED {
            self.kinds.push(Arc::clone(&kind));
        }
        kind
    }
}
