//! What every command has in common.

use axum::http::StatusCode;
use daybook_event_store::EventStore;
use serde_json::{Value, json};

use crate::api::{Api, product};

#[tokio::test]
async fn a_command_answers_with_what_it_did() {
    let api = Api::new();
    let answer = api.post("/v1/products", &product("A/1")).await.is(201);
    assert_eq!(answer.header("location"), "/v1/products/A%2F1");
    assert_eq!(answer.header("etag"), "\"0\"");
    assert!(!answer.header("consistency-token").is_empty());
    assert_eq!(answer.body["stream"], "product-A/1");
    assert_eq!(answer.body["revision"], 0);
    assert_eq!(answer.body["events"][0]["type"], "ProductListed");
    assert_eq!(
        answer.body["events"][0]["data"]["price"],
        json!({ "amount": 255, "currency": "GBP" })
    );
}

#[tokio::test]
async fn a_blind_change_must_say_what_it_is_based_on() {
    let api = Api::new();
    api.post("/v1/products", &product("A1")).await.is(201);
    let price = json!({ "price": { "amount": 300, "currency": "GBP" } });
    let path = "/v1/products/A1/price";
    api.json("PUT", path, &[], &price).await.problem(428, "precondition-required");
    let stale = api.json("PUT", path, &[("if-match", "\"7\"")], &price).await;
    assert_eq!(
        stale.problem(412, "stale-revision").detail(),
        "expected revision 7, but it is at 0"
    );
    let changed = api.json("PUT", path, &[("if-match", "\"0\"")], &price).await.is(200);
    assert_eq!(changed.header("etag"), "\"1\"");
    api.json("PUT", path, &[("if-match", "\"0\"")], &price).await.problem(412, "stale-revision");
}

