//! Ids of requests, identity, and limits on headers.

use axum::body::Body;
use daybook_event_schemas::Metadata;
use daybook_event_store::{Direction, EventStore, Revision};
use daybook_gateway::GatewayOptions;
use futures::StreamExt;
use uuid::Uuid;

use crate::api::{Api, product, request};

async fn metadata_of_first(api: &Api, stream: &str) -> Metadata {
    let stream = stream.parse().expect("a stream");
    let mut events = Box::pin(api.store.read(&stream, Revision::START, Direction::Forward));
    let event = events.next().await.expect("an event").expect("readable");
    serde_json::from_slice(&event.metadata).expect("metadata")
}

#[tokio::test]
async fn a_request_id_is_sent_back() {
    let api = Api::new();
    let sent = request("GET", "/health/live", &[("x-request-id", "edge-7f:1")], Body::empty());
    assert_eq!(api.send(sent).await.header("x-request-id"), "edge-7f:1");
}

#[tokio::test]
async fn a_missing_or_odd_request_id_is_replaced() {
    let api = Api::new();
    let long = "x".repeat(129);
    for odd in ["", "two words", "<script>", &long] {
        let sent = request("GET", "/health/live", &[("x-request-id", odd)], Body::empty());
        let answer = api.send(sent).await;
        let made = Uuid::try_parse(answer.header("x-request-id")).expect("a UUID");
        assert_eq!(made.get_version_num(), 7);
    }
}

#[tokio::test]
async fn correlation_trace_and_actor_reach_the_events() {
    let api = Api::new();
    let correlation = "0193f5c8-0000-7000-8000-000000000001";
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("x-correlation-id", correlation),
        ("traceparent", trace),
        ("x-daybook-actor", "user:alice"),
    ];
    let answer = api.json("POST", "/v1/products", &headers, &product("A1")).await.is(201);
    assert_eq!(answer.header("x-correlation-id"), correlation);
    let metadata = metadata_of_first(&api, "product-A1").await;
    assert_eq!(metadata.correlation_id.to_string(), correlation);
    assert_eq!(metadata.traceparent.as_deref(), Some(trace));
    assert_eq!(&*metadata.actor.0, "user:alice");
}

#[tokio::test]
async fn without_an_actor_the_developer_acts() {
    let api = Api::new();
    api.post("/v1/products", &product("A1")).await.is(201);
    assert_eq!(&*metadata_of_first(&api, "product-A1").await.actor.0, "user:dev");
}

#[tokio::test]
async fn malformed_headers_are_named() {
    let api = Api::new();
    for (name, value) in [
        ("x-daybook-actor", "alice"),
        ("if-match", "3"),
        ("if-match", "W/\"3\""),
        ("idempotency-key", ""),
        ("idempotency-key", &"k".repeat(256)),
    ] {
        let answer = api.json("POST", "/v1/products", &[(name, value)], &product("A1")).await;
        let answer = answer.problem(400, "invalid-header");
        assert!(answer.detail().starts_with(name), "{}", answer.detail());
    }
    let read = request("GET", "/v1/products/A1", &[("x-daybook-actor", "alice")], Body::empty());
    api.send(read).await.problem(400, "invalid-header");
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = api.json("POST", "/v1/products", &twice, &product("A1")).await;
    answer.problem(400, "invalid-header");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let api = Api::with(GatewayOptions { head_bytes: 1_000, ..GatewayOptions::default() });
    let padding = "x".repeat(1_000);
    let sent = request("GET", "/health/live", &[("x-padding", &padding)], Body::empty());
    let answer = api.send(sent).await.problem(431, "head-too-large");
    assert!(!answer.header("x-request-id").is_empty());
}
