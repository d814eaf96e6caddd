//! What comes in wrong gets a problem that says what is wrong, and changes nothing.

use std::time::Duration;

use axum::body::{Body, Bytes};
use daybook_event_store::EventStore;
use daybook_gateway::GatewayOptions;
use futures::stream;
use serde_json::{Value, json};

use crate::api::{Answer, Api, product, request};

const ORDER: &str = "/v1/orders";
const CUSTOMER: &str = "0193f5c8-0000-7000-8000-0000000000aa";

async fn raw(api: &Api, body: impl Into<Body>) -> Answer {
    let headers = [("content-type", "application/json")];
    api.send(request("POST", "/v1/products", &headers, body.into())).await
}

fn order(line: &Value) -> Value {
    json!({ "customer": CUSTOMER, "lines": [line], "paymentMethod": "tok_approve" })
}

#[tokio::test]
async fn malformed_json_is_a_bad_request() {
    let api = Api::new();
    let trailing = format!("{} trailing", product("A1"));
    for body in ["", "{", "{\"sku\": }", "\u{feff}{}", "{\"sku\": \"a\u{1}\"}", &trailing] {
        raw(&api, body.to_owned()).await.problem(400, "malformed-json");
    }
    raw(&api, Bytes::from_static(b"{\"sku\": \"\xff\"}")).await.problem(400, "malformed-json");
    let deep = "[".repeat(100_000);
    let answer = raw(&api, format!("{{\"sku\": {deep}")).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    assert_eq!(api.store.head().await.expect("a head"), None);
}

#[tokio::test]
async fn unknown_fields_are_named() {
    let api = Api::new();
    let mut body = product("A1");
    body["colour"] = json!("white");
    let answer = api.post("/v1/products", &body).await.problem(422, "invalid-body");
    assert!(answer.detail().contains("`colour`"), "{}", answer.detail());
}

#[tokio::test]
async fn duplicate_fields_are_refused() {
    let body = product("A1").to_string().replacen('{', "{\"sku\": \"B2\",", 1);
    let answer = raw(&Api::new(), body).await.problem(422, "invalid-body");
    assert!(answer.detail().contains("duplicate field `sku`"), "{}", answer.detail());
}

#[tokio::test]
async fn missing_fields_are_named() {
    let mut body = product("A1");
    body.as_object_mut().expect("an object").remove("price");
    let answer = Api::new().post("/v1/products", &body).await.problem(422, "invalid-body");
    assert!(answer.detail().contains("`price`"), "{}", answer.detail());
}

#[tokio::test]
async fn wrong_types_and_values_are_pointed_at() {
    let api = Api::new();
    for (field, value) in [
        ("sku", json!(7)),
        ("sku", json!("")),
        ("sku", json!(" padded ")),
        ("sku", json!("x".repeat(65))),
        ("sku", json!("caf\u{e9}")),
        ("seller", json!("Not A Handle")),
        ("name", json!(null)),
        ("name", json!("two\nlines")),
        ("description", json!("x".repeat(10_001))),
    ] {
        let mut body = product("A1");
        body[field] = value;
        let answer = api.post("/v1/products", &body).await.problem(422, "invalid-body");
        assert_eq!(answer.pointer(), format!("/{field}"), "{}", answer.detail());
    }
}

#[tokio::test]
async fn amounts_are_whole_numbers_of_a_known_currency() {
    let api = Api::new();
    for (pointer, price) in [
        ("/price/amount", json!({ "amount": 2.55, "currency": "GBP" })),
        ("/price/amount", json!({ "amount": "255", "currency": "GBP" })),
        ("/price/amount", json!({ "amount": 1e30, "currency": "GBP" })),
        ("/price/amount", json!({ "amount": 9_223_372_036_854_775_808_u64, "currency": "GBP" })),
        ("/price/currency", json!({ "amount": 255, "currency": "POUNDS" })),
        ("/price/currency", json!({ "amount": 255, "currency": "gbp" })),
    ] {
        let mut body = product("A1");
        body["price"] = price;
        let answer = api.post("/v1/products", &body).await.problem(422, "invalid-body");
        assert_eq!(answer.pointer(), pointer, "{}", answer.detail());
    }
}

#[tokio::test]
async fn quantities_are_from_one_to_a_thousand_million() {
    let api = Api::new();
    for quantity in [json!(0), json!(-1), json!(1_000_000_001), json!(i64::MIN), json!(1.5)] {
        let body = order(&json!({ "sku": "A1", "quantity": quantity }));
        let answer = api.post(ORDER, &body).await.problem(422, "invalid-body");
        assert_eq!(answer.pointer(), "/lines/0/quantity", "{}", answer.detail());
        let receipt = json!({ "receipt": "r-1", "quantity": quantity });
        let answer = api.post("/v1/stock/A1/receipts", &receipt).await;
        assert_eq!(answer.problem(422, "invalid-body").pointer(), "/quantity");
    }
}

#[tokio::test]
async fn instants_of_the_future_are_refused() {
    let api = Api::new();
    let mut body = order(&json!({ "sku": "A1", "quantity": 1 }));
    body["placedAt"] = json!("9999-01-01T00:00:00Z");
    let answer = api.post(ORDER, &body).await.problem(422, "invalid-body");
    assert_eq!(answer.pointer(), "/placedAt");
    body["placedAt"] = json!("2010-12-01 08:26");
    let answer = api.post(ORDER, &body).await.problem(422, "invalid-body");
    assert_eq!(answer.pointer(), "/placedAt");
}

