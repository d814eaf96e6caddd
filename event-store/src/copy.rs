//! Copies one store's events into another, whatever adapters they are.

use std::pin::pin;

use futures::{Stream, TryStreamExt, future};
use thiserror::Error;
use uuid::Uuid;

use crate::lifetimes::TOMBSTONE;
use crate::{
    AppendError, Direction, EventStore, Expected, Filter, NewEvent, Position, ReadError, Recorded,
    Revision, StreamId, StreamMetadata,
};

/// The type of the events that stand where the source has none any more, so that those after them
/// keep their revisions.
pub(crate) const GAP: &str = "$gap";
/// Most events, and bytes of payload and metadata, of one append. EventStoreDB takes 1 MiB.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 512 << 10;

/// What a copy has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopySummary {
    /// Events that were read in the source and are in the target now. Those that an earlier copy
    /// brought there are not counted.
    pub events: u64,
    /// Placeholders that were appended for events which the source has dropped.
    pub gaps: u64,
}

/// What to do where the target lacks events of a stream before the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gaps {
    /// Nothing: [`CopyError::Gap`].
    #[default]
    Refuse,
    /// Placeholders of the type `$gap` take their revisions.
    Fill,
    /// What comes after them in the stream is left out.
    LeaveOut,
}

/// Why a copy ended early, or why a target is not the copy of a source.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("the source cannot be read: {0}")]
    Source(#[source] ReadError),
    /// The target cannot be read.
    #[error("the target cannot be read: {0}")]
    Target(#[source] ReadError),
    /// The target does not take an event.
    #[error("the target does not take revision {revision} of {stream}: {error}")]
    Refused {
        /// The event's stream.
        stream: StreamId,
        /// Its revision.
        revision: Revision,
        /// Why.
        #[source]
        error: AppendError,
    },
    /// Events of a stream are missing.
    #[error("{stream} lacks {count} events before revision {revision}")]
    Gap {
        /// The stream.
        stream: StreamId,
        /// The revision of the next event that is there.
        revision: Revision,
        /// How many are missing.
        count: u64,
    },
    /// The target has something else, or more, or less than the source.
    #[error("{stream} differs from revision {revision} on: {what}")]
    Differs {
        /// The stream.
        stream: StreamId,
        /// The revision.
        revision: Revision,
        /// How.
        what: &'static str,
    },
}

/// Copies all events in their order, with their ids, streams and revisions; those that a copy
/// which was interrupted has brought to the target already are passed over. Streams whose names
/// begin with `$` are left out, but for the metadata of those that are copied. `reach` is told what
/// was done so far, and the position in the source.
///
/// Where the source has dropped a stream's first events, placeholders take their revisions. Where
/// nothing was left out or dropped, and the target was empty, events of an embedded store have the
/// same positions in an embedded target. The time of recording is that of the target.
///
/// # Errors
/// One of the stores fails, or the target has other events in the same streams.
pub async fn copy<S: EventStore, T: EventStore>(
    source: &S,
    target: &T,
    mut reach: impl FnMut(CopySummary, Position),
) -> Result<CopySummary, CopyError> {
    let after = resume(source, target).await?;
    let mut events = pin!(source.read_all(after, Filter::all()).map_err(CopyError::Source));
    let (mut done, mut batch) = (CopySummary::default(), Batch::default());
    while let Some(event) = events.try_next().await? {
        if is_left_out(&event.stream) {
            continue;
        }
        let position = event.position;
        if !batch.takes(&event) {
            done.gaps += std::mem::take(&mut batch).write(target, Gaps::Fill).await?.gaps;
            reach(done, position);
        }
        done.events += 1;
        batch.push(event);
    }
    done.gaps += batch.write(target, Gaps::Fill).await?.gaps;
    Ok(done)
}

fn is_left_out(stream: &StreamId) -> bool {
    stream.described().unwrap_or(stream.as_str()).starts_with('$')
}

/// The position in the source of the last event that the target has of it.
async fn resume<S: EventStore, T: EventStore>(
    source: &S,
    target: &T,
) -> Result<Option<Position>, CopyError> {
    let mut copied = pin!(target.read_all_backward(None).map_err(CopyError::Target));
    while let Some(last) = copied.try_next().await? {
        if is_left_out(&last.stream) || [GAP, TOMBSTONE].contains(&&*last.kind) {
            continue;
        }
        let mut origin = pin!(source.read(&last.stream, last.revision, Direction::Forward));
        match origin.try_next().await {
            Ok(Some(origin)) if origin.id == last.id => return Ok(Some(origin.position)),
            // Hidden or gone since: what was copied before it may still be there.
            Ok(_) | Err(ReadError::Deleted { .. }) => {}
            Err(error) => return Err(CopyError::Source(error)),
        }
    }
    Ok(None)
}

/// Events of one stream, one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    events: Vec<Recorded>,
    bytes: usize,
}

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Written {
    /// Where its last event is, if it is there.
    pub(crate) last: Option<Position>,
    /// Placeholders that it took.
    pub(crate) gaps: u64,
    /// It comes after a gap, and was left out.
    pub(crate) left_out: bool,
}

