//! Reads, a page at a time: a page is taken whole, so that a slow reader keeps nothing of the
//! connection that appends need, too. A long read has the next page by it, and no more.

use std::sync::Arc;

use async_stream::try_stream;
use eventstore::{
    Client, Error, ReadAllOptions, ReadEvent, ReadStream, ReadStreamOptions, ResolvedEvent,
    StreamPosition, SubscriptionFilter,
};
use futures::{Stream, StreamExt, TryStreamExt, future};
use tokio::task::{JoinError, JoinHandle};

use super::connection::Connection;
use super::failure::Failure;
use super::wire::{self, Names};
use crate::{
    Direction, Filter, IndexStream, Listed, Position, ReadError, Recorded, RecordedEvent, Revision,
    StreamId,
};

/// The most events of a page …
const EVENTS: usize = 1_000;
/// … and about the most bytes of their payloads.
const BYTES: usize = 4 << 20;

/// The most events of a list: whoever keeps one of them keeps all.
const LIST: usize = 64;

/// Some events in a row.
struct Page {
    /// Those that there are as events of the store, or what is wrong with one of them.
    events: Result<Vec<Found>, Failure>,
    /// How many the server told of.
    count: usize,
    /// The stream's last revision when the page was read, where the server tells.
    last: Option<u64>,
    /// Whether nothing comes after them.
    ended: bool,
}

/// What stands at a place of a stream.
struct Found {
    /// Its number there.
    number: u64,
    /// None where a link leads nowhere, or was wanted and is none.
    event: Option<RecordedEvent>,
}

impl Page {
    const NONE: Self = Self { events: Ok(Vec::new()), count: 0, last: None, ended: true };

    /// What the server delivers, which was asked for a page at most; nothing of a stream that is
    /// not there. Events are made the store's own as they come: what the client makes of them is
    /// large.
    ///
    /// The answer is read to its end even where it can bring no more. Whoever leaves a call just
    /// before its last bytes come in has to refuse them, and after a thousand such refusals the
    /// client's HTTP/2 takes the server for an attacker and breaks the connection.
    async fn read(mut read: ReadStream, links: bool) -> Result<Self, Error> {
        let (mut page, mut bytes) = (Self { ended: false, ..Self::NONE }, 0);
        let mut names = Names::default();
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
                    page.count += 1;
                    bytes += page.take(event, links, &mut names);
                }
                Some(ReadEvent::LastStreamPosition(last)) => page.last = Some(last),
                Some(_) => {}
                None => {
                    page.ended = page.count < EVENTS;
                    break;
                }
            }
        }
        Ok(page)
    }

    /// Takes an event in; the bytes of its payloads.
    fn take(&mut self, event: ResolvedEvent, links: bool, names: &mut Names) -> usize {
        let ResolvedEvent { event, link, .. } = event;
        let Some(read) = event.as_ref().or(link.as_ref()) else { return 0 };
        let bytes = read.data.len() + read.custom_metadata.len();
        let number = link.as_ref().unwrap_or(read).revision;
        let wanted = event.filter(|_| link.is_some() || !links);
        let found = wanted.map(|event| wire::recorded(event, names)).transpose();
        match (&mut self.events, found) {
            (Ok(events), Ok(event)) => events.push(Found { number, event }),
            (events @ Ok(_), Err(failure)) => *events = Err(failure),
            (Err(_), _) => {}
        }
        bytes
    }

    /// The events themselves, and whether these are the last.
    fn recorded(self) -> Result<(Vec<Recorded>, bool), Failure> {
        let events = listed(self.events?).into_iter().map(|listed| listed.event);
        Ok((events.collect(), self.ended))
    }
}

