//! Reads, a page at a time: a page is taken whole, so that a slow reader keeps nothing of the
//! connection that appends need, too.

use std::sync::Arc;

use eventstore::{
    Client, Error, ReadAllOptions, ReadEvent, ReadStream, ReadStreamOptions, ResolvedEvent,
    StreamPosition, SubscriptionFilter,
};
use futures::{Stream, StreamExt, TryStreamExt, future, stream};

use super::connection::Connection;
use super::failure::Failure;
use super::wire;
use crate::{
    Direction, Filter, IndexStream, Listed, Position, ReadError, Recorded, Revision, StreamId,
};

/// The most events of a page …
const EVENTS: usize = 1_000;
/// … and about the most bytes of their payloads.
const BYTES: usize = 4 << 20;

/// Some events in a row.
struct Page {
    events: Vec<ResolvedEvent>,
    /// The stream's last revision when the page was read, where the server tells.
    last: Option<u64>,
    /// Whether nothing comes after them.
    ended: bool,
}

impl Page {
    const NONE: Self = Self { events: Vec::new(), last: None, ended: true };

    /// What the server delivers, which was asked for a page at most; nothing of a stream that is
    /// not there.
    ///
    /// The answer is read to its end even where it can bring no more. Whoever leaves a call just
    /// before its last bytes come in has to refuse them, and after a thousand such refusals the
    /// client's HTTP/2 takes the server for an attacker and breaks the connection.
    async fn read(mut read: ReadStream) -> Result<Self, Error> {
        let (mut page, mut count, mut bytes) = (Self { ended: false, ..Self::NONE }, 0, 0);
        while bytes < BYTES {
            let next = match read.next_read_event().await {
                Err(Error::ResourceNotFound) => {
                    while read.next_read_event().await?.is_some() {}
                    return Ok(Self::NONE);
                }
                next => next?,
            };
            match next {
                Some(ReadEvent::Event(event)) => {
                    count += 1;
                    if let Some(read) = event.event.as_ref().or(event.link.as_ref()) {
                        bytes += read.data.len() + read.custom_metadata.len();
                        page.events.push(event);
                    }
                }
                Some(ReadEvent::LastStreamPosition(last)) => page.last = Some(last),
                Some(_) => {}
                None => {
                    page.ended = count < EVENTS;
                    break;
                }
            }
        }
        Ok(page)
    }

    /// The events themselves, and whether these are the last.
    fn recorded(self) -> Result<(Vec<Recorded>, bool), Failure> {
        let events = self.events.into_iter().filter_map(|event| event.event);
        Ok((events.map(wire::recorded).collect::<Result<_, _>>()?, self.ended))
    }
}

/// The events of a stream.
pub(super) fn stream(
    connection: Arc<Connection>,
    stream: StreamId,
    from: Revision,
    direction: Direction,
) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
    // What an index stream has is told by `index` alone.
    let is_index = stream.as_str().parse::<IndexStream>().is_ok();
    let events = numbered(connection, stream.to_string(), from, direction, false);
    let unread = move |failure: Failure| failure.unread(Some(&stream));
    events
        .take_while(move |_| future::ready(!is_index))
        .try_filter_map(|event| future::ready(event.event.map(wire::recorded).transpose()))
        .map_err(unread)
}

/// The events of an index stream, by its links. On a cluster, the projections `$by_category` and
/// `$by_event_type` keep it.
pub(super) fn index(
    connection: Arc<Connection>,
    index: &IndexStream,
    from: Revision,
    direction: Direction,
) -> impl Stream<Item = Result<Listed, ReadError>> + Send + 'static {
    let listed = |event: ResolvedEvent| {
        let (Some(link), Some(event)) = (event.link, event.event) else { return Ok(None) };
        let (ordinal, event) = (Revision(link.revision), wire::recorded(event)?);
        Ok(Some(Listed { ordinal, event }))
    };
    numbered(connection, index.to_string(), from, direction, true)
        .try_filter_map(move |event| future::ready(listed(event)))
        .map_err(|failure: Failure| failure.unread(None))
}

