use daybook_event_store::{
    Direction, EventStore, Filter, Position, ReadError, Revision, Store, Tailed,
};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::Messages;
use super::links::Resolved;
use super::read::{begun, items, last, resolved};
use super::request::{From, ReadRequest, Source, Streamed};
use super::respond;
use crate::errors;
use crate::protocol::IdForm;
use crate::protocol::streams::ReadResp;

/// Delivers what is there, and then what comes, until the client or the server leaves. The client
/// sets the pace: whoever is slow reads later, from the store.
pub(crate) async fn follow(
    store: &Store,
    request: ReadRequest,
    stop: &CancellationToken,
) -> Result<Messages<ReadResp>, Status> {
    let messages = match request.of.clone() {
        Source::All(from) => follow_all(store.clone(), from, request).boxed(),
        Source::Stream(stream, from) => {
            follow_stream(store.clone(), stream, from, (request.resolve, request.ids)).boxed()
        }
    };
    let messages = messages.take_until(stop.clone().cancelled_owned());
    begun(messages.chain(stream::iter([Err(errors::stopping())])).boxed()).await
}

fn follow_all(
    store: Store,
    from: From<Position>,
    request: ReadRequest,
) -> impl Stream<Item = Result<ReadResp, Status>> + Send + 'static {
    let ReadRequest { resolve, filter, ids, .. } = request;
    async_stream::try_stream! {
        let head = store.head().await.map_err(|error| errors::unread(&error))?;
        let after = match from {
            From::Start => None,
            From::At(position) => Some(position),
            From::End => head,
        };
        yield respond::confirmation();
        let mut behind = head.is_some();
        if !behind {
            yield respond::caught_up(None, None);
        }
        // Events that were looked at since the last checkpoint.
        let mut passed = 0;
        for await item in store.tail(after, Filter::all()) {
            match item.map_err(|error| errors::unread(&error))? {
                Tailed::Event(event) => {
                    // Nothing may match for long, and others want to be served, too.
                    tokio::task::consume_budget().await;
                    let position = event.position;
                    passed += 1;
                    let wanted = match &filter {
                        Some(filter) => filter.matches(&event)?,
                        None => true,
                    };
                    if wanted {
                        yield respond::event(resolved(&store, event, resolve).await?, ids);
                    }
                    if filter.as_ref().is_some_and(|filter| passed >= filter.interval) {
                        passed = 0;
                        yield respond::checkpoint(position);
                    }
                }
                Tailed::CaughtUp(position) if behind => {
                    behind = false;
                    if filter.is_some() && passed > 0 {
                        passed = 0;
                        yield respond::checkpoint(position);
                    }
                    yield respond::caught_up(None, Some(position));
                }
                Tailed::CaughtUp(_) => {}
            }
        }
    }
}

fn follow_stream(
    store: Store,
    stream: Streamed,
    from: From<Revision>,
    (resolve, ids): (bool, IdForm),
) -> impl Stream<Item = Result<ReadResp, Status>> + Send + 'static {
    async_stream::try_stream! {
        let last = last(&store, &stream).await?;
        let next = match from {
            From::Start => Revision::START,
            From::At(revision) => after(revision),
            From::End => last.map_or(Revision::START, after),
        };
        yield respond::confirmation();
        let mut behind = true;
        for await followed in stream_from(store, stream, next, resolve) {
            match followed? {
                Followed::Item(_, resolved) => yield respond::event(*resolved, ids),
                Followed::CaughtUp(next) if std::mem::take(&mut behind) => {
                    yield respond::caught_up(next.0.checked_sub(1).map(Revision), None);
                }
                Followed::CaughtUp(_) => {}
            }
        }
    }
}

fn after(revision: Revision) -> Revision {
    Revision(revision.0.saturating_add(1))
}

/// What following a stream comes upon.
#[derive(Debug)]
pub(crate) enum Followed {
    /// An event, and its revision in the stream.
    Item(Revision, Box<Resolved>),
    /// Everything that is there, up to this revision (exclusive).
    CaughtUp(Revision),
}

/// Follows a stream from a revision on (inclusive); ends only with an error.
pub(crate) fn stream_from(
    store: Store,
    stream: Streamed,
    mut next: Revision,
    resolve: bool,
) -> impl Stream<Item = Result<Followed, Status>> + Send + 'static {
    async_stream::try_stream! {
        let head = store.head().await.map_err(|error| errors::unread(&error))?;
        // What comes from now on is told of here; the stream itself is read again then, so that
        // its bounds are honoured and its numbers exact.
        let mut news = store.tail(head, stream.filter()).boxed();
        let mut delivered = head;
        loop {
            let mut items = items(&store, &stream, next, Direction::Forward, resolve);
            while let Some((revision, resolved)) = items.try_next().await? {
                next = after(revision);
                delivered = delivered.max(resolved.position());
                yield Followed::Item(revision, Box::new(resolved));
            }
            yield Followed::CaughtUp(next);
            news_of(&mut news, &stream, delivered).await?;
        }
    }
}

/// Waits for an event of a stream after a position.
async fn news_of(
    news: &mut BoxStream<'static, Result<Tailed, ReadError>>,
    stream: &Streamed,
    after: Option<Position>,
) -> Result<(), Status> {
    while let Some(item) = news.try_next().await.map_err(|error| errors::unread(&error))? {
        match item {
            Tailed::Event(event) if stream.has(&event) && Some(event.position) > after => {
                return Ok(());
            }
            Tailed::Event(_) | Tailed::CaughtUp(_) => tokio::task::consume_budget().await,
        }
    }
    Err(errors::stopping())
}
