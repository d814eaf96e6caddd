//! Whether a history of concurrent operations can be put into one order in which each of them
//! takes effect between its beginning and its end.
//!
//! Streams are independent of each other, so each is searched by itself (Wing and Gong's search,
//! with Lowe's memory of what was tried); the order of all appends is given by their positions and
//! only checked.

use std::collections::{BTreeMap, HashSet};

use daybook_event_store::{Appended, Expected, Position, Revision, StreamId};
use uuid::Uuid;

/// What somebody did, and when: counted, not timed.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// An append and where each share ended up; or of which stream's last revision it learnt
    /// instead.
    Append(Vec<Share>, Result<Vec<Appended>, (StreamId, Option<Revision>)>),
    /// A stream's last event.
    ReadEnd(StreamId, Option<(Revision, Uuid)>),
    /// The store's last position.
    Head(Option<Position>),
}

#[derive(Debug, Clone)]
pub(crate) struct Share {
    pub(crate) stream: StreamId,
    pub(crate) expected: Expected,
    pub(crate) ids: Vec<Uuid>,
}

/// Why a history cannot be.
pub(crate) fn broken(history: &[Operation]) -> Vec<String> {
    let mut broken: Vec<_> = order_is_broken(history).into_iter().collect();
    for (stream, steps) in streams(history) {
        if !Search::new(&steps).succeeds() {
            broken.push(format!("no order explains {stream}"));
        }
    }
    broken
}

/// An operation as one stream sees it.
#[derive(Debug)]
struct Step<'a> {
    begin: u64,
    end: u64,
    kind: Kind<'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    Appended(&'a Share, Revision),
    Conflict(&'a Share, Option<Revision>),
    /// Another stream's conflict refused it.
    Nothing,
    Read(Option<(Revision, Uuid)>),
}

fn streams(history: &[Operation]) -> BTreeMap<&StreamId, Vec<Step<'_>>> {
    let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Operation { begin, end, what } in history {
        let mut add = |stream, kind| {
            let step = Step { begin: *begin, end: *end, kind };
            streams.entry(stream).or_default().push(step);
        };
        match what {
            What::Append(shares, Ok(places)) => {
                for (share, place) in shares.iter().zip(places) {
                    add(&share.stream, Kind::Appended(share, place.revision));
                }
            }
            What::Append(shares, Err((stream, actual))) => {
                for share in shares {
                    let refused = share.stream == *stream;
                    let kind = if refused { Kind::Conflict(share, *actual) } else { Kind::Nothing };
                    add(&share.stream, kind);
                }
            }
            What::ReadEnd(stream, last) => add(stream, Kind::Read(*last)),
            What::Head(_) => {}
        }
    }
    streams
}

impl Kind<'_> {
    /// What the stream's events are after it, if it can happen when they are these.
    fn apply(&self, events: &[Uuid]) -> Option<Vec<Uuid>> {
        let last = events.len().checked_sub(1).map(|last| Revision(last as u64));
        let holds = |expected: Expected| match expected {
            Expected::Any => true,
            Expected::NoStream => last.is_none(),
            Expected::StreamExists => last.is_some(),
            Expected::At(revision) => last == Some(revision),
        };
        let there = |share: &Share| events.iter().position(|id| *id == share.ids[0]);
        let possible = match self {
            Self::Nothing => true,
            Self::Read(read) => {
                read.map(|(revision, _)| revision) == last
                    && read.map(|(_, id)| id) == events.last().copied()
            }
            Self::Conflict(share, actual) => {
                there(share).is_none() && *actual == last && !holds(share.expected)
            }
            Self::Appended(share, revision) => {
                let count = share.ids.len();
                if let Some(first) = there(share) {
                    return (revision.0 == (first + count - 1) as u64).then(|| events.to_vec());
                }
                let fits = revision.0 == (events.len() + count - 1) as u64;
                return (fits && holds(share.expected)).then(|| [events, &share.ids].concat());
            }
        };
        possible.then(|| events.to_vec())
    }
}

/// A search for an order of a stream's steps.
struct Search<'a> {
    steps: &'a [Step<'a>],
    done: Vec<bool>,
    tried: HashSet<(Vec<bool>, Vec<Uuid>)>,
}

impl<'a> Search<'a> {
    fn new(steps: &'a [Step<'a>]) -> Self {
        Self { steps, done: vec![false; steps.len()], tried: HashSet::new() }
    }

    fn succeeds(mut self) -> bool {
        self.goes_on(&[], self.steps.len())
    }

    fn goes_on(&mut self, events: &[Uuid], left: usize) -> bool {
        if left == 0 {
            return true;
        }
        if !self.tried.insert((self.done.clone(), events.to_vec())) {
            return false;
        }
        let open = |n: &usize| !self.done[*n];
        let first_end = (0..self.steps.len()).filter(open).map(|n| self.steps[n].end).min();
        // Only what began before any other ended can be next.
        let next = (0..self.steps.len()).filter(open);
        let next: Vec<_> = next.filter(|n| Some(self.steps[*n].begin) < first_end).collect();
        for n in next {
            let Some(after) = self.steps[n].kind.apply(events) else { continue };
            self.done[n] = true;
            if self.goes_on(&after, left - 1) {
                return true;
            }
            self.done[n] = false;
        }
        false
    }
}

/// An append and its repeats: it took effect between the first beginning and the first end.
#[derive(Debug)]
struct Effect {
    begin: u64,
    end: u64,
    /// The positions of its shares' last events.
    places: Vec<Position>,
}

/// What contradicts the order that the positions give.
fn order_is_broken(history: &[Operation]) -> Option<String> {
    let mut effects: BTreeMap<Uuid, Effect> = BTreeMap::new();
    for Operation { begin, end, what } in history {
        let What::Append(shares, Ok(appended)) = what else { continue };
        let places: Vec<_> = appended.iter().map(|place| place.position).collect();
        let counts = shares[1..].iter().map(|share| share.ids.len() as u64);
        if places.windows(2).zip(counts).any(|(pair, count)| pair[0].0 + count != pair[1].0) {
            return Some(format!("a batch is not in one piece: {places:?}"));
        }
        let effect = Effect { begin: *begin, end: *end, places: places.clone() };
        let known = effects.entry(shares[0].ids[0]).or_insert(effect);
        if known.places != places {
            return Some(format!("an append is at {places:?} and at {:?}", known.places));
        }
        (known.begin, known.end) = (known.begin.min(*begin), known.end.min(*end));
    }
    let mut effects: Vec<_> = effects.into_values().collect();
    effects.sort_by_key(|effect| effect.places[0]);
    let mut first_end = u64::MAX;
    for effect in effects.iter().rev() {
        if effect.begin > first_end {
            return Some(format!("{effect:?} comes before one that had ended"));
        }
        first_end = first_end.min(effect.end);
    }
    history.iter().find_map(|operation| head_is_broken(operation, &effects))
}

/// The head is at or after all that had ended, and before all that had not begun.
fn head_is_broken(operation: &Operation, effects: &[Effect]) -> Option<String> {
    let What::Head(head) = &operation.what else { return None };
    let wrong = effects.iter().find(|effect| {
        let within = effect.places.last().copied() <= *head;
        (effect.end < operation.begin && !within) || (effect.begin > operation.end && within)
    });
    wrong.map(|effect| format!("the head was {head:?}, which contradicts {effect:?}"))
}
