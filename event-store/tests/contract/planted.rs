//! The suite judged: stores that break one promise each, and the rule that must notice.

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, IndexStream,
    Limits, Listed, MemoryStore, NewEvent, Position, ReadError, Recorded, RecordedEvent, Revision,
    StreamCheck, StreamId, StreamState, StreamWrite, Tailed, Transaction, Violation,
};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::suite::{self, LIMITS};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    ExpectationIgnored,
    StreamExistsIgnored,
    ExpectationCheckedBeforehand,
    ConflictAppends,
    RepeatConflicts,
    RepeatAppends,
    IdsOverStreams,
    BatchSplit,
    SizesUnchecked,
    MetadataLost,
    RevisionSkipped,
    ClockGoesBack,
    ForwardFromExclusive,
    BackwardFromExclusive,
    ReadFollows,
    ReadAllInclusive,
    BackwardAllInclusive,
    ContentTypeLost,
    KindsIgnored,
    CategoriesByPrefix,
    TailLosesAtTheHandover,
    TailRepeatsAtTheHandover,
    CaughtUpEarly,
    CaughtUpOnlyAfterEvents,
    StreamsOneByOne,
    ChecksIgnored,
    ChecksBeforeIds,
    FirstViolationTold,
    OrderIgnored,
    OrdinalsOfTheStream,
    IndexFromExclusive,
    IndexBackwardFromItsEnd,
    TypesByPrefix,
    IndexFollows,
}

#[derive(Clone)]
struct Planted {
    inner: MemoryStore,
    bug: Bug,
}

impl Planted {
    fn new(bug: Bug) -> Self {
        let most = Limits { event_bytes: 1 << 30, append_bytes: 1 << 30, append_events: 1 << 20 };
        let limits = if bug == Bug::SizesUnchecked { most } else { LIMITS };
        Self { inner: MemoryStore::new(limits), bug }
    }

    fn filter(&self, filter: Filter) -> Filter {
        match self.bug {
            Bug::KindsIgnored => Filter { kinds: Vec::new(), ..filter },
            Bug::CategoriesByPrefix => Filter { categories: Vec::new(), ..filter },
            _ => filter,
        }
    }

    fn let_through(&self, filter: &Filter, event: &Recorded) -> bool {
        let starts =
            |category: &std::sync::Arc<str>| event.stream.as_str().starts_with(&**category);
        self.bug != Bug::CategoriesByPrefix
            || filter.categories.is_empty()
            || filter.categories.iter().any(starts)
    }

    fn distort(&self, event: &RecordedEvent) -> Recorded {
        let mut event = event.clone();
        match self.bug {
            Bug::MetadataLost => event.metadata = "".into(),
            Bug::ContentTypeLost => event.is_json = true,
            Bug::RevisionSkipped if event.revision.0 > 0 => event.revision.0 += 1,
            Bug::ClockGoesBack => event.recorded_at -= event.position.0.cast_signed() * 1_000_000,
            _ => {}
        }
        event.into()
    }

    async fn last(&self, stream: &StreamId) -> Option<Revision> {
        let last = self.inner.read(stream, Revision::END, Direction::Backward).boxed().next().await;
        last.map(|event| event.unwrap().revision)
    }

    async fn append_wrongly(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        match (self.bug, expected) {
            (Bug::ExpectationIgnored, _) | (Bug::StreamExistsIgnored, Expected::StreamExists) => {
                self.inner.append(stream, Expected::Any, events).await
            }
            (Bug::ExpectationCheckedBeforehand, Expected::At(revision)) => {
                if self.last(stream).await != Some(revision) {
                    return self.inner.append(stream, expected, events).await;
                }
                tokio::task::yield_now().await;
                self.inner.append(stream, Expected::Any, events).await
            }
            (Bug::ConflictAppends, _) => {
                let result = self.inner.append(stream, expected, events.clone()).await;
                if let Err(AppendError::Conflict { .. }) = result {
                    self.inner.append(stream, Expected::Any, events).await?;
                }
                result
            }
            (Bug::RepeatConflicts, _) => {
                let before = self.inner.head().await.unwrap();
                let appended = self.inner.append(stream, expected, events).await?;
                if Some(appended.position) > before {
                    return Ok(appended);
                }
                let (stream, actual) = (stream.clone(), Some(appended.revision));
                Err(AppendError::Conflict { stream, expected, actual })
            }
            (Bug::RepeatAppends, _) => {
                let renewed =
                    events.into_iter().map(|event| NewEvent { id: Uuid::now_v7(), ..event });
                self.inner.append(stream, expected, renewed.collect()).await
            }
            (Bug::IdsOverStreams, _) => {
                let known = self.inner.read_all(None, Filter::all()).try_collect::<Vec<_>>().await;
                let reused = known.unwrap().into_iter().find(|event| event.id == events[0].id);
                match reused.filter(|event| event.stream != *stream) {
                    Some(event) => Err(AppendError::IdReused { id: event.id }),
                    None => self.inner.append(stream, expected, events).await,
                }
            }
            (Bug::BatchSplit, _) => {
                let mut appended = Err(AppendError::Unavailable { reason: "empty".into() });
                for event in events {
                    appended = Ok(self.inner.append(stream, Expected::Any, vec![event]).await?);
                    tokio::task::yield_now().await;
                }
                appended
            }
            _ => self.inner.append(stream, expected, events).await,
        }
    }

