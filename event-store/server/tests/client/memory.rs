//! What clients can make the server hold.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Bytes;
use daybook_event_store::Store;
use daybook_event_store_server::{Server, ServerOptions};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kurrentdb::{AppendToStreamOptions, Client, EventData, ReadStreamOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::given::{client, events, serve};
use crate::http::json;
use crate::persistent::until;
use crate::raw::{APPEND, APPEND_RECORDS, READ, Raw, connect, ended, head, read_stream, refusal};

const MIB: usize = 1 << 20;
/// What a call holds for nothing.
const FREE: usize = 64 << 10;
const RESOURCE_EXHAUSTED: &str = "8";

/// What the server says of its calls.
async fn told(address: SocketAddr, what: &str) -> usize {
    let stats = json(address, "/stats").await;
    usize::try_from(stats["calls"][what].as_u64().unwrap()).unwrap()
}

/// Begins messages of this size on each connection, and waits until so many were refused.
async fn begin(connections: &[Raw], calls: usize, size: usize, sent: usize, refused: usize) {
    let part = Bytes::from(vec![0; sent]);
    let mut answers: FuturesUnordered<_> = connections
        .iter()
        .flat_map(|connection| (0..calls).map(move |_| connection))
        .map(|connection| connection.call(APPEND, vec![head(size), part.clone()]))
        .collect();
    for _ in 0..refused {
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!(refusal(&answer), Some(RESOURCE_EXHAUSTED));
    }
}

/// The server goes on for a client that behaves.
async fn serves(client: &Client) {
    let options = AppendToStreamOptions::default();
    client.append_to_stream("order-1", &options, events(10)).await.unwrap();
    let mut read = client.read_stream("order-1", &ReadStreamOptions::default()).await.unwrap();
    assert!(read.next().await.unwrap().is_some());
}

#[tokio::test]
async fn unfinished_messages_are_bounded_over_all_connections() {
    let options = ServerOptions { request_bytes: 8 * MIB, ..ServerOptions::default() };
    let given = serve(Store::memory(), options).await;
    let connections =
        [connect(given.address, 1 << 16).await, connect(given.address, 1 << 16).await];

    begin(&connections, 100, MIB, MIB / 2, 200 - 8).await;

    assert_eq!(told(given.address, "requestBytes").await, 8 * (MIB - FREE));
    serves(&given.client).await;
    drop(connections);
    until(async || told(given.address, "requestBytes").await == 0).await;
}

#[tokio::test]
async fn calls_are_bounded_over_all_connections() {
    let given =
        serve(Store::memory(), ServerOptions { calls: 20, ..ServerOptions::default() }).await;
    let connections =
        [connect(given.address, 1 << 16).await, connect(given.address, 1 << 16).await];

    begin(&connections, 15, 10, 1, 10).await;

    let another = connect(given.address, 1 << 16).await;
    let refused = another.ask(READ, &read_stream("order-1")).await.unwrap();
    assert_eq!(refusal(&refused), Some(RESOURCE_EXHAUSTED));

    drop(connections);
    let is_served = async || {
        let answer = another.ask(READ, &read_stream("order-1")).await.unwrap();
        refusal(&answer) != Some(RESOURCE_EXHAUSTED)
    };
    until(is_served).await;
    serves(&given.client).await;
}

#[tokio::test]
async fn a_message_that_does_not_arrive_in_time_ends_its_call() {
    let message_timeout = Duration::from_millis(50);
    let options = ServerOptions { message_timeout, ..ServerOptions::default() };
    let given = serve(Store::memory(), options).await;
    let connection = connect(given.address, 1 << 16).await;

    for unfinished in [vec![Bytes::from_static(b"\0")], vec![head(MIB), Bytes::from_static(b"x")]] {
        let answer = connection.call(APPEND, unfinished).await.unwrap();
        assert_eq!(refusal(&answer), Some("4"));
    }
    serves(&given.client).await;
}

#[tokio::test]
async fn responses_that_nobody_takes_are_bounded() {
    let options = ServerOptions { response_bytes: 4 * MIB, ..ServerOptions::default() };
    let given = serve(Store::memory(), options).await;
    let large = EventData::binary("Large", vec![0; MIB - 1_000].into());
    let append = AppendToStreamOptions::default();
    given.client.append_to_stream("large-1", &append, vec![large]).await.unwrap();
    let slow = connect(given.address, 1_000).await;

    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(slow.ask(READ, &read_stream("large-1")).await.unwrap());
    }
    until(async || told(given.address, "responseBytes").await > 3 * MIB).await;
    let refused = slow.ask(READ, &read_stream("large-1")).await.unwrap();

    assert_eq!(ended(refused).await, (0, Some(RESOURCE_EXHAUSTED.into())));
    assert!(told(given.address, "responseBytes").await <= 4 * MIB);
    assert!(told(given.address, "current").await > 4, "they are calls until everything was sent");
    serves(&given.client).await;
    for held in held {
        let (bytes, status) = ended(held).await;
        assert!(bytes > MIB - 1_000, "a slow client gets everything at last");
        assert_eq!(status.as_deref(), Some("0"));
    }
    let options = ReadStreamOptions::default();
    let mut read = given.client.read_stream("large-1", &options).await.unwrap();
    assert!(read.next().await.unwrap().is_some());
}

/// The most that a server holds: it is a process of its own, so that nothing else is measured.
struct Measured {
    process: Child,
    address: SocketAddr,
}

impl Measured {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::serves_until_it_is_killed", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address =
            lines.map(Result::unwrap).find_map(|line| line.split("at ").nth(1)?.parse().ok());
        Self { process, address: address.unwrap() }
    }

    /// The most memory that it had so far, in bytes.
    fn most(&self) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const MEASURED_CALLS: usize = 1_200;

#[tokio::test]
#[ignore = "the process of another test"]
async fn serves_until_it_is_killed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("at {}", listener.local_addr().unwrap());
    let (calls, request_bytes) = (MEASURED_CALLS, 32 * MIB);
    let options = ServerOptions { calls, request_bytes, ..ServerOptions::default() };
    let stop = CancellationToken::new();
    tokio::spawn(Server::new(Store::memory(), options).serve(listener, stop.clone()));
    let parent = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    let _ = parent.await;
    stop.cancel();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn hostile_calls_take_no_more_memory_than_is_said() {
    let server = Measured::start();
    let client = client(&format!("kurrentdb://{}?tls=false", server.address));
    serves(&client).await;
    let before = server.most();
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(connect(server.address, 1 << 16).await);
    }

    // Records of nothing: two bytes each, and some hundreds once they were read.
    let nothing = connections[0].ask(APPEND_RECORDS, &[10, 0].repeat(4 * MIB)).await.unwrap();
    assert_eq!(refusal(&nothing), Some(RESOURCE_EXHAUSTED));
    // Each would keep 900 KiB, and the first two declare 16 MiB.
    begin(&connections[..1], 3, 16 * MIB, 900 << 10, 1).await;
    begin(&connections, 250, MIB, 900 << 10, 1_000).await;
    begin(&connections, 250, FREE, FREE - 100, 0).await;
    until(async || told(server.address, "current").await >= 1_000).await;
    serves(&client).await;

    let grown = server.most() - before;
    // The budget, and for each call what is free and what a call is.
    let most = 32 * MIB + MEASURED_CALLS * (FREE + (32 << 10));
    assert!(grown <= most, "{} MiB", grown / MIB);
    println!("grown by {} of {} MiB", grown / MIB, most / MIB);
}
