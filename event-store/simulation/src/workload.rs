//! What the writers submit: appends to few streams, so that they meet, with ids that come again.

use std::num::NonZeroU64;

use bytes::Bytes;
use daybook_event_store::{
    Direction, Expected, Filter, IndexStream, NewEvent, Revision, StreamCheck, StreamId,
    StreamMetadata, StreamWrite, Transaction,
};
use fastrand::Rng;
use uuid::Uuid;

use crate::model::{Model, Request, Wanted};
use crate::plan::{Plan, pick};

const CATEGORIES: [&str; 3] = ["order", "stock", "payment"];
const KINDS: [&str; 3] = ["Placed", "Moved", "Ended"];
/// Bytes of a payload, a name and a type that make frames of one event 256 bytes long, if there
/// are two bytes of metadata.
const UNIFORM: usize = 256 - 24 - 48 - 2;
/// How many of the last appends may be repeated.
const REMEMBERED: usize = 24;

/// All writers together.
#[derive(Debug, Default)]
pub(crate) struct Workload {
    next: u64,
    submitted: Vec<Vec<StreamWrite>>,
}

impl Workload {
    /// One to four appends of different writers, for one commit.
    pub(crate) fn batch(&mut self, model: &Model, plan: &Plan, random: &mut Rng) -> Vec<Request> {
        let count = if random.u8(..3) == 0 { random.usize(2..=4) } else { 1 };
        (0..count).map(|_| self.request(model, plan, random)).collect()
    }

    fn request(&mut self, model: &Model, plan: &Plan, random: &mut Rng) -> Request {
        if !plan.lifetimes || random.u8(..4) > 0 {
            let writes = self.append(model, plan, random);
            return Request::Append(transaction(writes, model, plan, random));
        }
        let stream = stream(random.usize(..plan.streams));
        let expected = expected(model, &stream, random);
        match random.u8(..10) {
            0 => Request::Tombstone(stream, expected),
            1..=3 => Request::Delete(stream, expected),
            _ => Request::Append(self.describe(&stream, model, random).into()),
        }
    }

    /// Says something of a stream, and perhaps appends to it at the same time.
    fn describe(&mut self, stream: &StreamId, model: &Model, random: &mut Rng) -> Vec<StreamWrite> {
        let bound = |random: &mut Rng| random.bool().then(|| random.u64(1..6));
        let said = StreamMetadata {
            max_age: bound(random).and_then(NonZeroU64::new),
            max_count: bound(random).and_then(NonZeroU64::new),
            truncate_before: bound(random).map(Revision),
            ..StreamMetadata::default()
        };
        let malformed = random.u8(..8) == 0;
        let data = if malformed { b"{".to_vec() } else { said.encode() };
        let kind = StreamMetadata::KIND.into();
        let event = NewEvent { kind, data: data.into(), ..self.small_event() };
        let metadata = stream.metadata_stream().into_iter();
        let mut writes: Vec<_> = metadata
            .map(|stream| {
                let expected = expected(model, &stream, random);
                StreamWrite { stream, expected, events: vec![event.clone()] }
            })
            .collect();
        if random.u8(..4) == 0 {
            let events = vec![self.small_event()];
            writes.push(StreamWrite { stream: stream.clone(), expected: Expected::Any, events });
        }
        self.remember(&writes);
        writes
    }

    fn remember(&mut self, writes: &[StreamWrite]) {
        self.submitted.push(writes.to_vec());
        if self.submitted.len() > REMEMBERED {
            self.submitted.remove(0);
        }
    }

    fn append(&mut self, model: &Model, plan: &Plan, random: &mut Rng) -> Vec<StreamWrite> {
        if !self.submitted.is_empty() && random.u8(..5) == 0 {
            return self.again(random);
        }
        let mut streams: Vec<_> = (0..plan.streams).collect();
        random.shuffle(&mut streams);
        let several = if random.u8(..5) == 0 { random.usize(1..=3) } else { 1 };
        let write = |n: usize| {
            let stream = stream(n);
            let expected = expected(model, &stream, random);
            let count = if random.u8(..4) == 0 { random.usize(1..=5) } else { 1 };
            let events = (0..count).map(|_| self.event(&stream, plan, random)).collect();
            StreamWrite { stream, expected, events }
        };
        let mut writes: Vec<_> = streams.into_iter().take(several).map(write).collect();
        if let [one, others @ ..] = &mut writes[..]
            && random.bool()
        {
            // An id is that of another event in another stream.
            for other in others {
                for (event, one) in other.events.iter_mut().zip(&one.events) {
                    event.id = one.id;
                }
            }
        }
        self.remember(&writes);
        writes
    }

    /// An append that was submitted before, most often as it was: its writer did not get the
    /// answer, or got one that says to try again.
    fn again(&mut self, random: &mut Rng) -> Vec<StreamWrite> {
        let latest = self.submitted.len().saturating_sub(4);
        let from = if random.bool() { latest } else { 0 };
        let mut writes = self.submitted[random.usize(from..self.submitted.len())].clone();
        // Metadata streams take nothing else.
        let plain = !writes[0].stream.as_str().starts_with("$$");
        match if plain { random.u8(..8) } else { 7 } {
            // Ids of one append and new ones, or elsewhere, or in another order.
            0 => writes[0].events.push(self.small_event()),
            1 => writes[0].stream = stream(random.usize(..6)),
            2 => writes[0].events.reverse(),
            3 => writes[0].events.truncate(1),
            4 => writes.truncate(1),
            _ => {}
        }
        let mut names: Vec<_> = writes.iter().map(|write| write.stream.clone()).collect();
        names.sort_unstable();
        names.dedup();
        // A stream may be named once.
        writes.truncate(if names.len() == writes.len() { writes.len() } else { 1 });
        writes
    }

