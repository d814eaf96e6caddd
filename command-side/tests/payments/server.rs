//! The server's edge under malformed input.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use daybook_command_side::payments::{Ledger, server};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Requests as _, gbp, simulated};

fn authorization() -> Value {
    json!({
        "payment": "00000000-0000-0000-0000-000000000001",
        "amount": { "amount": 100, "currency": "GBP" },
        "method": "tok_approve",
    })
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("idempotency-key", "k").body(body.into()).unwrap()
}

async fn ask(request: Request<Body>) -> (StatusCode, String, Value) {
    let response = server::router(simulated()).oneshot(request).await.unwrap();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, media_type, serde_json::from_slice(&body).unwrap())
}

async fn assert_problem(request: Request<Body>, expected: StatusCode, says: &str) {
    let (status, media_type, problem) = ask(request).await;
    assert_eq!((status, &*media_type), (expected, "application/problem+json"), "{problem}");
    assert_eq!(problem["status"], expected.as_u16());
    assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
}

#[tokio::test]
async fn an_approval_is_created_with_its_reference() {
    let (status, _, body) = ask(post("/v1/authorizations", authorization().to_string())).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(body["reference"].as_str().unwrap().starts_with("auth_"));
}

#[tokio::test]
async fn a_decline_is_a_402() {
    let mut body = authorization();
    body["method"] = "tok_decline".into();
    let request = post("/v1/authorizations", body.to_string());
    assert_problem(request, StatusCode::PAYMENT_REQUIRED, "the card was declined").await;
}

#[tokio::test]
async fn bodies_that_are_not_json_are_400s() {
    for body in ["", "{", "\"", "tok_approve", "\u{0}"] {
        let request = post("/v1/authorizations", body);
        assert_problem(request, StatusCode::BAD_REQUEST, "the body is not as expected").await;
    }
    let request = post("/v1/authorizations", vec![0xff, 0xfe]);
    assert_problem(request, StatusCode::BAD_REQUEST, "the body is not as expected").await;
}

#[tokio::test]
async fn fields_that_are_missing_unknown_or_wrong_are_422s() {
    for (field, value, says) in [
        ("payment", json!("p-1"), "UUID"),
        ("payment", Value::Null, "invalid type"),
        ("amount", json!(100), "invalid type"),
        ("amount", json!({ "amount": 1.5, "currency": "GBP" }), "invalid type"),
        ("amount", json!({ "amount": 1u64 << 63, "currency": "GBP" }), "invalid value"),
        ("amount", json!({ "amount": 1, "currency": "QQQ" }), "ISO 4217"),
        ("amount", json!({ "amount": 1 }), "missing field"),
        ("amount", json!({ "amount": 0, "currency": "GBP" }), "the amount must be"),
        ("method", json!("tok approve"), "a payment method"),
        ("method", json!("x".repeat(129)), "a payment method"),
        ("method", json!("tok_unheard_of"), "test tokens"),
        ("surprise", json!(1), "unknown field"),
    ] {
        let mut body = authorization();
        body[field] = value;
        let request = post("/v1/authorizations", body.to_string());
        assert_problem(request, StatusCode::UNPROCESSABLE_ENTITY, says).await;
    }
}

#[tokio::test]
async fn oversized_bodies_are_413s() {
    let request = post("/v1/authorizations", "x".repeat(server::MAX_BODY + 1));
    assert_problem(request, StatusCode::PAYLOAD_TOO_LARGE, "length limit").await;
}

#[tokio::test]
async fn keys_that_are_missing_or_malformed_are_400s() {
    let authorize = || Request::post("/v1/authorizations");
    let body = || Body::from(authorization().to_string());
    let missing = authorize().body(body()).unwrap();
    assert_problem(missing, StatusCode::BAD_REQUEST, "header is missing").await;
    let twice = authorize().header("idempotency-key", "a").header("idempotency-key", "b");
    assert_problem(twice.body(body()).unwrap(), StatusCode::BAD_REQUEST, "more than one").await;
    for (key, says) in
        [("", "1 to 255"), (&*"k".repeat(256), "1 to 255"), ("a b", "without spaces"), ("é", "")]
    {
        let request = authorize().header("idempotency-key", key).body(body()).unwrap();
        assert_problem(request, StatusCode::BAD_REQUEST, says).await;
    }
}

#[tokio::test]
async fn a_reused_key_has_a_problem_type_of_its_own() {
    let provider = simulated();
    provider.hold("k", gbp(1), "tok_approve").await.unwrap();
    let request = post("/v1/authorizations", authorization().to_string());
    let response = server::router(provider).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["type"], "urn:daybook:problem:key-reused");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    assert_problem(post("/v1/refunds", "{}"), StatusCode::NOT_FOUND, "no such resource").await;
    let request = Request::delete("/v1/ledger").body(Body::empty()).unwrap();
    assert_problem(request, StatusCode::METHOD_NOT_ALLOWED, "no such method").await;
    let unknown = post("/v1/authorizations/auth_1/voids", "");
    assert_problem(unknown, StatusCode::UNPROCESSABLE_ENTITY, "no such authorization").await;
}

#[tokio::test]
async fn a_path_that_is_not_text_is_a_problem() {
    let request = post("/v1/authorizations/%ff/voids", "");
    assert_problem(request, StatusCode::BAD_REQUEST, "UTF-8").await;
}

#[tokio::test]
async fn the_ledger_is_shown() {
    let request = Request::get("/v1/ledger").body(Body::empty()).unwrap();
    let (status, _, ledger) = ask(request).await;
    assert_eq!((status, &ledger["chargedTwice"]), (StatusCode::OK, &json!(0)));
    assert_eq!(serde_json::from_value::<Ledger>(ledger).unwrap(), Ledger::default());
}