/// What stands in a stream of any kind, whose end is looked up first.
pub(super) fn numbered(
    connection: Arc<Connection>,
    name: String,
    from: Revision,
    direction: Direction,
    resolve: bool,
) -> impl Stream<Item = Result<ResolvedEvent, Failure>> + Send + 'static {
    paged((from, None), move |(from, bound): (Revision, Option<u64>)| {
        let (connection, name) = (Arc::clone(&connection), name.clone());
        async move {
            let options = stream_options(from, direction, resolve);
            let read = |client| read_stream(client, name.clone(), options.clone());
            let mut page = connection.repeat(read).await?;
            let bound = bound.or(page.last);
            let number = |event: &ResolvedEvent| event.get_original_event().revision;
            let in_bound =
                |n| direction == Direction::Backward || bound.is_none_or(|most| n <= most);
            let whole = page.events.len();
            page.events.retain(|event| in_bound(number(event)));
            let last = page.events.last().map(number);
            let next = match direction {
                Direction::Forward => last.and_then(|n| n.checked_add(1)).filter(|n| in_bound(*n)),
                Direction::Backward => last.and_then(|n| n.checked_sub(1)),
            };
            let more = !page.ended && page.events.len() == whole;
            Ok((page.events, next.filter(|_| more).map(|n| (Revision(n), bound))))
        }
    })
}

fn stream_options(from: Revision, direction: Direction, resolve: bool) -> ReadStreamOptions {
    let options = ReadStreamOptions::default().max_count(EVENTS);
    let options = options.position(wire::stream_position(from, direction));
    let options = if resolve { options.resolve_link_tos() } else { options };
    match direction {
        Direction::Forward => options.forwards(),
        Direction::Backward => options.backwards(),
    }
}

async fn read_stream(
    client: Client,
    name: String,
    options: ReadStreamOptions,
) -> Result<Page, Error> {
    let page = async { Page::read(client.read_stream(name, &options).await?).await };
    match page.await {
        Err(Error::ResourceNotFound) => Ok(Page::NONE),
        page => page,
    }
}

/// All events after a position, up to where the head is now.
pub(super) fn all(
    connection: Arc<Connection>,
    after: Option<Position>,
    filter: Filter,
) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
    let asked = server_filter(&filter);
    let events = paged((after, None), move |(after, head)| {
        let (connection, asked) = (Arc::clone(&connection), asked.clone());
        async move {
            let head = match head {
                Some(head) => head,
                None => match last(&connection).await? {
                    Some(head) if Some(head) > after => head,
                    _ => return Ok((Vec::new(), None)),
                },
            };
            let options = ReadAllOptions::default().position(match after {
                Some(_) => wire::all_position(after),
                None => StreamPosition::Start,
            });
            let options = options.forwards().max_count(EVENTS);
            let page = match asked {
                Some(filter) => {
                    connection
                        .search(|client| read_all(client, options.clone().filter(filter.clone())))
                        .await?
                }
                None => connection.repeat(|client| read_all(client, options.clone())).await?,
            };
            let (events, ended) = page.recorded()?;
            let next = events.last().map(|event| event.position).filter(|at| !ended && *at < head);
            // A read forward begins with the event of its position itself.
            let wanted = |at: &Position| Some(*at) > after && *at <= head;
            let events = events.into_iter().filter(|event| wanted(&event.position)).collect();
            Ok((events, next.map(|at| (Some(at), Some(head)))))
        }
    });
    let matches = move |event: &Recorded| filter.matches(event.stream.as_str(), &event.kind);
    events
        .try_filter(move |event| future::ready(matches(event)))
        .map_err(|failure: Failure| failure.unread(None))
}

