//! The rules on metadata and deletion judged: stores that break one promise each, and the rule that
//! must notice.

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, IndexStream,
    Listed, MemoryStore, NewEvent, Position, ReadError, Recorded, Revision, StreamId,
    StreamMetadata, StreamWrite, Tailed, Transaction,
};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::suite::timed::{Clock, Timed};
use crate::suite::{self, LIMITS};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    TruncationIgnored,
    TruncationInclusive,
    CountIgnored,
    AgeIgnored,
    BoundsIgnored,
    BoundsIgnoredBackward,
    MetadataMerged,
    MetadataExpectationIgnored,
    MetadataRepeatAppends,
    MetadataOfTheMalformedKept,
    MetadataNeedsAStream,
    MetadataMakesAStream,
    MetadataOfLongNamesLost,
    MetadataAges,
    MetadataKeepsADeletion,
    TruncatedIsNew,
    HiddenRepeatAppends,
    OwnNamesTaken,
    DeletionHidesNothing,
    DeletionUnexpected,
    DeletionOfNothing,
    DeletionWrittenTwice,
    DeletionForgetsMetadata,
    DeletionIsFinal,
    DeletedExists,
    AnewUnexpected,
    AnewRefused,
    AnewShowsAll,
    AnewStaysHidden,
    AnewForgetsMetadata,
    RepeatRefusedOnceDeleted,
    MixedRead,
    TombstonedReadsEmpty,
    TombstonedMetadataReads,
    TombstonedTakes,
    TombstoneMisplaced,
    TombstoneUnexpected,
    TombstoneOfNothingRefused,
    TombstoneIsADeletion,
    TogetherMetadataIgnored,
    TogetherStaysHidden,
    TogetherWithoutTheTombstoned,
}

#[derive(Clone)]
struct Planted {
    inner: MemoryStore,
    clock: Clock,
    bug: Bug,
}

/// A planted store's own look at a stream.
struct Known {
    last: Option<Revision>,
    metadata: StreamMetadata,
}

impl Known {
    fn is_deleted(&self) -> bool {
        self.metadata.truncate_before == Some(StreamMetadata::DELETED)
    }
}

impl Planted {
    fn new(bug: Bug) -> Timed<Self> {
        let clock = Clock::new();
        let told = clock.clone();
        let inner = MemoryStore::with_clock(LIMITS, move || told.now());
        Timed { store: Self { inner, clock: clock.clone(), bug }, clock }
    }

    /// All events of a stream, hidden or not.
    async fn every(&self, stream: &StreamId) -> Vec<Recorded> {
        let events: Vec<_> = self.inner.read_all(None, Filter::all()).try_collect().await.unwrap();
        events.into_iter().filter(|event| event.stream == *stream).collect()
    }

    async fn known(&self, stream: &StreamId) -> Known {
        let last = self.every(stream).await.last().map(|event| event.revision);
        let metadata = self.inner.metadata(stream).await.ok().flatten();
        Known { last, metadata: metadata.map(|(metadata, _)| metadata).unwrap_or_default() }
    }

    async fn describe(&self, stream: &StreamId, metadata: &StreamMetadata) -> Appended {
        self.inner.set_metadata(stream, Expected::Any, metadata, Uuid::now_v7()).await.unwrap()
    }

    /// What is understood when something is said of a stream.
    async fn said(&self, of: &StreamId, mut event: NewEvent) -> NewEvent {
        let Known { metadata: before, .. } = self.known(of).await;
        let Some(mut said) = StreamMetadata::decode(&event.data) else {
            if self.bug == Bug::MetadataOfTheMalformedKept {
                event.data = before.encode().into();
            }
            return event;
        };
        match self.bug {
            Bug::TruncationIgnored => said.truncate_before = None,
            Bug::TruncationInclusive => {
                said.truncate_before = said.truncate_before.map(|before| Revision(before.0 + 1));
            }
            Bug::CountIgnored => said.max_count = None,
            Bug::AgeIgnored => said.max_age = None,
            Bug::MetadataMerged => {
                said.truncate_before = said.truncate_before.or(before.truncate_before);
                said.max_age = said.max_age.or(before.max_age);
            }
            Bug::MetadataOfLongNamesLost if of.as_str().len() > 200 => {
                said = StreamMetadata::default();
            }
            Bug::MetadataKeepsADeletion
                if before.truncate_before == Some(StreamMetadata::DELETED) =>
            {
                said.truncate_before = before.truncate_before;
            }
            _ => return event,
        }
        event.data = said.encode().into();
        event
    }