#[tokio::test]
async fn a_broken_rule_is_named() {
    let api = Api::new();
    let body = json!({ "delta": -1, "count": "c-1" });
    let answer = api.post("/v1/stock/A1/adjustments", &body).await.problem(422, "rejected");
    let rule = answer.body["rule"].as_str().expect("a rule");
    assert!(rule.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{rule}");
}

#[tokio::test]
async fn a_mismatched_currency_is_rejected() {
    let api = Api::new();
    api.post("/v1/products", &product("A1")).await.is(201);
    let price = json!({ "price": { "amount": 300, "currency": "EUR" } });
    let answer = api.json("PUT", "/v1/products/A1/price", &[("if-match", "*")], &price).await;
    answer.problem(422, "rejected");
}

#[tokio::test]
async fn a_negative_price_is_rejected() {
    let mut body = product("A1");
    body["price"]["amount"] = json!(-1);
    Api::new().post("/v1/products", &body).await.problem(422, "rejected");
}

#[tokio::test]
async fn an_id_that_is_taken_is_rejected() {
    let api = Api::new();
    api.post("/v1/products", &product("A1")).await.is(201);
    let mut other = product("A1");
    other["name"] = json!("Something else");
    api.post("/v1/products", &other).await.problem(422, "rejected");
}

#[tokio::test]
async fn a_repeated_request_takes_effect_once_and_gets_the_same_answer() {
    let api = Api::new();
    let customer = json!({ "name": "Ada Lovelace" });
    let key = [("idempotency-key", "a-1")];
    let first = api.json("POST", "/v1/customers", &key, &customer).await.is(201);
    let head = api.store.head().await.expect("a head");
    let again = api.json("POST", "/v1/customers", &key, &customer).await.is(201);
    assert_eq!(again.body, first.body);
    for header in ["location", "etag", "consistency-token", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!(api.store.head().await.expect("a head"), head);
    let quoted = [("idempotency-key", "\"a-1\"")];
    let quoted = api.json("POST", "/v1/customers", &quoted, &customer).await.is(201);
    assert_eq!(quoted.body, first.body);
}

#[tokio::test]
async fn a_refusal_is_repeated_too() {
    let api = Api::new();
    let key = [("idempotency-key", "a-1")];
    let body = json!({ "delta": -1, "count": "c-1" });
    let path = "/v1/stock/A1/adjustments";
    let first = api.json("POST", path, &key, &body).await.problem(422, "rejected");
    let receipt = json!({ "receipt": "r-1", "quantity": 5 });
    api.post("/v1/stock/A1/receipts", &receipt).await.is(200);
    let again = api.json("POST", path, &key, &body).await.problem(422, "rejected");
    assert_eq!(again.body, first.body);
}

#[tokio::test]
async fn a_used_key_is_refused_for_anything_else() {
    let api = Api::new();
    let key = [("idempotency-key", "a-1")];
    api.json("POST", "/v1/products", &key, &product("A1")).await.is(201);
    let other = api.json("POST", "/v1/products", &key, &product("B2")).await;
    other.problem(422, "idempotency-key-reused");
    let elsewhere = json!({ "receipt": "r-1", "quantity": 5 });
    let elsewhere = api.json("POST", "/v1/stock/A1/receipts", &key, &elsewhere).await;
    elsewhere.problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn a_key_belongs_to_its_actor() {
    let api = Api::new();
    for actor in ["user:alice", "user:bob"] {
        let headers = [("idempotency-key", "a-1"), ("x-daybook-actor", actor)];
        let body = json!({ "name": actor.replace(':', " ") });
        api.json("POST", "/v1/customers", &headers, &body).await.is(201);
    }
}

#[tokio::test]
async fn of_simultaneous_requests_with_one_key_one_is_carried_out() {
    let api = Api::new();
    let receipt = json!({ "receipt": "r-1", "quantity": 5 });
    let key = [("idempotency-key", "a-1")];
    let send = || api.json("POST", "/v1/stock/A1/receipts", &key, &receipt);
    let (one, two, three) = tokio::join!(send(), send(), send());
    let answers = [one, two, three];
    assert!(answers.iter().any(|answer| answer.status == StatusCode::OK));
    for answer in answers {
        if answer.status != StatusCode::OK {
            let answer = answer.problem(409, "request-in-progress");
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
}

#[tokio::test]
async fn unknown_skus_and_customers_are_rejected() {
    let api = Api::new();
    let customer = api.post("/v1/customers", &json!({ "name": "Ada" })).await.is(201);
    let id = customer.header("location").rsplit('/').next().expect("an id").to_owned();
    let order = |customer: &str| -> Value {
        json!({
            "customer": customer,
            "lines": [{ "sku": "NONE", "quantity": 1 }],
            "paymentMethod": "tok_approve",
        })
    };
    let answer = api.post("/v1/orders", &order(&id)).await.problem(422, "rejected");
    assert_eq!(answer.body["rule"], "unknown-sku");
    let nobody = "0193f5c8-0000-7000-8000-0000000000aa";
    let answer = api.post("/v1/orders", &order(nobody)).await.problem(422, "rejected");
    assert_eq!(answer.body["rule"], "unknown-customer");
}

#[tokio::test]
async fn an_order_is_accepted_and_can_be_followed() {
    let api = Api::new();
    api.post("/v1/products", &product("A1")).await.is(201);
    let customer = api.post("/v1/customers", &json!({ "name": "Ada" })).await.is(201);
    let customer = customer.header("location").rsplit('/').next().expect("an id").to_owned();
    let id = "0193f5c8-0000-7000-8000-000000000001";
    let order = json!({
        "id": id,
        "customer": customer,
        "lines": [{ "sku": "A1", "quantity": 2, "agreedPrice": { "amount": 200, "currency": "GBP" } }],
        "paymentMethod": "tok_approve",
        "placedAt": "2010-12-01T08:26:00Z",
    });
    let answer = api.post("/v1/orders", &order).await.is(202);
    assert_eq!(answer.header("location"), format!("/v1/orders/{id}"));
    let placed = &answer.body["events"][0];
    assert_eq!(placed["type"], "OrderPlaced");
    assert_eq!(placed["data"]["total"], json!({ "amount": 400, "currency": "GBP" }));
    assert_eq!(placed["data"]["at"], "2010-12-01T08:26:00.000000Z");
    let cancel = json!({ "type": "operator", "note": "a duplicate" });
    let path = format!("/v1/orders/{id}/cancellation");
    let answer = api.post(&path, &cancel).await.is(202);
    assert_eq!(answer.body["events"][0]["type"], "OrderCancelled");
}
