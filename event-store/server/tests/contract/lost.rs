//! The adapter on connections that break, and with nodes that are not the leader.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, response};
use daybook_event_store::{
    AppendError, EventStore, EventStoreDb, EventStoreDbOptions, Expected, Filter, Revision, Store,
};
use daybook_event_store_server::ServerOptions;
use futures::StreamExt;
use futures::future::join_all;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::given::{Served, client, patient};
use crate::suite::LIMITS;
use crate::suite::given::{
    category, events, history, ids, in_category, next_events, read, read_all, stream, within,
};

/// Stands between a client and a server.
struct Proxy {
    address: SocketAddr,
    /// How many connections there were.
    connections: Arc<AtomicUsize>,
    /// Whether nothing comes back any more, and nobody comes in.
    closed: Arc<AtomicBool>,
}

impl Proxy {
    /// Breaks each connection after some bytes to the server, or to the client: `cut` tells for the
    /// number of the connection.
    async fn start(
        server: SocketAddr,
        cut: impl Fn(usize) -> (usize, usize) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, closed) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let (connections, is_closed) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&closed));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (from, _) = listener.accept().await.unwrap();
                let n = count.fetch_add(1, Ordering::SeqCst);
                if !is_closed.load(Ordering::SeqCst) {
                    let to = TcpStream::connect(server).await.unwrap();
                    tokio::spawn(pass(from, to, cut(n), Arc::clone(&is_closed)));
                }
            }
        });
        Self { address, connections, closed }
    }
}

/// Passes bytes both ways until one of the ways has had its part.
async fn pass(
    client: TcpStream,
    server: TcpStream,
    (there, back): (usize, usize),
    closed: Arc<AtomicBool>,
) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, there, Arc::default()) => {}
        () = copy(from_server, to_client, back, closed) => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut left: usize,
    closed: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 4_096];
    while left > 0 {
        let most = left.min(buffer.len());
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { return };
        if closed.load(Ordering::SeqCst) || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        left -= read;
    }
}