    async fn append_metadata(
        &self,
        stream: &StreamId,
        of: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let mut understood = Vec::new();
        for event in events {
            let event = self.said(of, event).await;
            let renewed = self.bug == Bug::MetadataRepeatAppends;
            let id = if renewed { Uuid::now_v7() } else { event.id };
            understood.push(NewEvent { id, ..event });
        }
        if self.bug == Bug::MetadataNeedsAStream && self.known(of).await.last.is_none() {
            return conflict(of, expected, None);
        }
        let ignored = self.bug == Bug::MetadataExpectationIgnored;
        let expected = if ignored { Expected::Any } else { expected };
        self.inner.append(stream, expected, understood).await
    }

    async fn append_wrongly(
        &self,
        stream: &StreamId,
        expected: Expected,
        mut events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        if self.bug == Bug::None {
            return self.inner.append(stream, expected, events).await;
        }
        let before = self.known(stream).await;
        let every = self.every(stream).await;
        let is_repeat = every.iter().any(|event| events.iter().any(|new| new.id == event.id));
        let is_hidden = match self
            .inner
            .read(stream, Revision::START, Direction::Forward)
            .try_collect::<Vec<_>>()
            .await
        {
            Ok(seen) => seen.is_empty() && !every.is_empty(),
            Err(_) => false,
        };
        let described = before.metadata != StreamMetadata::default();
        let expected = match self.bug {
            Bug::MetadataMakesAStream if described && before.last.is_none() => match expected {
                Expected::NoStream => return conflict(stream, expected, None),
                _ => Expected::Any,
            },
            Bug::TruncatedIsNew if is_hidden => Expected::Any,
            Bug::DeletedExists if expected == Expected::StreamExists => Expected::Any,
            Bug::AnewUnexpected if before.is_deleted() => Expected::Any,
            Bug::AnewRefused if before.is_deleted() => {
                return conflict(stream, expected, before.last);
            }
            Bug::RepeatRefusedOnceDeleted if is_repeat && is_hidden => {
                return conflict(stream, expected, before.last);
            }
            Bug::HiddenRepeatAppends => {
                let first = before.metadata.truncate_before.unwrap_or(Revision::START);
                let hidden = |id| every.iter().any(|e| e.id == id && e.revision < first);
                for event in events.iter_mut().filter(|event| hidden(event.id)) {
                    event.id = Uuid::now_v7();
                }
                Expected::Any
            }
            _ => expected,
        };
        let result = self.inner.append(stream, expected, events).await;
        match (self.bug, &result) {
            (Bug::OwnNamesTaken, Err(AppendError::Reserved { .. }))
            | (Bug::TombstonedTakes, Err(AppendError::Deleted { .. })) => {
                Ok(Appended { revision: Revision::START, position: Position(0) })
            }
            (_, Ok(_)) if before.is_deleted() && !is_repeat => {
                self.begun_anew(stream).await;
                result
            }
            _ => result,
        }
    }

    /// What is wrong after a deleted stream was begun anew.
    async fn begun_anew(&self, stream: &StreamId) {
        let Known { metadata, .. } = self.known(stream).await;
        let truncate_before = metadata.truncate_before;
        let wrong = match self.bug {
            Bug::AnewShowsAll => StreamMetadata { truncate_before: None, ..metadata },
            Bug::AnewStaysHidden => {
                StreamMetadata { truncate_before: Some(StreamMetadata::DELETED), ..metadata }
            }
            Bug::AnewForgetsMetadata => {
                StreamMetadata { truncate_before, ..StreamMetadata::default() }
            }
            _ => return,
        };
        self.describe(stream, &wrong).await;
    }

