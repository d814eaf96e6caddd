use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use super::{List, Located, Span, StreamNumbers, Wanted};
use crate::embedded::bytes::{hash_event, hash_name, narrow};
use crate::lifetimes::{self, Changes, Lifetime};
use crate::planted::{self, Bug};
use crate::{IndexStream, NewEvent, Revision, StreamId};

/// The index of a segment that is being written, or not sealed yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryIndex {
    pub(super) offsets: Vec<u32>,
    pub(super) streams: HashMap<StreamId, Numbers>,
    pub(super) categories: HashMap<Arc<str>, Vec<u32>>,
    pub(super) kinds: HashMap<Arc<str>, Vec<u32>>,
    /// By the first of their streams' events, which stands for the stream.
    pub(super) ids: HashMap<(u32, Uuid), u32>,
    pub(super) recorded_at: i64,
    pub(super) changes: Changes,
}

/// A stream's events in the segment.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pub(super) first_revision: u64,
    pub(super) numbers: Vec<u32>,
}

/// What the index is told of an event.
#[derive(Debug)]
pub(crate) struct Indexed<'a> {
    pub(crate) offset: u32,
    pub(crate) stream: &'a StreamId,
    pub(crate) revision: Revision,
    pub(crate) id: Uuid,
    pub(crate) kind: &'a str,
    pub(crate) recorded_at: i64,
    /// What it says of a stream's lifetime.
    pub(crate) change: Option<(StreamId, Lifetime)>,
}

impl MemoryIndex {
    /// Takes the next event in.
    pub(crate) fn push(&mut self, event: &Indexed<'_>) {
        let number = narrow(self.offsets.len());
        self.offsets.push(event.offset);
        let mut first = number;
        if let Some(stream) = self.streams.get_mut(event.stream) {
            first = stream.numbers[0];
            stream.numbers.push(number);
        } else {
            let stream = Numbers { first_revision: event.revision.0, numbers: vec![number] };
            self.streams.insert(event.stream.clone(), stream);
        }
        if !planted::is(Bug::IdsBehindLog) || number == 0 {
            self.ids.insert((first, event.id), number);
        }
        post(&mut self.categories, event.stream.category(), number);
        post(&mut self.kinds, event.kind, number);
        self.recorded_at = event.recorded_at;
        if let Some((stream, lifetime)) = &event.change {
            lifetimes::take(&mut self.changes, stream.clone(), *lifetime);
        }
    }

