use std::sync::Arc;

use daybook_event_store::{
    Direction, EventStore, Filter, Listed, Position, ReadError, Recorded, Revision, Store,
};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use tonic::Status;

use super::Messages;
use super::links::Resolved;
use super::request::{From, ReadRequest, Source, Streamed};
use super::respond;
use crate::errors;
use crate::protocol::streams::ReadResp;
use crate::protocol::streams::read_resp::Content;

/// Reads what is there now.
pub(crate) async fn read(
    store: &Store,
    request: ReadRequest,
) -> Result<Messages<ReadResp>, Status> {
    match request.of.clone() {
        Source::All(from) => begun(read_all(store, from, request).boxed()).await,
        Source::Stream(stream, from) => read_stream(store, stream, from, request).await,
    }
}

/// The messages, once there is a first: what fails before is the answer to the call.
pub(crate) async fn begun(mut messages: Messages<ReadResp>) -> Result<Messages<ReadResp>, Status> {
    match messages.next().await {
        Some(first) => Ok(stream::iter([Ok(first?)]).chain(messages).boxed()),
        None => Ok(messages),
    }
}

fn read_all(
    store: &Store,
    from: From<Position>,
    request: ReadRequest,
) -> impl Stream<Item = Result<ReadResp, Status>> + Send + 'static {
    let ReadRequest { direction, resolve, count, filter, ids, .. } = request;
    let events = all(store, from, direction);
    let store = store.clone();
    async_stream::try_stream! {
        let mut left = count;
        for await event in events {
            if left == 0 {
                break;
            }
            // Nothing may match for long, and others want to be served, too.
            tokio::task::consume_budget().await;
            let event = event.map_err(|error| errors::unread(&error))?;
            if let Some(filter) = &filter && !filter.matches(&event)? {
                continue;
            }
            left -= 1;
            yield respond::event(resolved(&store, event, resolve).await?, ids);
        }
    }
}

/// All events from a position on: it is itself read forward, and not read backward.
fn all(
    store: &Store,
    from: From<Position>,
    direction: Direction,
) -> BoxStream<'static, Result<Recorded, ReadError>> {
    match (direction, from) {
        (Direction::Forward, From::Start) => store.read_all(None, Filter::all()).boxed(),
        (Direction::Forward, From::At(Position(at))) => {
            store.read_all(at.checked_sub(1).map(Position), Filter::all()).boxed()
        }
        (Direction::Backward, From::At(before)) => store.read_all_backward(Some(before)).boxed(),
        (Direction::Backward, From::End) => store.read_all_backward(None).boxed(),
        (Direction::Forward, From::End) | (Direction::Backward, From::Start) => {
            stream::empty().boxed()
        }
    }
}

pub(crate) async fn resolved(
    store: &Store,
    event: Recorded,
    resolve: bool,
) -> Result<Resolved, Status> {
    if resolve {
        return Resolved::of(store, event).await.map_err(|error| errors::unread(&error));
    }
    Ok(Resolved::plain(event))
}

async fn read_stream(
    store: &Store,
    stream: Streamed,
    from: From<Revision>,
    request: ReadRequest,
) -> Result<Messages<ReadResp>, Status> {
    let ReadRequest { direction, resolve, count, ids, tells_bounds, .. } = request;
    let Some(last) = last(store, &stream).await? else {
        let not_found = respond::not_found(&stream.to_string());
        return Ok(stream::iter([Ok(not_found)]).boxed());
    };
    let from = match from {
        From::At(revision) => revision,
        From::Start => Revision::START,
        From::End => Revision::END,
    };
    let bounds = if tells_bounds { bounds(store, &stream, last).await? } else { vec![] };
    let events = items(store, &stream, from, direction, resolve);
    let events = events.take(usize::try_from(count).unwrap_or(usize::MAX));
    let events = events.map_ok(move |(_, resolved)| respond::event(resolved, ids));
    Ok(stream::iter(bounds.into_iter().map(Ok)).chain(events).boxed())
}

/// What a client may be told of a stream's ends.
async fn bounds(store: &Store, stream: &Streamed, last: Revision) -> Result<Vec<ReadResp>, Status> {
    let mut items = items(store, stream, Revision::START, Direction::Forward, false);
    let first = items.try_next().await?.map(|(first, _)| Content::FirstStreamPosition(first.0));
    let bounds = first.into_iter().chain([Content::LastStreamPosition(last.0)]);
    Ok(bounds.map(respond::message).collect())
}

/// The revision of the last event that can be read; `None` where there is none.
pub(crate) async fn last(store: &Store, stream: &Streamed) -> Result<Option<Revision>, Status> {
    let mut items = items(store, stream, Revision::END, Direction::Backward, false);
    Ok(items.try_next().await?.map(|(last, _)| last))
}

/// The events of a stream from a revision on (inclusive), with their revisions in it.
pub(crate) fn items(
    store: &Store,
    stream: &Streamed,
    from: Revision,
    direction: Direction,
    resolve: bool,
) -> BoxStream<'static, Result<(Revision, Resolved), Status>> {
    match stream {
        Streamed::Ordinary(stream) => {
            let events = store.read(stream, from, direction);
            let events = events.map_err(|error| errors::unread(&error));
            if !resolve {
                return events.map_ok(|event| (event.revision, Resolved::plain(event))).boxed();
            }
            let store = store.clone();
            let resolved = move |event: Recorded| {
                let store = store.clone();
                async move { Ok((event.revision, resolved(&store, event, true).await?)) }
            };
            events.and_then(resolved).boxed()
        }
        Streamed::Index(index) => {
            let name = Arc::from(index.to_string());
            let events = store.read_index(index, from, direction);
            let resolved =
                move |listed: Listed| (listed.ordinal, Resolved::listed(&name, listed, resolve));
            events.map_err(|error| errors::unread(&error)).map_ok(resolved).boxed()
        }
    }
}

#[cfg(test)]
mod tests {
    use daybook_event_store::{Expected, NewEvent};
    use futures::{pin_mut, poll};
    use uuid::Uuid;

    use super::*;
    use crate::protocol::IdForm;
    use crate::streams::filter::EventFilter;

    #[tokio::test]
    async fn others_are_served_while_nothing_matches() {
        let store = Store::memory();
        let event = |n| NewEvent {
            id: Uuid::from_u128(n),
            kind: "Common".into(),
            data: "".into(),
            metadata: "".into(),
            is_json: false,
        };
        let stream = "order-1".parse().unwrap();
        store.append(&stream, Expected::Any, (1..=1_000).map(event).collect()).await.unwrap();
        let request = ReadRequest {
            of: Source::All(From::Start),
            direction: Direction::Forward,
            resolve: false,
            follow: false,
            count: u64::MAX,
            filter: Some(EventFilter::types("Rare")),
            ids: IdForm::Text,
            tells_bounds: false,
        };
        let messages = read_all(&store, From::Start, request);
        pin_mut!(messages);
        assert!(poll!(messages.next()).is_pending(), "the whole store was looked at in one go");
        assert!(messages.next().await.is_none());
    }
}