#[tokio::test]
async fn ids_in_addresses_are_parsed() {
    let api = Api::new();
    let answer = api.post("/v1/orders/not-a-uuid/cancellation", &json!({})).await;
    answer.problem(400, "invalid-parameter");
    let answer = api.post("/v1/stock/caf%C3%A9/receipts", &json!({})).await;
    answer.problem(400, "invalid-parameter");
    let answer = api.post("/v1/stock/%FF/receipts", &json!({})).await;
    answer.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn unknown_query_parameters_are_named() {
    let answer = Api::new().json("DELETE", "/v1/products/A1?why=no", &[], &Value::Null).await;
    let answer = answer.problem(400, "invalid-parameter");
    assert!(answer.detail().contains("why"), "{}", answer.detail());
}

#[tokio::test]
async fn only_json_is_read() {
    let api = Api::new();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let body = Body::from(product("A1").to_string());
        let sent = request("POST", "/v1/products", &[("content-type", kind)], body);
        api.send(sent).await.problem(415, "unsupported-media-type");
    }
    let kind = [("content-type", "Application/JSON; charset=utf-8")];
    let sent = request("POST", "/v1/products", &kind, Body::from(product("A1").to_string()));
    api.send(sent).await.is(201);
}

#[tokio::test]
async fn oversized_bodies_are_refused() {
    let api = Api::with(GatewayOptions { body_bytes: 1_000, ..GatewayOptions::default() });
    let body = vec![b' '; 1_001];
    let answer = raw(&api, body.clone()).await.problem(413, "body-too-large");
    assert!(answer.detail().contains("1000 bytes"), "{}", answer.detail());
    let unannounced = stream::iter(
        body.chunks(100)
            .map(|c| Ok::<_, std::io::Error>(Bytes::copy_from_slice(c)))
            .collect::<Vec<_>>(),
    );
    raw(&api, Body::from_stream(unannounced)).await.problem(413, "body-too-large");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_given_up() {
    let options = GatewayOptions {
        body_timeout: Duration::from_secs(3),
        request_timeout: Duration::from_secs(10),
        ..GatewayOptions::default()
    };
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let answer = raw(&Api::with(options), Body::from_stream(never)).await;
    answer.problem(408, "request-timeout");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up() {
    let options = GatewayOptions {
        body_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(3),
        ..GatewayOptions::default()
    };
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let answer = raw(&Api::with(options), Body::from_stream(never)).await;
    answer.problem(504, "deadline-exceeded");
}

#[tokio::test]
async fn requests_over_the_limit_are_turned_away() {
    let api = Api::with(GatewayOptions { concurrent_requests: 0, ..GatewayOptions::default() });
    let answer = api.post("/v1/products", &product("A1")).await.problem(503, "overloaded");
    assert_eq!(answer.header("retry-after"), "1");
    api.get("/health/live").await.is(204);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_too() {
    let api = Api::new();
    for path in ["/", "/v1", "/v1/nothing", "/v2/products", "/v1/products/A1/description/x"] {
        api.get(path).await.problem(404, "unknown-route");
    }
    let answer = api.json("PATCH", "/v1/products", &[], &json!({})).await;
    let answer = answer.problem(405, "method-not-allowed");
    assert!(answer.header("allow").contains("POST"), "{:?}", answer.headers);
}

#[tokio::test]
async fn orders_that_do_not_add_up_are_rejected() {
    let api = Api::new();
    api.post("/v1/products", &product("A1")).await.is(201);
    let customer = json!({ "id": CUSTOMER, "name": "Ada" });
    api.post("/v1/customers", &customer).await.is(201);
    let line = |quantity: i64, amount: i64, currency: &str| {
        let price = json!({ "amount": amount, "currency": currency });
        json!({ "sku": "A1", "quantity": quantity, "agreedPrice": price })
    };
    for lines in [
        json!([]),
        json!([line(1, 100, "GBP"), line(1, 100, "EUR")]),
        json!([line(1_000_000_000, i64::MAX, "GBP")]),
        json!([line(1, i64::MAX, "GBP"), line(1, 1, "GBP")]),
        json!([line(1_000_000_000, 1, "GBP"), line(1, 1, "GBP")]),
        json!([line(1, -100, "GBP")]),
    ] {
        let mut body = order(&Value::Null);
        body["lines"] = lines;
        api.post(ORDER, &body).await.problem(422, "rejected");
    }
}

#[tokio::test]
async fn an_order_id_that_is_taken_is_rejected() {
    let api = Api::new();
    api.post("/v1/products", &product("A1")).await.is(201);
    let customer = json!({ "id": CUSTOMER, "name": "Ada" });
    api.post("/v1/customers", &customer).await.is(201);
    let mut body = order(&json!({ "sku": "A1", "quantity": 1 }));
    body["id"] = json!("0193f5c8-0000-7000-8000-000000000001");
    body["placedAt"] = json!("2010-12-01T08:26:00Z");
    api.post(ORDER, &body).await.is(202);
    let again = api.post(ORDER, &body).await.is(202);
    assert_eq!((&again.body["events"], again.header("etag")), (&json!([]), "\"0\""));
    body["lines"][0]["quantity"] = json!(2);
    api.post(ORDER, &body).await.problem(422, "rejected");
}