    async fn read_wrongly(
        self,
        stream: StreamId,
        from: Revision,
        direction: Direction,
    ) -> Vec<Result<Recorded, ReadError>> {
        let seen = async || -> Vec<Result<Recorded, ReadError>> {
            self.inner.read(&stream, from, direction).collect().await
        };
        let described = stream.as_str().strip_prefix("$$");
        let backward = direction == Direction::Backward;
        match (self.bug, described) {
            (Bug::BoundsIgnored, _) => self.every_from(&stream, from, direction).await,
            (Bug::BoundsIgnoredBackward, None) if backward => {
                self.every_from(&stream, from, direction).await
            }
            (Bug::TombstonedReadsEmpty, None) | (Bug::TombstonedMetadataReads, Some(_)) => {
                seen().await.into_iter().flatten().map(Ok).collect()
            }
            (Bug::MetadataAges, Some(described)) => {
                let of = described.parse().unwrap();
                let age =
                    self.known(&of).await.metadata.max_age.map_or(0, std::num::NonZeroU64::get);
                let since = self.clock.now() - age.cast_signed() * 1_000_000;
                let is_old = |event: &Recorded| age > 0 && event.recorded_at < since;
                let young = |item: &Result<Recorded, _>| !item.as_ref().is_ok_and(is_old);
                seen().await.into_iter().filter(young).collect()
            }
            (Bug::MixedRead, None) => {
                let mut first = seen().await;
                tokio::task::yield_now().await;
                first.truncate(1);
                first.extend(seen().await.into_iter().skip(1));
                first
            }
            _ => seen().await,
        }
    }

    async fn every_from(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> Vec<Result<Recorded, ReadError>> {
        let events = self.every(stream).await.into_iter();
        match direction {
            Direction::Forward => events.filter(|event| event.revision >= from).map(Ok).collect(),
            Direction::Backward => {
                events.rev().filter(|event| event.revision <= from).map(Ok).collect()
            }
        }
    }

    async fn delete_wrongly(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> Result<Appended, AppendError> {
        let Known { last, metadata } = self.known(stream).await;
        let place = Appended { revision: Revision::START, position: Position(0) };
        let result = match self.bug {
            Bug::DeletionHidesNothing => return Ok(place),
            Bug::DeletionUnexpected => self.inner.delete(stream, Expected::Any).await,
            Bug::DeletionOfNothing if last.is_none() => return Ok(place),
            Bug::DeletionIsFinal => return self.inner.tombstone(stream, expected).await,
            Bug::OwnNamesTaken => self.inner.delete(stream, expected).await.or(Ok(place)),
            _ => self.inner.delete(stream, expected).await,
        };
        let truncate_before = Some(StreamMetadata::DELETED);
        match self.bug {
            Bug::DeletionWrittenTwice if result.is_ok() => {
                Ok(self.describe(stream, &StreamMetadata { truncate_before, ..metadata }).await)
            }
            Bug::DeletionForgetsMetadata if result.is_ok() => {
                let forgotten = StreamMetadata { truncate_before, ..StreamMetadata::default() };
                Ok(self.describe(stream, &forgotten).await)
            }
            _ => result,
        }
    }
}

fn conflict(
    stream: &StreamId,
    expected: Expected,
    actual: Option<Revision>,
) -> Result<Appended, AppendError> {
    Err(AppendError::Conflict { stream: stream.clone(), expected, actual })
}

impl EventStore for Planted {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        match stream.as_str().strip_prefix("$$").map(str::parse) {
            Some(Ok(of)) => self.append_metadata(stream, &of, expected, events).await,
            _ => self.append_wrongly(stream, expected, events).await,
        }
    }

    fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let events: BoxStream<'static, _> = if self.bug == Bug::None {
            self.inner.read(stream, from, direction).boxed()
        } else {
            let reading = self.clone().read_wrongly(stream.clone(), from, direction);
            stream::once(reading).flat_map(stream::iter).boxed()
        };
        events
    }

    fn read_index(
        &self,
        index: &IndexStream,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Listed, ReadError>> + Send + 'static {
        self.inner.read_index(index, from, direction)
    }

    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        self.inner.read_all(after, filter)
    }

    fn read_all_backward(
        &self,
        before: Option<Position>,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        self.inner.read_all_backward(before)
    }

    fn tail(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static {
        self.inner.tail(after, filter)
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        self.inner.head().await
    }

    async fn delete(&self, stream: &StreamId, expected: Expected) -> Result<Appended, AppendError> {
        self.delete_wrongly(stream, expected).await
    }

    async fn tombstone(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> Result<Appended, AppendError> {
        let Known { last, .. } = self.known(stream).await;
        match self.bug {
            Bug::TombstoneUnexpected => self.inner.tombstone(stream, Expected::Any).await,
            Bug::TombstoneOfNothingRefused if last.is_none() => conflict(stream, expected, None),
            Bug::TombstoneIsADeletion => self.inner.delete(stream, expected).await,
            Bug::TombstoneMisplaced => {
                let end = self.inner.tombstone(stream, expected).await?;
                Ok(Appended { revision: last.unwrap_or(Revision::START), ..end })
            }
            _ => self.inner.tombstone(stream, expected).await,
        }
    }
}

impl AtomicAppend for Planted {
    async fn commit(&self, transaction: Transaction) -> Result<Vec<Appended>, AppendError> {
        let mut writes = transaction.writes().to_vec();
        match self.bug {
            Bug::TogetherMetadataIgnored => {
                let metadata = |write: &&mut StreamWrite| write.stream.as_str().starts_with("$$");
                for write in writes.iter_mut().filter(metadata) {
                    write.events.iter_mut().for_each(|event| event.data = "{}".into());
                }
                self.inner.append_all(writes).await
            }
            Bug::TogetherStaysHidden => {
                let mut deleted = Vec::new();
                for StreamWrite { stream, .. } in &writes {
                    let known = self.known(stream).await;
                    deleted.extend(known.is_deleted().then(|| (stream.clone(), known.metadata)));
                }
                let result = self.inner.append_all(writes).await;
                for (stream, metadata) in deleted {
                    self.describe(&stream, &metadata).await;
                }
                result
            }
            Bug::TogetherWithoutTheTombstoned => {
                let result = self.inner.append_all(writes.clone()).await;
                let Err(AppendError::Deleted { stream }) = result else { return result };
                writes.retain(|write| write.stream != stream);
                self.inner.append_all(writes).await
            }
            _ => self.inner.commit(transaction).await,
        }
    }
}

type Rule = Box<dyn Fn(Timed<Planted>) -> BoxFuture<'static, ()>>;

fn rules() -> Vec<(&'static str, Rule)> {
    type Untimed = Box<dyn Fn(Planted) -> BoxFuture<'static, ()>>;
    let mut untimed: Vec<(&str, Untimed)> = suite::for_each_rule!(list_each!(Planted));
    untimed.extend(suite::for_each_exact_rule!(list_each!(Planted)));
    untimed.extend(suite::for_each_local_rule!(list_each!(Planted)));
    untimed.extend(suite::for_each_atomic_rule!(list_each!(Planted)));
    let timed = |(name, rule): (_, Untimed)| -> (_, Rule) {
        (name, Box::new(move |timed: Timed<Planted>| rule(timed.store)))
    };
    let mut rules: Vec<_> = untimed.into_iter().map(timed).collect();
    rules.extend(suite::for_each_timed_rule!(list_each!(Timed<Planted>)));
    rules
}

/// Whether a rule fails. Time is paused: what waits in vain times out at once.
fn fails(rule: &Rule, bug: Bug) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async { tokio::spawn(rule(Planted::new(bug))).await.is_err() })
}

