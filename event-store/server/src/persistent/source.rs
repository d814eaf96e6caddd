//! What a group reads: the events that are there, then those that come.

use std::future;
use std::sync::Arc;

use daybook_event_store::{EventStore, Filter, Position, Revision, Store, Tailed};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::Status;

use super::config::Source;
use super::journal::is_own;
use crate::errors;
use crate::streams::{EventFilter, Followed, Resolved, Streamed, last, resolved, stream_from};

/// What is found on the way. Places increase.
#[derive(Debug)]
pub(crate) enum Found {
    /// An event, and its place.
    Event(u64, Arc<Resolved>),
    /// Up to here there was nothing of interest.
    Nothing(u64),
    /// Everything that is there was found.
    Live,
}

/// Finds events; ends only with an error.
pub(crate) type Findings = BoxStream<'static, Result<Found, Status>>;

/// Follows a source after a place.
pub(crate) fn follow(
    store: &Store,
    source: &Source,
    filter: Option<Arc<EventFilter>>,
    after: Option<u64>,
    resolve: bool,
) -> Findings {
    let store = store.clone();
    match source {
        Source::All => follow_all(store, filter, after.map(Position), resolve),
        Source::Stream(stream) => follow_stream(store, stream.clone(), after, resolve),
    }
}

/// The place of the last event that is there.
pub(crate) async fn last_place(store: &Store, source: &Source) -> Result<Option<u64>, Status> {
    match source {
        Source::All => {
            let head = store.head().await.map_err(|error| errors::unread(&error))?;
            Ok(head.map(|position| position.0))
        }
        Source::Stream(stream) => Ok(last(store, stream).await?.map(|revision| revision.0)),
    }
}

fn follow_stream(store: Store, stream: Streamed, after: Option<u64>, resolve: bool) -> Findings {
    let is_index = matches!(stream, Streamed::Index(_));
    let next = Revision(after.map_or(0, |after| after.saturating_add(1)));
    let found = move |followed| match followed {
        Followed::Item(_, found) if is_index && is_of_a_group(&found) => None,
        Followed::Item(Revision(at), found) => Some(Found::Event(at, found.into())),
        Followed::CaughtUp(_) => Some(Found::Live),
    };
    stream_from(store, stream, next, resolve)
        .try_filter_map(move |followed| future::ready(Ok(found(followed))))
        .boxed()
}

/// Groups' own events are none of any group's business, unless it is about a stream of them: a
/// checkpoint would be cause for the next.
fn is_of_a_group(found: &Resolved) -> bool {
    found.item().is_some_and(|item| is_own(&item.event.stream))
}

fn follow_all(
    store: Store,
    filter: Option<Arc<EventFilter>>,
    after: Option<Position>,
    resolve: bool,
) -> Findings {
    let follow = async_stream::try_stream! {
        // Events that were passed over since the last that was told of.
        let (mut passed, mut last) = (0, None);
        for await item in store.tail(after, Filter::all()) {
            match item.map_err(|error| errors::unread(&error))? {
                Tailed::Event(event) if is_own(&event.stream) => {}
                Tailed::Event(event) => {
                    // Nothing may match for long, and others want to be served, too.
                    tokio::task::consume_budget().await;
                    let at = event.position.0;
                    let wanted = match &filter {
                        Some(filter) => filter.matches(&event)?,
                        None => true,
                    };
                    if wanted {
                        (passed, last) = (0, None);
                        let found = resolved(&store, event, resolve).await?;
                        yield Found::Event(at, Arc::new(found));
                        continue;
                    }
                    passed += 1;
                    last = Some(at);
                    if filter.as_ref().is_some_and(|filter| passed >= filter.interval) {
                        passed = 0;
                        yield Found::Nothing(at);
                        last = None;
                    }
                }
                Tailed::CaughtUp(_) => {
                    if let Some(at) = last.take() {
                        passed = 0;
                        yield Found::Nothing(at);
                    }
                    yield Found::Live;
                }
            }
        }
        Err(errors::stopping())?;
    };
    follow.boxed()
}