/// Events as they are handed out: of those in a row, some share a list.
fn listed(found: Vec<Found>) -> Vec<Listed> {
    let mut listed = Vec::with_capacity(found.len());
    let mut found = found.into_iter().filter_map(|Found { number, event }| Some((number, event?)));
    loop {
        let (numbers, events): (Vec<_>, Vec<_>) = found.by_ref().take(LIST).unzip();
        if events.is_empty() {
            return listed;
        }
        let events: Arc<[_]> = events.into();
        let place = |(at, number)| {
            Some(Listed { ordinal: Revision(number), event: Recorded::of(&events, at)? })
        };
        listed.extend(numbers.into_iter().enumerate().filter_map(place));
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
        .map_ok(|listed| listed.event)
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
    numbered(connection, index.to_string(), from, direction, true)
        .map_err(|failure: Failure| failure.unread(None))
}

/// The events of a stream of any kind, with their numbers in it; of links, the events that they
/// lead to. The stream's end is looked up first.
pub(super) fn numbered(
    connection: Arc<Connection>,
    name: String,
    from: Revision,
    direction: Direction,
    links: bool,
) -> impl Stream<Item = Result<Listed, Failure>> + Send + 'static {
    paged((from, None), move |(from, bound): (Revision, Option<u64>)| {
        let (connection, name) = (Arc::clone(&connection), name.clone());
        async move {
            let options = stream_options(from, direction, links);
            let read = |client| read_stream(client, name.clone(), options.clone(), links);
            let page = connection.repeat(read).await?;
            let (bound, mut found) = (bound.or(page.last), page.events?);
            let in_bound =
                |n| direction == Direction::Backward || bound.is_none_or(|most| n <= most);
            let whole = found.len();
            found.retain(|found| in_bound(found.number));
            let last = found.last().map(|found| found.number);
            let next = match direction {
                Direction::Forward => last.and_then(|n| n.checked_add(1)).filter(|n| in_bound(*n)),
                Direction::Backward => last.and_then(|n| n.checked_sub(1)),
            };
            let more = !page.ended && found.len() == whole;
            Ok((listed(found), next.filter(|_| more).map(|n| (Revision(n), bound))))
        }
    })
}

fn stream_options(from: Revision, direction: Direction, links: bool) -> ReadStreamOptions {
    let options = ReadStreamOptions::default().max_count(EVENTS);
    let options = options.position(wire::stream_position(from, direction));
    let options = if links { options.resolve_link_tos() } else { options };
    match direction {
        Direction::Forward => options.forwards(),
        Direction::Backward => options.backwards(),
    }
}

async fn read_stream(
    client: Client,
    name: String,
    options: ReadStreamOptions,
    links: bool,
) -> Result<Page, Error> {
    let page = async { Page::read(client.read_stream(name, &options).await?, links).await };
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
    Page::read(client.read_all(&options).await?, false).await
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

/// Pages one after another, each from where the one before says. Whoever wants a second page is
/// taken to want the third as well: from then on the next page is read while one is handed out.
/// It is read to its end even where nobody waits for it any more.
fn paged<C, T, F>(
    first: C,
    mut page: impl FnMut(C) -> F + Send + 'static,
) -> impl Stream<Item = Result<T, Failure>> + Send + 'static
where
    C: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<(Vec<T>, Option<C>), Failure>> + Send + 'static,
{
    try_stream! {
        let (mut items, mut next) = page(first).await?;
        let mut ahead: Option<JoinHandle<_>> = None;
        loop {
            for item in items {
                yield item;
            }
            (items, next) = match (ahead.take(), next) {
                (Some(read), _) => read.await.unwrap_or_else(|error| Err(unread(&error)))?,
                (None, Some(from)) => page(from).await?,
                (None, None) => break,
            };
            ahead = next.take().map(|from| tokio::spawn(page(from)));
        }
    }
}

/// A page was not read to its end: its task panicked, or the runtime ends.
fn unread(error: &JoinError) -> Failure {
    Failure::Refused(format!("a page was not read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn from_the_second_page_on_one_is_read_ahead() {
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let page = move |n: usize| {
            count.fetch_add(1, Ordering::Relaxed);
            future::ready(Ok((vec![n], (n < 4).then_some(n + 1))))
        };
        let (mut pages, mut seen) = (pin!(paged(0, page)), Vec::new());

        while let Some(item) = pages.try_next().await.unwrap() {
            seen.push((item, read.load(Ordering::Relaxed)));
        }

        assert_eq!(seen, [(0, 1), (1, 3), (2, 4), (3, 5), (4, 5)]);
    }

    #[tokio::test]
    async fn a_page_that_fails_ends_the_read() {
        let gone = || Failure::Refused("gone".into());
        let page = move |n: usize| {
            future::ready(if n < 3 { Ok((vec![n], Some(n + 1))) } else { Err(gone()) })
        };
        let mut pages = pin!(paged(0, page));

        for expected in 0..3 {
            assert_eq!(pages.try_next().await, Ok(Some(expected)));
        }
        assert_eq!(pages.try_next().await, Err(gone()));
        assert_eq!(pages.try_next().await, Ok(None));
    }

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
