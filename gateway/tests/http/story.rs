//! Orders from placed to fulfilled, and what goes wrong on the way, over REST alone.

use std::time::Duration;

use axum::body::Body;
use daybook_command_side::processes::{ProcessHandle, ProcessOptions, ProcessRuntime};
use daybook_domain::checkout::Checkout;
use daybook_domain::fulfilment::Fulfilment;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api::{Answer, Api, product, request};

struct Running {
    _handles: [ProcessHandle; 2],
    _shutdown: DropGuard,
}

fn run_processes(api: &Api) -> Running {
    let shutdown = CancellationToken::new();
    let options = || ProcessOptions {
        attempts: 1,
        backoff: Duration::from_millis(1),
        ..ProcessOptions::default()
    };
    let (commands, provider) = (api.gateway.commands.clone(), api.gateway.provider.clone());
    let checkout =
        ProcessRuntime::<Checkout>::start(commands.clone(), provider, options(), shutdown.clone());
    let fulfilment = ProcessRuntime::<Fulfilment>::start(commands, (), options(), shutdown.clone());
    Running { _handles: [checkout, fulfilment], _shutdown: shutdown.drop_guard() }
}

/// Asks until the answer is as it should be.
async fn until(api: &Api, path: &str, holds: impl Fn(&Value) -> bool) -> Answer {
    let asked = async {
        loop {
            let answer = api.get(path).await;
            if holds(&answer.body) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), asked).await.expect(path)
}

/// Lists and stocks a product, registers a customer and orders two. Gives the order's path.
async fn order(api: &Api, method: &str) -> String {
    api.post("/v1/products", &product("A1")).await.is(201);
    let receipt = json!({ "receipt": "r-1", "quantity": 5 });
    api.post("/v1/stock/A1/receipts", &receipt).await.is(200);
    let customer = api.post("/v1/customers", &json!({ "name": "Ada" })).await.is(201);
    let order = json!({
        "customer": customer.header("location").rsplit('/').next(),
        "lines": [{ "sku": "A1", "quantity": 2 }],
        "paymentMethod": method,
    });
    let placed = api.post("/v1/orders", &order).await.is(202);
    placed.header("location").to_owned()
}

#[tokio::test]
async fn an_order_is_paid_shipped_fulfilled_and_refunded() {
    let api = Api::new();
    let (_projecting, _running) = (api.project().await, run_processes(&api));
    let path = order(&api, "tok_approve").await;
    let paid = until(&api, &path, |order| order["status"] == "paid").await;
    let payment = format!("/v1/payments/{}", paid.body["paymentId"].as_str().expect("an id"));

    let shipment = json!({ "seller": "lanterns", "tracking": "T-1" });
    api.post(&format!("{path}/shipments"), &shipment).await.is(202);
    let done = until(&api, &path, |order| order["status"] == "fulfilled").await;
    assert_eq!(done.body["checkout"]["order"], done.body["id"]);
    assert_eq!(done.body["shipments"][0]["tracking"], "T-1");
    let stock = until(&api, "/v1/stock/A1", |stock| stock["reserved"] == 0).await;
    assert_eq!(stock.body["onHand"], 3);

    let refund = json!({ "amount": { "amount": 100, "currency": "GBP" } });
    let refunds = format!("{payment}/refunds");
    let key = [("idempotency-key", "refund-1")];
    let first = api.json("POST", &refunds, &key, &refund).await.is(200);
    let again = api.json("POST", &refunds, &key, &refund).await.is(200);
    assert_eq!(again.body, first.body);
    let refunded = api.get_after(&first, &payment).await.is(200);
    assert_eq!(refunded.body["refunded"], json!({ "amount": 100, "currency": "GBP" }));
    until(&api, &path, |order| order["refund"] == "partial").await;

    for (amount, currency) in [(411, "GBP"), (1, "EUR"), (0, "GBP"), (-1, "GBP")] {
        let refund = json!({ "amount": { "amount": amount, "currency": currency } });
        api.post(&refunds, &refund).await.problem(422, "rejected");
    }
    let left = api.get(&payment).await.is(200);
    assert_eq!(left.body["refunded"]["amount"], 100);
}

#[tokio::test]
async fn a_declined_order_is_cancelled_with_the_reason() {
    let api = Api::new();
    let (_projecting, _running) = (api.project().await, run_processes(&api));
    let path = order(&api, "tok_decline").await;
    let order = until(&api, &path, |order| order["status"] == "cancelled").await;
    assert_eq!(order.body["cancellation"]["reason"], "paymentDeclined");
    let stock = until(&api, "/v1/stock/A1", |stock| stock["reserved"] == 0).await;
    assert_eq!(stock.body["onHand"], 5);
}

#[tokio::test]
async fn an_operator_retries_and_gives_up_what_was_parked() {
    let api = Api::new();
    let (_projecting, _running) = (api.project().await, run_processes(&api));
    let path = order(&api, "tok_timeout").await;
    let parked = |body: &Value| body[0]["process"] == "checkout";
    let list = until(&api, "/v1/processes/parked", parked).await;
    assert!(path.ends_with(list.body[0]["instance"].as_str().expect("an id")));
    let command = list.body[0]["commandId"].as_str().expect("an id");
    let parked = format!("/v1/processes/parked/checkout/{command}");

    let retry = request("POST", &format!("{parked}/retry"), &[], Body::empty());
    api.send(retry).await.problem(503, "unavailable");
    let reason = json!({ "reason": "the provider is gone" });
    api.post(&format!("{parked}/discard"), &reason).await.is(204);
    api.post(&format!("{parked}/discard"), &reason).await.problem(404, "not-found");
    assert_eq!(api.get("/v1/processes/parked").await.is(200).body, json!([]));
    let elsewhere = format!("/v1/processes/parked/baking/{command}/discard");
    api.post(&elsewhere, &reason).await.problem(400, "invalid-parameter");
}