    fn tail_wrongly(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> BoxStream<'static, Result<Tailed, ReadError>> {
        let inner = self.inner.clone();
        let (live, live_filter) = (self.inner.clone(), filter.clone());
        let history = inner.read_all(after, filter.clone()).map_ok(Tailed::Event);
        let handover = |skip: bool| async move {
            let last = live.head().await.unwrap();
            tokio::task::yield_now().await;
            // The head as it is now, or from before the last event of the history.
            let from =
                if skip { last } else { last.and_then(|p| p.0.checked_sub(1)).map(Position) };
            live.tail(from, live_filter).boxed()
        };
        match self.bug {
            Bug::TailLosesAtTheHandover => {
                history.chain(stream::once(handover(true)).flatten()).boxed()
            }
            Bug::TailRepeatsAtTheHandover => {
                history.chain(stream::once(handover(false)).flatten()).boxed()
            }
            Bug::CaughtUpEarly => {
                let head = async move { inner.head().await.transpose() };
                let early = stream::once(head)
                    .filter_map(async |head| head.map(|head| head.map(Tailed::CaughtUp)));
                early.chain(self.inner.tail(after, filter)).boxed()
            }
            Bug::CaughtUpOnlyAfterEvents => {
                let mut any = false;
                let after_events = move |item: &Result<Tailed, ReadError>| {
                    let event = matches!(item, Ok(Tailed::Event(_)));
                    let keep = event || std::mem::take(&mut any);
                    any = event;
                    std::future::ready(keep)
                };
                self.inner.tail(after, filter).filter(after_events).boxed()
            }
            _ => self.inner.tail(after, filter).boxed(),
        }
    }
}