#[track_caller]
fn caught(bug: Bug, by: &[&str]) {
    let rules = rules();
    for name in by {
        let (_, rule) = rules.iter().find(|(rule, _)| rule == name).expect("there is no such rule");
        assert!(fails(rule, bug), "{bug:?} is not caught by {name}");
    }
}

#[test]
fn a_store_without_a_bug_passes() {
    for (name, rule) in rules() {
        assert!(!fails(&rule, Bug::None), "{name} fails");
    }
}

#[test]
fn wrong_bounds_are_caught() {
    caught(
        Bug::TruncationIgnored,
        &["a_truncation_hides_what_is_before_it", "a_stream_truncated_whole_goes_on"],
    );
    caught(Bug::TruncationInclusive, &["a_truncation_hides_what_is_before_it"]);
    caught(
        Bug::CountIgnored,
        &["a_count_keeps_the_last_events", "a_stream_may_have_metadata_before_events"],
    );
    caught(Bug::AgeIgnored, &["an_age_hides_what_is_older", "a_long_stream_ages_from_its_start"]);
    caught(
        Bug::BoundsIgnored,
        &[
            "bounds_hold_over_a_long_stream",
            "a_deleted_stream_reads_as_empty",
            "metadata_is_the_last_event_of_the_metadata_stream",
        ],
    );
    caught(
        Bug::BoundsIgnoredBackward,
        &["bounds_hold_over_a_long_stream", "a_deleted_stream_reads_as_empty"],
    );
    caught(Bug::TruncatedIsNew, &["a_stream_truncated_whole_goes_on"]);
    caught(Bug::HiddenRepeatAppends, &["a_repeat_of_hidden_events_returns_the_first_result"]);
}

