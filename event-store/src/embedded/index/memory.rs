use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::{Located, StreamNumbers, Wanted};
use crate::embedded::bytes::narrow;
use crate::lifetimes::{self, Changes, Lifetime};
use crate::{Filter, Revision, StreamId};

/// The index of a segment that is being written, or not sealed yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryIndex {
    pub(super) offsets: Vec<u32>,
    pub(super) streams: HashMap<StreamId, Numbers>,
    pub(super) ids: HashMap<Uuid, u32>,
    pub(super) categories: HashMap<Arc<str>, u32>,
    pub(super) kinds: HashMap<Arc<str>, u32>,
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
        if let Some(stream) = self.streams.get_mut(event.stream) {
            stream.numbers.push(number);
        } else {
            let stream = Numbers { first_revision: event.revision.0, numbers: vec![number] };
            self.streams.insert(event.stream.clone(), stream);
        }
        self.ids.insert(event.id, number);
        count(&mut self.categories, event.stream.category());
        count(&mut self.kinds, event.kind);
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

    pub(crate) fn last_revision(&self, stream: &StreamId) -> Option<Revision> {
        let stream = self.streams.get(stream)?;
        Some(Revision(stream.first_revision + stream.numbers.len() as u64 - 1))
    }

    pub(crate) fn locate(&self, stream: &StreamId, wanted: &Wanted) -> Vec<Located> {
        let Some(stream) = self.streams.get(stream) else { return Vec::new() };
        let numbers =
            wanted.pick(stream.first_revision, stream.numbers.len(), |n| stream.numbers[n]);
        let located = |number: u32| Located {
            number,
            offset: self.offsets[number as usize],
            next: self.offsets.get(number as usize + 1).copied(),
        };
        numbers.into_iter().map(located).collect()
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

    pub(crate) fn id(&self, id: Uuid) -> Option<u32> {
        self.ids.get(&id).copied()
    }

    pub(crate) fn may_match(&self, filter: &Filter) -> bool {
        let any = |wanted: &[Arc<str>], there: &HashMap<Arc<str>, u32>| {
            wanted.is_empty() || wanted.iter().any(|name| there.contains_key(name))
        };
        any(&filter.categories, &self.categories) && any(&filter.kinds, &self.kinds)
    }
}

fn count(counts: &mut HashMap<Arc<str>, u32>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else {
        counts.insert(name.into(), 1);
    }
}