impl EventStore for Planted {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.append_wrongly(stream, expected, events).await
    }

    fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let (this, inner, name) = (self.clone(), self.inner.clone(), stream.clone());
        let skip = match (self.bug, direction) {
            (Bug::ForwardFromExclusive, Direction::Forward)
            | (Bug::BackwardFromExclusive, Direction::Backward) => 1,
            _ => 0,
        };
        let events = self.inner.read(stream, from, direction).skip(skip);
        let follows = self.bug == Bug::ReadFollows && direction == Direction::Forward;
        let (now, late) = if follows { (1, 1) } else { (usize::MAX, 0) };
        let later = stream::iter(0..late).then(move |_| {
            let next = Revision(from.0.saturating_add(1));
            std::future::ready(inner.read(&name, next, direction).boxed())
        });
        events.take(now).chain(later.flatten()).map_ok(move |event| this.distort(&event))
    }

    fn read_index(
        &self,
        index: &IndexStream,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Listed, ReadError>> + Send + 'static {
        let bug = self.bug;
        if let (Bug::TypesByPrefix, IndexStream::EventType(wanted)) = (bug, index) {
            let wanted = wanted.clone();
            let starts =
                move |event: &Recorded| std::future::ready(event.kind.starts_with(&*wanted));
            let listed = |(ordinal, event)| Listed { ordinal: Revision(ordinal), event };
            let events = self.inner.read_all(None, Filter::all()).try_filter(starts);
            let numbered = events.zip(stream::iter(0..));
            return numbered.map(move |(event, n)| Ok(listed((n, event?)))).boxed();
        }
        let from = match (bug, direction) {
            (Bug::IndexFromExclusive, _) => Revision(from.0.saturating_add(1)),
            (Bug::IndexBackwardFromItsEnd, Direction::Backward) => Revision::END,
            _ => from,
        };
        let (inner, name) = (self.inner.clone(), index.clone());
        let follows = bug == Bug::IndexFollows && direction == Direction::Forward;
        let (now, late) = if follows { (1, 1) } else { (usize::MAX, 0) };
        let later = stream::iter(0..late).then(move |_| {
            let next = Revision(from.0.saturating_add(1));
            std::future::ready(inner.read_index(&name, next, direction).boxed())
        });
        let listed = self.inner.read_index(index, from, direction).take(now).chain(later.flatten());
        let distort = move |listed: Listed| match bug {
            Bug::OrdinalsOfTheStream => Listed { ordinal: listed.event.revision, ..listed },
            _ => listed,
        };
        listed.map_ok(distort).boxed()
    }

    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let this = self.clone();
        let inclusive = self.bug == Bug::ReadAllInclusive;
        let after =
            if inclusive { after.and_then(|p| p.0.checked_sub(1)).map(Position) } else { after };
        let events = self.inner.read_all(after, self.filter(filter.clone()));
        events.map_ok(move |event| this.distort(&event)).try_filter({
            let this = self.clone();
            move |event| std::future::ready(this.let_through(&filter, event))
        })
    }

    fn read_all_backward(
        &self,
        before: Option<Position>,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let inclusive = self.bug == Bug::BackwardAllInclusive;
        let before = before.map(|position| Position(position.0 + u64::from(inclusive)));
        self.inner.read_all_backward(before)
    }

    fn tail(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static {
        let this = self.clone();
        self.tail_wrongly(after, self.filter(filter.clone())).try_filter(move |item| {
            let through = match item {
                Tailed::Event(event) => this.let_through(&filter, event),
                Tailed::CaughtUp(_) => true,
            };
            std::future::ready(through)
        })
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        self.inner.head().await
    }

    async fn delete(&self, stream: &StreamId, expected: Expected) -> Result<Appended, AppendError> {
        self.inner.delete(stream, expected).await
    }

    async fn tombstone(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> Result<Appended, AppendError> {
        self.inner.tombstone(stream, expected).await
    }
}

impl AtomicAppend for Planted {
    async fn commit(&self, transaction: Transaction) -> Result<Vec<Appended>, AppendError> {
        let (checks, writes) = (transaction.checks().to_vec(), transaction.writes().to_vec());
        match self.bug {
            Bug::ChecksIgnored => self.inner.commit(transaction.checked(Vec::new())).await,
            Bug::OrderIgnored => self.inner.commit(Transaction::from(writes).checked(checks)).await,
            Bug::ChecksBeforeIds => {
                for (check, StreamCheck { stream, expected }) in checks.iter().enumerate() {
                    let last = self.last(stream).await;
                    if !expected.holds(last, false) {
                        let actual = last.map_or(StreamState::NoStream, StreamState::At);
                        let violations = vec![Violation { check, actual }];
                        return Err(AppendError::Violated { violations });
                    }
                }
                self.inner.commit(transaction).await
            }
            Bug::FirstViolationTold => {
                let mut result = self.inner.commit(transaction).await;
                if let Err(AppendError::Violated { violations }) = &mut result {
                    violations.truncate(1);
                }
                result
            }
            Bug::StreamsOneByOne => {
                let mut appended = Vec::new();
                for StreamWrite { stream, expected, events } in writes {
                    appended.push(self.inner.append(&stream, expected, events).await?);
                }
                Ok(appended)
            }
            _ => self.inner.commit(transaction).await,
        }
    }
}

type Rule = Box<dyn Fn(Planted) -> BoxFuture<'static, ()>>;

/// The names of the rules that fail. Time is paused: what waits in vain times out at once.
fn failing(bug: Bug) -> Vec<&'static str> {
    let mut rules: Vec<(&str, Rule)> = suite::for_each_rule!(list_each!(Planted));
    rules.extend(suite::for_each_exact_rule!(list_each!(Planted)));
    rules.extend(suite::for_each_local_rule!(list_each!(Planted)));
    rules.extend(suite::for_each_atomic_rule!(list_each!(Planted)));
    let fails = |rule: &Rule| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async { tokio::spawn(rule(Planted::new(bug))).await.is_err() })
    };
    rules.iter().filter(|(_, rule)| fails(rule)).map(|(name, _)| *name).collect()
}

#[track_caller]
fn caught(bug: Bug, by: &str) {
    let failing = failing(bug);
    assert!(failing.contains(&by), "{bug:?} is not caught by {by} but by {failing:?}");
}

