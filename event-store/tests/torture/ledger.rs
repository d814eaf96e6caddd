//! What a folder must hold, from what was submitted and answered; and whether it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use daybook_event_store::{
    Appended, Direction, EmbeddedStore, EventStore, Filter, Position, Recorded, RecordedEvent,
    Revision, StreamId, Tailed,
};
use futures::{StreamExt, TryStreamExt};

use crate::load::OpId;
use crate::program::{BOUNDED, Said, WRITERS};

/// What is known of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    seed: u64,
    done: BTreeMap<OpId, Vec<Appended>>,
    refused: BTreeSet<OpId>,
    /// What each writer may have submitted without an answer.
    unanswered: BTreeMap<u32, OpId>,
    /// All events that were there when the store was looked at, by their positions.
    seen: BTreeMap<u64, Recorded>,
    /// How many of them were dropped since.
    dropped: usize,
    wrong: Vec<String>,
}

/// A promise that was broken.
pub(crate) type Broken = String;

fn same<T: PartialEq + Debug>(what: &str, is: &T, must: &T) -> Result<(), Broken> {
    if is == must { Ok(()) } else { Err(format!("{what}: {is:?}, which must be {must:?}")) }
}

fn holds(what: impl FnOnce() -> String, is: bool) -> Result<(), Broken> {
    if is { Ok(()) } else { Err(what()) }
}

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            done: BTreeMap::new(),
            refused: BTreeSet::new(),
            unanswered: BTreeMap::new(),
            seen: BTreeMap::new(),
            dropped: 0,
            wrong: Vec::new(),
        }
    }

    /// What all operations follow from.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A new life of the program begins: each writer repeats what was not answered before.
    pub(crate) fn begin(&mut self, life: u32) -> Vec<OpId> {
        let unanswered = self.unanswered.values().copied().collect::<Vec<_>>();
        let first = |writer| (writer, OpId { life, writer, step: 0 });
        for (writer, id) in (0..WRITERS).map(first) {
            self.unanswered.entry(writer).or_insert(id);
        }
        unanswered
    }

    /// Takes in what the program said.
    pub(crate) fn hear(&mut self, life: u32, said: Said) {
        match said {
            Said::Done(id, places) => {
                self.answered(life, id);
                self.done.insert(id, places);
            }
            Said::Refused(id) => {
                self.answered(life, id);
                self.refused.insert(id);
            }
            Said::Wrong(what) => self.wrong.push(what),
            _ => {}
        }
    }

    /// The writer goes on to its next operation.
    fn answered(&mut self, life: u32, id: OpId) {
        let step = if id.life == life { id.step + 1 } else { 0 };
        self.unanswered.insert(id.writer, OpId { life, step, ..id });
    }

    /// How many operations were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.done.len()
    }

    /// How many events a scavenge dropped.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped
    }

    /// How many of the operations without an answer are there.
    pub(crate) fn unanswered_but_there(&self) -> usize {
        let there = |id: &&OpId| self.seen.values().any(|event| OpId::of(event.id).0 == **id);
        self.unanswered.values().filter(there).count()
    }

    /// Checks a store that was opened against all that is known.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub(crate) async fn check(&mut self, store: &EmbeddedStore) -> Result<(), Broken> {
        holds(|| self.wrong.join("; "), self.wrong.is_empty())?;
        let unreadable = |error| format!("cannot be read: {error}");
        let all: Vec<_> =
            store.read_all(None, Filter::all()).try_collect().await.map_err(unreadable)?;
        let tail = tail(store, &all).await?;
        let whole = self.with_dropped(&all)?;
        for ((position, event), dense) in whole.iter().zip(0..) {
            same("a position", position, &dense)?;
            same("an event's position", &event.position.0, position)?;
        }
        let mut streams: BTreeMap<StreamId, Vec<Recorded>> = BTreeMap::new();
        for event in whole.values() {
            streams.entry(event.stream.clone()).or_default().push(event.clone());
        }
        let bounded = streams.get(BOUNDED.0).map_or(0, Vec::len) as u64;
        let out = |event: &Recorded| {
            event.stream.as_str() == BOUNDED.0 && event.revision.0 + BOUNDED.1 < bounded
        };
        check_whole("all events", &all, &whole, out)?;
        check_whole("the tail", &tail, &whole, out)?;
        self.check_operations(whole.values())?;
        check_streams(store, streams).await?;
        self.dropped = whole.len() - all.len();
        self.seen = whole;
        Ok(())
    }

    /// All events that there ever were: those that are there, that were seen before, and that were
    /// acknowledged and dropped before they were seen.
    fn with_dropped(&self, all: &[Recorded]) -> Result<BTreeMap<u64, Recorded>, Broken> {
        let mut whole = self.seen.clone();
        for event in all {
            let seen = whole.entry(event.position.0).or_insert_with(|| event.clone());
            same("an event", event, seen)?;
        }
        for (id, places) in &self.done {
            let op = id.op(self.seed);
            let shares = op.shares.iter().zip(id.events(self.seed, &op)).zip(places);
            for (((stream, ..), events), last) in shares {
                let before = (0..events.len() as u64).rev();
                for (event, before) in events.into_iter().zip(before) {
                    let position = Position(last.position.0 - before);
                    let revision = Revision(last.revision.0 - before);
                    let stream = stream.clone();
                    let event = RecordedEvent::from_new(event, stream, revision, position, 0);
                    whole.entry(position.0).or_insert(event.into());
                }
            }
        }
        Ok(whole)
    }

    /// Acknowledged ones are there and where they were said to be, all are whole and as submitted,
    /// and nothing else is there.
    fn check_operations<'a>(&self, all: impl Iterator<Item = &'a Recorded>) -> Result<(), Broken> {
        let mut found: BTreeMap<OpId, Vec<&Recorded>> = BTreeMap::new();
        // What is said of a stream comes from whoever tends the store, not from a writer.
        for event in all.filter(|event| !event.stream.as_str().starts_with("$$")) {
            found.entry(OpId::of(event.id).0).or_default().push(event);
        }
        for id in self.done.keys() {
            holds(|| format!("{id:?} was acknowledged and is lost"), found.contains_key(id))?;
        }
        for (id, events) in found {
            let known = self.done.contains_key(&id) || self.unanswered.values().any(|u| *u == id);
            holds(|| format!("{id:?} is there and was not submitted"), known)?;
            let refused = self.refused.contains(&id);
            holds(|| format!("{id:?} is there and was refused"), !refused)?;
            let places = self.check_operation(id, &events)?;
            if let Some(acknowledged) = self.done.get(&id) {
                same(&format!("the place of {id:?}"), &places, acknowledged)?;
            }
        }
        Ok(())
    }

    /// Returns where each of its shares ended up.
    fn check_operation(&self, id: OpId, events: &[&Recorded]) -> Result<Vec<Appended>, Broken> {
        let op = id.op(self.seed);
        let submitted = id.events(self.seed, &op);
        let count: usize = submitted.iter().map(Vec::len).sum();
        same(&format!("how many events of {id:?} are there"), &events.len(), &count)?;
        let mut events = events.iter();
        let mut next = events.as_slice()[0].position.0;
        let mut places = Vec::new();
        for ((stream, ..), submitted) in op.shares.iter().zip(submitted) {
            let mut place = None;
            for (new, event) in submitted.into_iter().zip(events.by_ref()) {
                same("an event", &event.to_new(), &new)?;
                same("its stream", &event.stream, stream)?;
                same("its position", &event.position.0, &next)?;
                next += 1;
                place = Some(Appended { revision: event.revision, position: event.position });
            }
            places.extend(place);
        }
        Ok(places)
    }
}