/// Breaks connections here and there, sooner and later, yet not so soon that a stream cannot be
/// looked through.
fn anywhere(n: usize) -> (usize, usize) {
    (2_000 + n * 7_919 % 20_000, 2_000 + n * 6_133 % 90_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_over_a_breaking_connection_take_place_once() {
    let served = Served::start(Store::memory()).await;
    let proxy = Proxy::start(served.address, anywhere).await;
    let (store, direct) = (client(proxy.address), client(served.address));
    let category = category("broken");
    let writer = |n: usize| {
        let (store, stream) = (store.clone(), in_category(&category, n));
        async move {
            let (mut written, mut expected) = (Vec::new(), Expected::NoStream);
            for round in 0..40 {
                let batch = events(1 + round % 3);
                written.extend(batch.iter().map(|event| event.id));
                let appended = store.append(&stream, expected, batch).await.unwrap();
                assert_eq!(appended.revision, Revision(written.len() as u64 - 1));
                // Half of them do not know where they are.
                let at = Expected::At(appended.revision);
                expected = if n.is_multiple_of(2) { at } else { Expected::Any };
            }
            (stream, written)
        }
    };

    for written in within(join_all((0..4).map(|n| tokio::spawn(writer(n))))).await {
        let (stream, written) = written.unwrap();
        assert_eq!(ids(&read(&direct, &stream).await), written);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_tails_over_a_breaking_connection_are_whole() {
    let served = Served::start(Store::memory()).await;
    let direct = client(served.address);
    let category = category("broken");
    for n in 0..20 {
        direct.append(&in_category(&category, n), Expected::Any, events(40)).await.unwrap();
    }
    let stored = read_all(&direct, None, Filter::all()).await;
    let proxy = Proxy::start(served.address, |n| (usize::MAX, 60_000 + n * 40_000)).await;
    let store = client(proxy.address);

    let filter = Filter::categories(&[&category]);
    let mut tail = store.tail(None, filter.clone()).boxed();
    let mut seen = next_events(&mut tail, stored.len()).await;
    let live = history(&direct, &in_category(&category, 99), 300).await;
    seen.extend(next_events(&mut tail, live.len()).await);

    assert_eq!(seen, read_all(&direct, None, Filter::all()).await);
    assert_eq!(read_all(&store, None, filter).await, seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_for_streams_that_are_not_there_keeps_the_connection() {
    let served = Served::start(Store::memory()).await;
    let proxy = Proxy::start(served.address, |_| (usize::MAX, usize::MAX)).await;
    let (store, category) = (client(proxy.address), category("missing"));
    store.head().await.unwrap();
    let before = proxy.connections.load(Ordering::SeqCst);
    let reader = |n: usize| {
        let (store, category) = (store.clone(), category.clone());
        async move {
            for round in 0..100 {
                assert!(read(&store, &in_category(&category, n * 100 + round)).await.is_empty());
            }
        }
    };

    within(join_all((0..256).map(|n| tokio::spawn(reader(n))))).await;

    assert_eq!(proxy.connections.load(Ordering::SeqCst), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_is_lost_for_good_is_uncertain_until_it_is_repeated() {
    let served = Served::start(Store::memory()).await;
    let direct = client(served.address);
    let proxy = Proxy::start(served.address, |_| (usize::MAX, usize::MAX)).await;
    let store = patient(proxy.address, Duration::from_millis(300));
    let (stream, batch) = (stream(), events(2));
    store.head().await.unwrap();

    proxy.closed.store(true, Ordering::SeqCst);
    let lost = store.append(&stream, Expected::NoStream, batch.clone()).await;
    assert!(matches!(lost, Err(AppendError::Uncertain { .. })), "{lost:?}");

    proxy.closed.store(false, Ordering::SeqCst);
    let appended = store.append(&stream, Expected::NoStream, batch.clone()).await.unwrap();
    let stored = read(&direct, &stream).await;
    let given: Vec<_> = batch.iter().map(|event| event.id).collect();
    assert_eq!(ids(&stored), given);
    assert_eq!((stored[1].revision, stored[1].position), (appended.revision, appended.position));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_too_much_to_do_is_asked_again() {
    let options = ServerOptions { calls: 2, ..ServerOptions::default() };
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let served = Served::start_with(any_port, Store::memory(), options).await;
    let (store, category) = (client(served.address), category("busy"));
    let writer = |n: usize| {
        let (store, stream) = (store.clone(), in_category(&category, n));
        async move { history(&store, &stream, 5).await.len() }
    };

    let written = within(join_all((0..16).map(|n| tokio::spawn(writer(n))))).await;

    assert!(written.into_iter().all(|events| events.unwrap() == 5));
    for n in 0..16 {
        assert_eq!(read(&store, &in_category(&category, n)).await.len(), 5);
    }
}

/// A node that answers the calls to it, which are counted from 0, as it is told, or never. It does
/// not tell its features.
async fn node(
    answer: impl Fn(usize) -> Option<response::Builder> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, calls) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let answer = move |request: Request<hyper::body::Incoming>| {
        let answered = if request.uri().path().contains("ServerFeatures") {
            Some(Response::builder().header("grpc-status", "12"))
        } else {
            answer(calls.fetch_add(1, Ordering::SeqCst))
        };
        async move {
            let Some(response) = answered else { return pending().await };
            let response = response.header("content-type", "application/grpc");
            Ok::<_, Infallible>(response.body(Body::empty()).unwrap())
        }
    };
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(tower::service_fn(answer.clone()));
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(connection), service).await;
            });
        }
    });
    address
}

/// The answer that another node is the leader.
fn not_leader(leader: SocketAddr) -> response::Builder {
    Response::builder()
        .header("grpc-status", "5")
        .header("exception", "not-leader")
        .header("leader-endpoint-host", leader.ip().to_string())
        .header("leader-endpoint-port", leader.port().to_string())
}

#[tokio::test]
async fn who_is_not_the_leader_tells_who_is() {
    let served = Served::start(Store::memory()).await;
    let leader = served.address;
    let store = client(node(move |_| Some(not_leader(leader))).await);
    let (stream, batch) = (stream(), events(3));

    let appended = store.append(&stream, Expected::NoStream, batch.clone()).await.unwrap();
    let mut tail = store.tail(None, Filter::all()).boxed();

    assert_eq!(appended.revision, Revision(2));
    let stored = read(&client(served.address), &stream).await;
    assert_eq!(stored.len(), batch.len());
    assert_eq!(next_events(&mut tail, batch.len()).await, stored);
    assert_eq!(read(&store, &stream).await, stored);
}

/// The adapter for a node that brings nothing on its first calls, forgets the one after them, and
/// then says who is the leader.
async fn client_of_who_forgets(forgotten: usize, leader: SocketAddr) -> EventStoreDb {
    let node = node(move |call| match call.cmp(&forgotten) {
        std::cmp::Ordering::Less => Some(Response::builder().header("grpc-status", "0")),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(not_leader(leader)),
    });
    let answer = Duration::from_millis(200);
    let options = EventStoreDbOptions { limits: LIMITS, answer, ..Default::default() };
    let address = format!("esdb://{}?tls=false", node.await);
    EventStoreDb::new(&address, &options).unwrap()
}

#[tokio::test]
async fn calls_that_are_never_answered_are_made_again() {
    let served = Served::start(Store::memory()).await;
    let (stream, batch) = (stream(), events(2));

    let store = client_of_who_forgets(0, served.address).await;
    let appended = within(store.append(&stream, Expected::NoStream, batch.clone())).await.unwrap();
    assert_eq!(appended.revision, Revision(1));
    let stored = read(&client(served.address), &stream).await;
    let given: Vec<_> = batch.iter().map(|event| event.id).collect();
    assert_eq!(ids(&stored), given);

    let store = client_of_who_forgets(0, served.address).await;
    assert_eq!(within(read(&store, &stream)).await, stored);

    // The head is asked for first.
    let store = client_of_who_forgets(1, served.address).await;
    let mut tail = store.tail(None, Filter::all()).boxed();
    assert_eq!(next_events(&mut tail, 2).await, stored);
}