    fn small_event(&mut self) -> NewEvent {
        self.next += 1;
        event(self.next, 10)
    }

    fn event(&mut self, stream: &StreamId, plan: &Plan, random: &mut Rng) -> NewEvent {
        self.next += 1;
        if plan.uniform {
            let kind = KINDS[0];
            let data = vec![b'='; UNIFORM - stream.as_str().len() - kind.len()];
            return NewEvent { kind: kind.into(), data: data.into(), ..self.small_event() };
        }
        let usual = random.usize(..=plan.payload);
        // Now and then one that has a segment to itself.
        let size = if random.u8(..60) == 0 { random.usize(4_000..6_000) } else { usual };
        event(self.next, size)
    }
}

/// The event of a number.
fn event(number: u64, size: usize) -> NewEvent {
    let pattern = number.to_le_bytes();
    let data: Vec<_> = pattern.iter().copied().cycle().skip(size % 5).take(size).collect();
    NewEvent {
        // Scattered, as random ids are.
        id: Uuid::from_u64_pair(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number),
        kind: KINDS[size % KINDS.len()].into(),
        data: data.into(),
        metadata: Bytes::copy_from_slice(&pattern[..size % 8]),
        is_json: number.is_multiple_of(2),
    }
}

/// Writes as they are; or what is expected of their streams as checks, and of one more, and their
/// events in some order. This takes nothing from the random numbers of the run.
fn transaction(writes: Vec<StreamWrite>, model: &Model, plan: &Plan, random: &Rng) -> Transaction {
    let mut random = Rng::with_seed(random.clone().u64(..));
    if random.u8(..6) > 0 {
        return writes.into();
    }
    let another = stream(random.usize(..=plan.streams));
    let expected = expected(model, &another, &mut random);
    let another = StreamCheck { stream: another, expected };
    let (mut checks, mut rest, mut events) = (vec![another], Vec::new(), Vec::new());
    for StreamWrite { stream, expected, events } in writes {
        checks.push(StreamCheck { stream: stream.clone(), expected });
        rest.push((stream, events.into_iter()));
    }
    while !rest.is_empty() {
        let at = random.usize(..rest.len());
        match rest[at].1.next() {
            Some(event) => events.push((rest[at].0.clone(), event)),
            None => drop(rest.swap_remove(at)),
        }
    }
    Transaction::of_events(events).checked(checks)
}

pub(crate) fn stream(n: usize) -> StreamId {
    let name = format!("{}-{n}", CATEGORIES[n % CATEGORIES.len()]);
    // Such a name is valid.
    name.parse().unwrap_or_else(|error| unreachable!("{error}"))
}

/// What a writer believes: nothing, the truth, or something else.
fn expected(model: &Model, stream: &StreamId, random: &mut Rng) -> Expected {
    let last = model.last(stream);
    match random.u8(..8) {
        0 => Expected::NoStream,
        1 => Expected::StreamExists,
        2 => Expected::At(Revision(random.u64(..6))),
        3..=5 => last.map_or(Expected::NoStream, Expected::At),
        _ => Expected::Any,
    }
}

/// What a reader of all streams wants.
pub(crate) fn filter(random: &mut Rng) -> Filter {
    match random.u8(..5) {
        0 => Filter::categories(&[*pick(random, &CATEGORIES)]),
        1 => Filter::kinds(&[*pick(random, &KINDS)]),
        _ => Filter::all(),
    }
}

/// What a reader of a category or a type wants.
pub(crate) fn index(random: &mut Rng) -> IndexStream {
    if random.u8(..4) == 0 {
        IndexStream::EventType((*pick(random, &KINDS)).into())
    } else {
        IndexStream::Category((*pick(random, &CATEGORIES)).into())
    }
}

/// What a reader of a stream wants.
pub(crate) fn read(plan: &Plan, random: &mut Rng) -> Wanted {
    // Also one that nobody writes to.
    let mut stream = stream(random.usize(..=plan.streams));
    if plan.lifetimes && random.u8(..4) == 0 {
        stream = stream.metadata_stream().unwrap_or(stream);
    }
    let (from, direction) = way(random);
    Wanted::Stream(stream, from, direction)
}

/// Which part of an index stream a reader wants.
pub(crate) fn read_index(random: &mut Rng) -> Wanted {
    let (from, direction) = way(random);
    Wanted::Index(index(random), from, direction)
}

/// From where a reader reads, and which way.
fn way(random: &mut Rng) -> (Revision, Direction) {
    let (end, direction) = if random.bool() {
        (Revision::START, Direction::Forward)
    } else {
        (Revision::END, Direction::Backward)
    };
    (if random.bool() { end } else { Revision(random.u64(..8)) }, direction)
}