/// All events before a position, newest first.
pub(super) fn all_backward(
    connection: Arc<Connection>,
    before: Option<Position>,
) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
    let events = paged(before, move |before| {
        let connection = Arc::clone(&connection);
        async move {
            let options = ReadAllOptions::default().position(wire::all_position(before));
            let options = options.backwards().max_count(EVENTS);
            let (events, ended) = page_of_all(&connection, options).await?;
            let next = events.last().map(|event| event.position).filter(|_| !ended);
            Ok((events, next.map(Some)))
        }
    });
    events.map_err(|failure: Failure| failure.unread(None))
}

/// The position of the last event.
pub(super) async fn head(connection: &Connection) -> Result<Option<Position>, ReadError> {
    last(connection).await.map_err(|failure| failure.unread(None))
}

pub(super) async fn last(connection: &Connection) -> Result<Option<Position>, Failure> {
    let options = ReadAllOptions::default().position(StreamPosition::End).max_count(1);
    let (events, _) = page_of_all(connection, options).await?;
    Ok(events.first().map(|event| event.position))
}

/// The event at a position.
pub(super) async fn at(
    connection: &Connection,
    position: Position,
) -> Result<Option<Recorded>, Failure> {
    let options = ReadAllOptions::default().position(wire::all_position(Some(position)));
    let (events, _) = page_of_all(connection, options.forwards().max_count(1)).await?;
    Ok(events.into_iter().find(|event| event.position == position))
}

/// Some of all events, and whether these are the last.
async fn page_of_all(
    connection: &Connection,
    options: ReadAllOptions,
) -> Result<(Vec<Recorded>, bool), Failure> {
    connection.repeat(|client| read_all(client, options.clone())).await?.recorded()
}

async fn read_all(client: Client, options: ReadAllOptions) -> Result<Page, Error> {
    Page::read(client.read_all(&options).await?).await
}

/// What the server can leave out: it knows the beginnings of streams' names or of types, and not
/// both at once. `None` where it would have to know more.
pub(super) fn server_filter(filter: &Filter) -> Option<SubscriptionFilter> {
    // Streams without a hyphen are of the category "".
    let named = filter.categories.iter().all(|category| !category.is_empty());
    if !filter.categories.is_empty() && named {
        let streams = SubscriptionFilter::on_stream_name();
        let add = |to: SubscriptionFilter, of: &Arc<str>| to.add_prefix(format!("{of}-"));
        return Some(filter.categories.iter().fold(streams, add));
    }
    let types = SubscriptionFilter::on_event_type();
    let add = |to: SubscriptionFilter, kind: &Arc<str>| to.add_prefix(kind);
    (!filter.kinds.is_empty()).then(|| filter.kinds.iter().fold(types, add))
}

/// Pages one after another, each from where the one before says.
fn paged<C, T, F>(
    first: C,
    page: impl FnMut(C) -> F + Send + 'static,
) -> impl Stream<Item = Result<T, Failure>> + Send + 'static
where
    C: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<(Vec<T>, Option<C>), Failure>> + Send,
{
    let pages = stream::try_unfold((Some(first), page), |(from, mut page)| async move {
        let Some(from) = from else { return Ok::<_, Failure>(None) };
        let next = page(from);
        let (items, from) = next.await?;
        Ok(Some((stream::iter(items.into_iter().map(Ok)), (from, page))))
    });
    pages.try_flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_leaves_out_what_it_can() {
        let said = |filter: &Filter| server_filter(filter).map(|asked| format!("{asked:?}"));
        let categories = Filter::categories(&["order", "stock"]);
        let both = Filter { kinds: Filter::kinds(&["Placed"]).kinds, ..categories.clone() };
        assert!(said(&categories).unwrap().contains(r#"["order-", "stock-"]"#));
        assert_eq!(said(&both), said(&categories));
        assert!(said(&Filter::kinds(&["Placed"])).unwrap().contains(r#"["Placed"]"#));
        assert_eq!(said(&Filter::all()), None);
        assert_eq!(said(&Filter::categories(&["", "order"])), None);
    }
}