    /// What the segment's events say of streams' lifetimes.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn count(&self) -> usize {
        self.offsets.len()
    }

    pub(crate) fn recorded_at(&self) -> i64 {
        self.recorded_at
    }

    /// The offsets of a range of events, and of the one after it if there is one.
    pub(crate) fn offsets(&self, numbers: Range<u32>) -> Vec<u32> {
        let end = (numbers.end as usize + 1).min(self.offsets.len());
        self.offsets[numbers.start as usize..end].to_vec()
    }

    /// What the segment has of a list; that of an index stream is counted from the segment's own
    /// first event of it.
    pub(crate) fn span(&self, list: &List) -> Option<Span> {
        let (first, numbers) = self.list(list)?;
        Some(Span { first, count: numbers.len() as u64 })
    }

    /// The wanted events of a list, counted as its span says.
    pub(crate) fn locate(&self, list: &List, span: Span, wanted: &Wanted) -> Vec<Located> {
        let Some((_, numbers)) = self.list(list) else { return Vec::new() };
        let below = |bound| Ok::<_, Infallible>(numbers.partition_point(|n| *n < bound));
        let Ok(range) = wanted.range(span.first, numbers.len(), below);
        let located = |(ordinal, &number): (u64, &u32)| Located {
            ordinal,
            number,
            offset: self.offsets[number as usize],
            next: self.offsets.get(number as usize + 1).copied(),
        };
        let ordinals = span.first + range.start as u64..;
        wanted.in_order(ordinals.zip(&numbers[range]).map(located).collect())
    }

    /// All streams that have events here.
    pub(crate) fn streams(&self) -> Vec<StreamNumbers> {
        let numbers = |(stream, of): (&StreamId, &Numbers)| StreamNumbers {
            stream: stream.clone(),
            first: Revision(of.first_revision),
            numbers: of.numbers.clone(),
        };
        self.streams.iter().map(numbers).collect()
    }

    /// Whether a stream has none of these events, by their ids.
    pub(crate) fn lacks(&self, stream: &StreamId, events: &[NewEvent]) -> bool {
        let Some(Numbers { numbers, .. }) = self.streams.get(stream) else { return true };
        !events.iter().any(|event| self.ids.contains_key(&(numbers[0], event.id)))
    }

    /// A stream's event of an id.
    pub(crate) fn find(&self, stream: &StreamId, id: Uuid) -> Option<u32> {
        if planted::is(Bug::IdsOverStreams) {
            return self.ids.iter().find(|((_, other), _)| *other == id).map(|(_, number)| *number);
        }
        let first = self.streams.get(stream)?.numbers[0];
        self.ids.get(&(first, id)).copied()
    }

    /// All lists, in any order, with their first numbers as for [`span`](Self::span).
    pub(super) fn lists(&self) -> impl Iterator<Item = (List, u64, &[u32])> {
        let streams = self.streams.iter().map(|(stream, numbers)| {
            (List::from(stream.clone()), numbers.first_revision, &*numbers.numbers)
        });
        let categories = posted(&self.categories, IndexStream::Category);
        streams.chain(categories).chain(posted(&self.kinds, IndexStream::EventType))
    }

    /// All lists, by their names in index files, and the part of each that is here.
    pub(crate) fn spans(&self) -> Vec<(Box<str>, Span)> {
        let span = |(list, first, numbers): (List, u64, &[u32])| {
            (list.name().into(), Span { first, count: numbers.len() as u64 })
        };
        self.lists().map(span).collect()
    }

    /// How many events each category and type has here.
    pub(crate) fn postings(&self) -> impl Iterator<Item = (List, u64)> {
        let categories = posted(&self.categories, IndexStream::Category);
        let all = categories.chain(posted(&self.kinds, IndexStream::EventType));
        all.map(|(list, _, numbers)| (list, numbers.len() as u64))
    }

    /// The [hashes](hash_event) of all events that are found by their ids, in any order.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = (u64, u32)> {
        let name =
            |(stream, of): (&StreamId, &Numbers)| (of.numbers[0], hash_name(stream.as_str()));
        let names: HashMap<_, _> = self.streams.iter().map(name).collect();
        self.ids.iter().map(move |((first, id), number)| (hash_event(names[first], *id), *number))
    }

    fn list(&self, list: &List) -> Option<(u64, &[u32])> {
        match list {
            List::Stream(stream) => {
                self.streams.get(stream).map(|s| (s.first_revision, &*s.numbers))
            }
            List::Index(IndexStream::Category(name), _) => {
                self.categories.get(name).map(|numbers| (0, &**numbers))
            }
            List::Index(IndexStream::EventType(name), _) => {
                self.kinds.get(name).map(|numbers| (0, &**numbers))
            }
        }
    }
}

fn post(postings: &mut HashMap<Arc<str>, Vec<u32>>, name: &str, number: u32) {
    if let Some(numbers) = postings.get_mut(name) {
        numbers.push(number);
    } else {
        postings.insert(name.into(), vec![number]);
    }
}

/// The lists of some postings.
fn posted(
    postings: &HashMap<Arc<str>, Vec<u32>>,
    of: fn(Arc<str>) -> IndexStream,
) -> impl Iterator<Item = (List, u64, &[u32])> {
    postings.iter().map(move |(name, numbers)| (of(Arc::clone(name)).into(), 0, &**numbers))
}