#[test]
fn wrong_metadata_is_caught() {
    caught(Bug::MetadataMerged, &["metadata_is_given_back_as_it_was_set"]);
    caught(Bug::MetadataExpectationIgnored, &["metadata_is_set_at_the_expected_revision"]);
    caught(Bug::MetadataRepeatAppends, &["repeated_metadata_changes_nothing"]);
    caught(Bug::MetadataOfTheMalformedKept, &["malformed_metadata_says_nothing"]);
    caught(Bug::MetadataNeedsAStream, &["a_stream_may_have_metadata_before_events"]);
    caught(Bug::MetadataMakesAStream, &["a_stream_may_have_metadata_before_events"]);
    caught(Bug::MetadataOfLongNamesLost, &["the_longest_name_has_metadata"]);
    caught(Bug::MetadataAges, &["metadata_does_not_age"]);
    caught(Bug::MetadataKeepsADeletion, &["new_metadata_takes_a_deletion_back"]);
    caught(Bug::TogetherMetadataIgnored, &["metadata_and_events_take_effect_at_once"]);
    caught(Bug::OwnNamesTaken, &["the_stores_own_names_are_refused"]);
}

#[test]
fn wrong_deletions_are_caught() {
    caught(Bug::DeletionHidesNothing, &["a_deleted_stream_reads_as_empty"]);
    caught(Bug::DeletionUnexpected, &["a_stream_is_deleted_as_expected_or_not_at_all"]);
    caught(Bug::DeletionOfNothing, &["what_never_was_cannot_be_deleted"]);
    caught(Bug::DeletionWrittenTwice, &["deleting_twice_changes_nothing"]);
    caught(Bug::DeletionForgetsMetadata, &["a_deletion_is_metadata"]);
    caught(Bug::DeletionIsFinal, &["a_deleted_stream_begins_anew"]);
    caught(Bug::DeletedExists, &["a_deleted_stream_does_not_exist"]);
}

#[test]
fn wrong_beginnings_are_caught() {
    caught(Bug::AnewUnexpected, &["a_deleted_stream_does_not_exist"]);
    caught(Bug::AnewRefused, &["a_deleted_stream_begins_anew"]);
    caught(
        Bug::AnewShowsAll,
        &["a_deleted_stream_begins_anew", "a_stream_is_deleted_and_begun_anew_over_and_over"],
    );
    caught(Bug::AnewStaysHidden, &["a_deleted_stream_begins_anew"]);
    caught(Bug::AnewForgetsMetadata, &["a_deleted_stream_begins_anew"]);
    caught(Bug::RepeatRefusedOnceDeleted, &["a_repeat_finds_its_events_in_a_deleted_stream"]);
    caught(Bug::MixedRead, &["a_reader_never_sees_a_mixture"]);
    caught(Bug::TogetherStaysHidden, &["an_append_over_streams_begins_deleted_ones_anew"]);
}

#[test]
fn wrong_tombstones_are_caught() {
    caught(Bug::TombstonedReadsEmpty, &["a_tombstoned_stream_cannot_be_read"]);
    caught(Bug::TombstonedMetadataReads, &["a_tombstoned_stream_cannot_be_read"]);
    caught(
        Bug::TombstonedTakes,
        &["a_tombstoned_stream_takes_nothing", "a_stream_can_be_tombstoned_in_any_state"],
    );
    caught(Bug::TombstoneMisplaced, &["a_tombstone_is_the_streams_last_event"]);
    caught(Bug::TombstoneUnexpected, &["a_stream_is_tombstoned_as_expected_or_not_at_all"]);
    caught(Bug::TombstoneOfNothingRefused, &["a_stream_can_be_tombstoned_in_any_state"]);
    caught(Bug::TombstoneIsADeletion, &["a_tombstoned_stream_takes_nothing"]);
    caught(Bug::TogetherWithoutTheTombstoned, &["one_tombstoned_stream_refuses_the_whole"]);
}