impl Batch {
    /// Whether an event belongs to it, too.
    pub(crate) fn takes(&self, event: &Recorded) -> bool {
        let Some(last) = self.events.last() else { return true };
        last.stream == event.stream
            && last.revision.0 + 1 == event.revision.0
            && ![&*last.kind, &*event.kind].contains(&TOMBSTONE)
            && self.events.len() < BATCH
            && self.bytes + bytes(event) <= BATCH_BYTES
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn push(&mut self, event: Recorded) {
        self.bytes += bytes(&event);
        self.events.push(event);
    }

    /// Its stream, unless it is empty.
    pub(crate) fn stream(&self) -> Option<&StreamId> {
        self.events.first().map(|event| &event.stream)
    }

    /// Its events by themselves.
    pub(crate) fn split(self) -> impl Iterator<Item = Self> {
        self.events.into_iter().map(|event| Self { bytes: bytes(&event), events: vec![event] })
    }

    /// Writes the events.
    pub(crate) async fn write<T: EventStore>(
        self,
        target: &T,
        gaps: Gaps,
    ) -> Result<Written, CopyError> {
        let (Some(first), Some(last)) = (self.events.first(), self.events.last()) else {
            return Ok(Written::default());
        };
        let (stream, kind) = (first.stream.clone(), first.kind.clone());
        let (first, last) = (first.revision, last.revision);
        let refused = |error| CopyError::Refused { stream: stream.clone(), revision: first, error };
        let written = |last| Written { last: Some(last), ..Written::default() };
        if &*kind == TOMBSTONE {
            return match target.tombstone(&stream, Expected::Any).await {
                Ok(appended) => Ok(written(appended.position)),
                Err(AppendError::Deleted { .. }) => Ok(Written::default()),
                Err(error) => Err(refused(error)),
            };
        }
        let events: Vec<_> = self.events.iter().map(|event| event.to_new()).collect();
        if stream.described().is_some() {
            // What is said of a stream as a whole is what was said last: its revision tells nothing.
            let appended = target.append(&stream, Expected::Any, events).await.map_err(refused)?;
            return Ok(written(appended.position));
        }
        let differs = |what| CopyError::Differs { stream: stream.clone(), revision: first, what };
        let (appended, gaps) = match target.append(&stream, before(first), events.clone()).await {
            Ok(appended) => (appended, 0),
            Err(AppendError::Conflict { actual, .. }) => {
                let missing = actual.map_or(0, |actual| actual.0.saturating_add(1))..first.0;
                if missing.is_empty() {
                    return Err(differs("the target has other events there"));
                }
                let count = missing.end - missing.start;
                match gaps {
                    Gaps::Refuse => return Err(CopyError::Gap { stream, revision: first, count }),
                    Gaps::LeaveOut => {
                        return Ok(Written { left_out: true, ..Written::default() });
                    }
                    Gaps::Fill => fill(target, &stream, missing).await.map_err(refused)?,
                }
                (target.append(&stream, before(first), events).await.map_err(refused)?, count)
            }
            Err(error) => return Err(refused(error)),
        };
        if appended.revision != last {
            return Err(differs("the target has these events at other revisions"));
        }
        Ok(Written { gaps, ..written(appended.position) })
    }
}

fn bytes(event: &Recorded) -> usize {
    event.data.len() + event.metadata.len() + event.kind.len()
}

/// The expectation of a writer of this revision.
fn before(revision: Revision) -> Expected {
    revision.0.checked_sub(1).map_or(Expected::NoStream, |last| Expected::At(Revision(last)))
}

/// Appends placeholders for revisions. Their ids follow from their places, so that it can be
/// repeated.
async fn fill<T: EventStore>(
    target: &T,
    stream: &StreamId,
    revisions: std::ops::Range<u64>,
) -> Result<(), AppendError> {
    for start in revisions.clone().step_by(BATCH) {
        let end = revisions.end.min(start + BATCH as u64);
        let gap = |revision: u64| NewEvent {
            id: Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{GAP}:{revision}@{stream}").as_bytes()),
            kind: GAP.into(),
            data: "".into(),
            metadata: "".into(),
            is_json: false,
        };
        let gaps = (start..end).map(gap).collect();
        target.append(stream, before(Revision(start)), gaps).await?;
    }
    Ok(())
}

/// Compares two stores event by event; how many were compared. Times of recording and positions
/// may differ, and what the target keeps in streams of its own.
///
/// # Errors
/// A store cannot be read, or they differ: the first difference.
pub async fn compare_copy<S: EventStore, T: EventStore>(
    source: &S,
    target: &T,
    mut reach: impl FnMut(u64),
) -> Result<u64, CopyError> {
    let mut events = pin!(compared(source).map_err(CopyError::Source));
    let mut there = pin!(compared(target).map_err(CopyError::Target));
    let mut count = 0;
    loop {
        match (events.try_next().await?, there.try_next().await?) {
            (None, None) => break,
            (Some(event), None) => return differs(&event, "the target does not have it"),
            (None, Some(event)) => return differs(&event, "the source does not have it"),
            (Some(event), Some(copied)) => compare(&event, &copied)?,
        }
        count += 1;
        reach(count);
    }
    compare_metadata(source, target).await?;
    Ok(count)
}

/// Compares what was said last of each stream as a whole.
async fn compare_metadata<S: EventStore, T: EventStore>(
    source: &S,
    target: &T,
) -> Result<(), CopyError> {
    let filter = Filter::kinds(&[StreamMetadata::KIND]);
    let mut said = pin!(source.read_all(None, filter).map_err(CopyError::Source));
    while let Some(event) = said.try_next().await? {
        let Some(Ok(stream)) = event.stream.described().map(str::parse) else { continue };
        if is_left_out(&stream) {
            continue;
        }
        let of_source = metadata(source, &stream).await.map_err(CopyError::Source)?;
        if of_source != metadata(target, &stream).await.map_err(CopyError::Target)? {
            return differs(&event, "its metadata is another in the target");
        }
    }
    Ok(())
}

async fn metadata<S: EventStore>(
    store: &S,
    stream: &StreamId,
) -> Result<Option<StreamMetadata>, ReadError> {
    match store.metadata(stream).await {
        Err(ReadError::Deleted { .. }) => Ok(None),
        said => Ok(said?.map(|(metadata, _)| metadata)),
    }
}

/// The events that can be compared: metadata is not among them, whose revisions a store may choose
/// by itself.
fn compared<S: EventStore>(
    store: &S,
) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
    store.read_all(None, Filter::all()).try_filter(|event| {
        let of_streams = !is_left_out(&event.stream) && event.stream.described().is_none();
        future::ready(of_streams && &*event.kind != GAP && &*event.kind != StreamMetadata::KIND)
    })
}

fn differs<T>(event: &Recorded, what: &'static str) -> Result<T, CopyError> {
    Err(CopyError::Differs { stream: event.stream.clone(), revision: event.revision, what })
}

fn compare(event: &Recorded, copied: &Recorded) -> Result<(), CopyError> {
    if event.stream != copied.stream || event.kind != copied.kind {
        return differs(event, "the target has another event in its place");
    }
    // A tombstone is an event of each store's own.
    if &*event.kind == TOMBSTONE {
        return Ok(());
    }
    let place = |event: &Recorded| (event.revision, event.id, event.is_json);
    if place(event) != place(copied) {
        return differs(event, "its revision, id or content type is another in the target");
    }
    if (&event.data, &event.metadata) != (&copied.data, &copied.metadata) {
        return differs(event, "its payload or metadata is another in the target");
    }
    Ok(())
}
