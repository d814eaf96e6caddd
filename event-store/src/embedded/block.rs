use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::format::Record;
use crate::{Position, Recorded, StreamId};

/// Most types of events whose names are shared within a block.
const SHARED: usize = 16;
/// What a name takes beside its bytes, and what a block takes beside its events: counts and what
/// the allocator adds.
const NAME: usize = 32;
const FIXED: usize = 200;

/// Events one after another, checked and decoded: in the store's order, by their positions, those
/// of one frame or those whose records begin within one stretch of a segment; or some of a list,
/// by their revisions or ordinals.
#[derive(Debug)]
pub(crate) struct Block {
    first: u64,
    events: Vec<Recorded>,
    /// The numbers of those that were dropped, ascending; nearly always none.
    dropped: Vec<u64>,
    /// Roughly what it takes in memory.
    weight: usize,
}

impl Block {
    /// Of a frame's events, from a position on.
    pub(crate) fn new(first: u64, events: Vec<Recorded>) -> Self {
        let contents = |event: &Recorded| event.data.len() + event.metadata.len();
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

    pub(crate) fn events(&self) -> &[Recorded] {
        &self.events
    }

    /// The event of a number, if it is here and was not dropped.
    pub(crate) fn get(&self, number: u64) -> Option<&Recorded> {
        self.record(number).filter(|_| !self.is_dropped(number))
    }

    /// Whether one of these events was dropped.
    pub(crate) fn has_dropped(&self, numbers: Range<u64>) -> bool {
        !self.dropped.is_empty() && numbers.into_iter().any(|number| self.is_dropped(number))
    }

    fn is_dropped(&self, number: u64) -> bool {
        !self.dropped.is_empty() && self.dropped.binary_search(&number).is_ok()
    }

    /// The event at a position, which is of a known stream, as [`get`](Self::get) tells it. The
    /// name is the caller's: that of the block is not at hand for the processor, or for another one.
    pub(crate) fn of_stream(&self, position: u64, stream: &StreamId) -> Option<Recorded> {
        let event = self.get(position)?;
        Some(Recorded {
            stream: stream.clone(),
            revision: event.revision,
            position: event.position,
            recorded_at: event.recorded_at,
            id: event.id,
            kind: Arc::clone(&event.kind),
            data: event.data.clone(),
            metadata: event.metadata.clone(),
            is_json: event.is_json,
        })
    }

    /// The event of a number, if it is here; without contents where it was dropped.
    pub(crate) fn record(&self, number: u64) -> Option<&Recorded> {
        self.events.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// Makes a block of records; names that come again are shared.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    block: Block,
    kinds: Vec<Arc<str>>,
}

impl BlockBuilder {
    /// For so many records from a number on, with the bytes that they are kept in.
    pub(crate) fn new(first: u64, count: usize, bytes: &Bytes) -> Self {
        let weight = FIXED + bytes.len() + count * size_of::<Recorded>();
        let events = Vec::with_capacity(count);
        Self { block: Block { first, events, dropped: Vec::new(), weight }, kinds: Vec::new() }
    }

    /// For copies of a list's events, from a number on: with bytes of their own, so that they lie
    /// together and keep nothing else.
    pub(crate) fn of_copies(first: u64, events: &[(Recorded, bool)]) -> Arc<Block> {
        let parts = || events.iter().flat_map(|(event, _)| [&event.metadata, &event.data]);
        let mut bytes = Vec::with_capacity(parts().map(Bytes::len).sum());
        parts().for_each(|part| bytes.extend_from_slice(part));
        let mut rest = Bytes::from(bytes);
        let mut builder = Self::new(first, events.len(), &rest);
        for (event, dropped) in events {
            let metadata = rest.split_to(event.metadata.len());
            let data = rest.split_to(event.data.len());
            let copy = Recorded {
                stream: builder.stream(event.stream.as_str()),
                kind: builder.kind(&event.kind),
                data,
                metadata,
                ..*event
            };
            builder.take(copy, *dropped);
        }
        builder.finish()
    }

    /// Takes the next record, which was decoded from these bytes.
    pub(crate) fn push(&mut self, record: &Record<'_>, bytes: &Bytes) {
        let (metadata, data) = record.contents(bytes);
        let event = Recorded {
            stream: self.stream(record.stream()),
            revision: record.revision(),
            position: Position(self.block.end()),
            recorded_at: record.recorded_at(),
            id: record.id(),
            kind: self.kind(record.kind()),
            data,
            metadata,
            is_json: record.is_json(),
        };
        self.take(event, record.is_husk());
    }

    fn take(&mut self, event: Recorded, dropped: bool) {
        if dropped {
            self.block.dropped.push(self.block.end());
        }
        self.block.events.push(event);
    }

    pub(crate) fn finish(self) -> Arc<Block> {
        Arc::new(self.block)
    }

    fn stream(&mut self, name: &str) -> StreamId {
        match self.block.events.last() {
            Some(before) if before.stream.as_str() == name => before.stream.clone(),
            _ => {
                self.block.weight += NAME + name.len();
                StreamId::checked(name)
            }
        }
    }

    fn kind(&mut self, name: &str) -> Arc<str> {
        if let Some(kind) = self.kinds.iter().find(|kind| &***kind == name) {
            return Arc::clone(kind);
        }
        self.block.weight += NAME + name.len();
        let kind: Arc<str> = name.into();
        if self.kinds.len() < SHARED {
            self.kinds.push(Arc::clone(&kind));
        }
        kind
    }
}