/// The streams are all events, each from revision 0 without a gap, in both directions; of the
/// bounded one the last of them.
async fn check_streams(
    store: &EmbeddedStore,
    streams: BTreeMap<StreamId, Vec<Recorded>>,
) -> Result<(), Broken> {
    let bound = streams.contains_key("$$order-0");
    for (stream, mut events) in streams {
        for (event, revision) in events.iter().zip(0..) {
            same(&format!("a revision of {stream}"), &event.revision, &Revision(revision))?;
        }
        if bound && stream.as_str() == BOUNDED.0 {
            let count = usize::try_from(BOUNDED.1).unwrap();
            events.drain(..events.len().saturating_sub(count));
        }
        let forward = store.read(&stream, Revision::START, Direction::Forward);
        let backward = store.read(&stream, Revision::END, Direction::Backward);
        let unreadable = |error| format!("{stream} cannot be read: {error}");
        let forward: Vec<_> = forward.try_collect().await.map_err(unreadable)?;
        let mut backward: Vec<_> = backward.try_collect().await.map_err(unreadable)?;
        backward.reverse();
        same(&format!("{stream} forward"), &forward, &events)?;
        same(&format!("{stream} backward"), &backward, &events)?;
    }
    Ok(())
}

/// What a subscription delivers up to the last of all events.
async fn tail(store: &EmbeddedStore, all: &[Recorded]) -> Result<Vec<Recorded>, Broken> {
    let mut events = Vec::new();
    let Some(last) = all.last() else { return Ok(events) };
    let mut tail = Box::pin(store.tail(None, Filter::all()));
    while let Some(item) = tail.next().await {
        match item.map_err(|error| format!("the tail failed: {error}"))? {
            Tailed::Event(event) => events.push(event),
            Tailed::CaughtUp(position) if position == last.position => break,
            Tailed::CaughtUp(_) => {}
        }
    }
    Ok(events)
}

/// What was read in order is all that there ever was but for events that may be dropped. A store
/// that was opened goes on with the scavenge that was cut off, so that no two reads need be equal.
fn check_whole(
    what: &str,
    read: &[Recorded],
    whole: &BTreeMap<u64, Recorded>,
    out: impl Fn(&Recorded) -> bool,
) -> Result<(), Broken> {
    let ascends = read.is_sorted_by(|a, b| a.position < b.position);
    holds(|| format!("{what}: positions do not increase"), ascends)?;
    let times = read.is_sorted_by_key(|event| event.recorded_at);
    holds(|| format!("{what}: recorded_at decreases"), times)?;
    let mut read = read.iter().peekable();
    for event in whole.values() {
        match read.next_if(|read| read.position == event.position) {
            Some(read) => same(what, read, event)?,
            None => holds(
                || format!("{what}: it is live, and was dropped or is lost: {event:?}"),
                out(event),
            )?,
        }
    }
    same(&format!("{what}: what was never there"), &read.next(), &None)
}