#[test]
fn a_store_without_a_bug_passes() {
    assert_eq!(failing(Bug::None), Vec::<&str>::new());
}

#[test]
fn wrong_expectations_are_caught() {
    caught(Bug::ExpectationIgnored, "no_stream_refuses_an_existing_stream");
    caught(Bug::ExpectationIgnored, "at_a_revision_holds_only_for_the_last_one");
    caught(Bug::StreamExistsIgnored, "stream_exists_refuses_a_new_stream");
    caught(Bug::ExpectationCheckedBeforehand, "one_of_many_concurrent_writers_wins");
    caught(Bug::ConflictAppends, "a_conflict_appends_nothing");
}

#[test]
fn wrong_repeats_are_caught() {
    caught(Bug::RepeatConflicts, "a_repeated_append_returns_the_first_result");
    caught(Bug::RepeatConflicts, "concurrent_repeats_append_once");
    caught(Bug::RepeatAppends, "partly_reused_ids_are_refused");
    caught(Bug::RepeatAppends, "an_event_is_stored_as_it_was_given");
    caught(Bug::IdsOverStreams, "an_id_of_another_stream_is_that_of_another_event");
}

#[test]
fn wrong_batches_are_caught() {
    caught(Bug::BatchSplit, "a_batch_is_all_or_nothing");
    caught(Bug::BatchSplit, "a_batch_is_contiguous");
    caught(Bug::SizesUnchecked, "empty_and_oversized_appends_are_refused");
    caught(Bug::StreamsOneByOne, "one_conflict_appends_nothing_to_any_stream");
    caught(Bug::OrderIgnored, "events_of_several_streams_come_in_their_order");
    caught(Bug::ChecksIgnored, "a_stream_that_is_not_written_to_can_be_checked");
    caught(Bug::ChecksBeforeIds, "a_repeat_is_one_whatever_is_checked");
    caught(Bug::FirstViolationTold, "all_checks_that_do_not_hold_are_told");
}

#[test]
fn wrong_records_are_caught() {
    caught(Bug::MetadataLost, "an_event_is_stored_as_it_was_given");
    caught(Bug::ContentTypeLost, "an_event_is_stored_as_it_was_given");
    caught(Bug::RevisionSkipped, "revisions_are_contiguous_under_concurrent_writers");
    caught(Bug::ClockGoesBack, "recorded_at_never_decreases");
}

#[test]
fn wrong_reads_are_caught() {
    caught(Bug::ForwardFromExclusive, "a_stream_reads_forward_from_a_revision");
    caught(Bug::BackwardFromExclusive, "a_stream_reads_backward_from_a_revision_and_from_the_end");
    caught(Bug::ReadFollows, "a_read_stands_still_while_events_come");
    caught(Bug::ReadAllInclusive, "read_all_is_every_stream_in_order");
    caught(Bug::BackwardAllInclusive, "all_events_read_backward_from_a_position_and_from_the_end");
    caught(Bug::KindsIgnored, "read_all_filters_by_category_and_kind");
    caught(Bug::CategoriesByPrefix, "read_all_filters_by_category_and_kind");
}

#[test]
fn wrong_indexes_are_caught() {
    caught(Bug::OrdinalsOfTheStream, "an_index_is_its_events_in_the_order_of_the_store");
    caught(Bug::OrdinalsOfTheStream, "a_long_index_reads_whole_both_ways");
    caught(Bug::IndexFromExclusive, "an_index_reads_both_ways_from_an_ordinal");
    caught(Bug::IndexBackwardFromItsEnd, "an_index_reads_both_ways_from_an_ordinal");
    caught(Bug::TypesByPrefix, "indexes_are_told_apart_from_each_other_and_from_streams");
    caught(Bug::IndexFollows, "an_index_read_stands_still_while_events_come");
}

#[test]
fn wrong_tails_are_caught() {
    caught(
        Bug::TailLosesAtTheHandover,
        "a_tail_neither_loses_nor_repeats_under_concurrent_writers",
    );
    caught(Bug::TailRepeatsAtTheHandover, "a_tail_goes_from_history_to_live");
    caught(Bug::CaughtUpEarly, "caught_up_follows_every_matching_event");
    caught(Bug::CaughtUpOnlyAfterEvents, "a_tail_at_the_head_is_caught_up_at_once");
    caught(Bug::KindsIgnored, "a_tail_filters_by_kind");
}
