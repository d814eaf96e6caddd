//! What arbitrary bytes are fed to: requests, filters, and the machine of persistent subscriptions.

use std::pin::pin;

use axum::body::Body;
use axum::http::{Request, Response};
use daybook_event_store::{EventStore, Expected, NewEvent, Store};
use http_body_util::BodyExt;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::calls::Guarded;
use crate::errors;
use crate::node::Node;
use crate::options::ServerOptions;
use crate::persistent::model;
use crate::protocol::streams::read_req::options::FilterOptions;
use crate::protocol::streams::read_req::options::filter_options::{Expression, Filter};
use crate::server::routes;
use crate::streams::EventFilter;

const STREAMS: &str = "event_store.client.streams.Streams";
const SESSIONS: &str = "kurrentdb.protocol.v2.streams.StreamsService";
const GROUPS: &str = "event_store.client.persistent_subscriptions.PersistentSubscriptions";

/// The calls that requests are fed to, by their numbers.
const CALLS: [(&str, &str); 15] = [
    (STREAMS, "Append"),
    (STREAMS, "BatchAppend"),
    (STREAMS, "Read"),
    (STREAMS, "Delete"),
    (STREAMS, "Tombstone"),
    (SESSIONS, "AppendSession"),
    (GROUPS, "Create"),
    (GROUPS, "Update"),
    (GROUPS, "Read"),
    (GROUPS, "Delete"),
    (GROUPS, "GetInfo"),
    (GROUPS, "ReplayParked"),
    (GROUPS, "List"),
    (GROUPS, "RestartSubsystem"),
    (SESSIONS, "AppendRecords"),
];

/// How often others have their turn before a client leaves a call that goes on.
const TURNS: usize = 200;

/// Calls to a server with some events, one after another: of each its number, the length of what
/// it sends (2 bytes), and that: messages, each after its length (2 bytes), or where the number is
/// over 127 the bytes as they are. The code of each, or -1 where it went on.
///
/// # Panics
/// A handler panicked, or a call ended without a status.
pub fn requests(mut bytes: &[u8]) -> Vec<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("there is a runtime").block_on(async {
        let server = given().await;
        let mut codes = Vec::new();
        while let Some(([which, length @ ..], rest)) = bytes.split_first_chunk::<3>() {
            let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
            let (sent, rest) = rest.split_at(length);
            bytes = rest;
            let body = if *which > 127 { sent.to_vec() } else { framed(sent) };
            let (service, method) = CALLS[usize::from(*which) % CALLS.len()];
            codes.push(ask(&server, &format!("/{service}/{method}"), body).await);
        }
        codes
    })
}

/// Messages with the heads that gRPC gives them.
fn framed(mut messages: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(([low, high], rest)) = messages.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (message, rest) = rest.split_at(length);
        messages = rest;
        let [high, low] = u16::try_from(length).unwrap_or_default().to_be_bytes();
        body.extend_from_slice(&[0, 0, 0, high, low]);
        body.extend_from_slice(message);
    }
    body
}

async fn given() -> Guarded {
    let store = Store::memory();
    let event = |n| NewEvent {
        id: Uuid::from_u128(n),
        kind: "OrderPlaced".into(),
        data: "{}".into(),
        metadata: "".into(),
        is_json: true,
    };
    let stream = "order-1".parse().expect("it is a name");
    let appended = store.append(&stream, Expected::Any, (1..=5).map(event).collect()).await;
    appended.expect("a store in memory takes events");
    let options = ServerOptions { request_bytes: 32 << 20, ..ServerOptions::default() };
    let (address, stop) = (([127, 0, 0, 1], 1).into(), CancellationToken::new());
    routes(&Node::new(store, address, &options, stop), &options)
}

async fn ask(server: &Guarded, path: &str, body: Vec<u8>) -> i32 {
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.body(Body::from(body)).expect("it is a request");
    let mut ended = pin!(async { ended(server.clone().serve(request).await).await });
    for _ in 0..TURNS {
        tokio::select! {
            biased;
            status = &mut ended => return status as i32,
            () = yield_now() => {}
        }
    }
    -1
}

async fn ended(answer: Response<Body>) -> Code {
    let (head, mut body) = answer.into_parts();
    let mut last = head.headers;
    while let Some(frame) = body.frame().await {
        if let Ok(trailers) = frame.expect("a body does not fail").into_trailers() {
            last = trailers;
        }
    }
    let status = Status::from_header_map(&last).expect("a call ends with a status");
    assert_ne!(status.message(), errors::panicked().message(), "a handler panicked");
    status.code()
}

/// An expression, a zero, and a text: whether it matches; `None` where it is refused or given up.
pub fn filter(bytes: &[u8]) -> Option<bool> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (regex, text) = bytes.split_at(end);
    let regex = std::str::from_utf8(regex).ok()?.to_owned();
    let filter = Filter::EventType(Expression { regex, prefix: vec![] });
    let options = FilterOptions { filter: Some(filter), ..FilterOptions::default() };
    EventFilter::decode(options).ok()?.matches_text(&String::from_utf8_lossy(text)).ok()
}

/// What happens to a group: its settings, then two bytes for each thing. Whether it parked
/// anything, and whether it broke down.
///
/// # Panics
/// A message was lost, or done twice.
pub fn machine(bytes: &[u8]) -> (bool, bool) {
    model::run(bytes)
}
