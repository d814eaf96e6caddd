//! Questions, and that a client can read its own writes.

use std::time::Duration;

use axum::body::Body;
use daybook_gateway::GatewayOptions;
use serde_json::{Value, json};

use crate::api::{Answer, Api, product, request};

fn id(answer: &Answer) -> String {
    answer.header("location").rsplit('/').next().expect("an id").to_owned()
}

async fn customer(api: &Api) -> String {
    id(&api.post("/v1/customers", &json!({ "name": "Ada", "country": "GB" })).await.is(201))
}

async fn order(api: &Api, customer: &str, placed_at: &str) -> Answer {
    let order = json!({
        "customer": customer,
        "lines": [{ "sku": "A1", "quantity": 2 }],
        "paymentMethod": "tok_approve",
        "placedAt": placed_at,
    });
    api.post("/v1/orders", &order).await.is(202)
}

#[tokio::test]
async fn a_client_reads_its_own_writes() {
    let api = Api::new();
    let _projecting = api.project().await;

    let listed = api.post("/v1/products", &product("A/1")).await.is(201);
    let answer = api.get_after(&listed, listed.header("location")).await.is(200);
    assert_eq!(answer.header("etag"), listed.header("etag"));
    assert_eq!(answer.body["sku"], "A/1");
    assert_eq!(answer.body["price"], json!({ "amount": 255, "currency": "GBP" }));

    let receipt = json!({ "receipt": "r-1", "quantity": 5 });
    let received = api.post("/v1/stock/A%2F1/receipts", &receipt).await.is(200);
    let answer = api.get_after(&received, "/v1/stock/A%2F1").await.is(200);
    assert_eq!((&answer.body["onHand"], &answer.body["available"]), (&json!(5), &json!(5)));
    assert_eq!(answer.header("etag"), "\"0\"");

    let registered = api.post("/v1/customers", &json!({ "name": "Ada" })).await.is(201);
    let answer = api.get_after(&registered, registered.header("location")).await.is(200);
    assert_eq!(answer.body["name"], "Ada");

    // A token serves with every read, whatever was written.
    api.get_after(&registered, listed.header("location")).await.is(200);
    api.get_after(&registered, "/v1/catalog/search").await.is(200);
}

#[tokio::test]
async fn the_etag_of_a_read_serves_the_next_change() {
    let api = Api::new();
    let _projecting = api.project().await;
    let registered = api.post("/v1/customers", &json!({ "name": "Ada" })).await.is(201);
    let path = registered.header("location");
    let tag = api.get_after(&registered, path).await.is(200).header("etag").to_owned();
    let change = json!({ "name": "Ada Lovelace" });
    let changed = api.json("PUT", path, &[("if-match", &tag)], &change).await.is(200);
    let answer = api.get_after(&changed, path).await.is(200);
    assert_eq!(answer.body["name"], "Ada Lovelace");
    let closed = api.json("DELETE", path, &[], &Value::Null).await.is(200);
    assert_eq!(api.get_after(&closed, path).await.is(200).body["status"], "closed");
}

#[tokio::test]
async fn an_order_is_shown_with_its_lines_and_timeline() {
    let api = Api::new();
    let _projecting = api.project().await;
    api.post("/v1/products", &product("A1")).await.is(201);
    let customer = customer(&api).await;
    let placed = order(&api, &customer, "2010-12-01T08:26:00Z").await;
    let answer = api.get_after(&placed, placed.header("location")).await.is(200);
    assert_eq!(answer.header("etag"), "\"0\"");
    assert_eq!(answer.body["status"], "pending");
    assert_eq!(answer.body["total"], json!({ "amount": 510, "currency": "GBP" }));
    assert_eq!(answer.body["placedAt"], "2010-12-01T08:26:00.000000Z");
    assert_eq!(answer.body["lines"][0]["sku"], "A1");
    assert_eq!(answer.body["timeline"][0]["kind"], "OrderPlaced");
}

#[tokio::test]
async fn orders_of_a_customer_come_in_pages() {
    let api = Api::new();
    let _projecting = api.project().await;
    api.post("/v1/products", &product("A1")).await.is(201);
    let customer = customer(&api).await;
    let days: Vec<_> = (1..=5).map(|day| format!("2010-12-0{day}T12:00:00.000000Z")).collect();
    let mut last = None;
    for day in &days {
        last = Some(order(&api, &customer, day).await);
    }
    let last = last.expect("an order");

    let mut path = format!("/v1/customers/{customer}/orders?limit=2");
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let answer = api.get_after(&last, &path).await.is(200);
        let orders = answer.body["items"].as_array().expect("orders");
        seen.extend(
            orders.iter().map(|order| order["placedAt"].as_str().expect("text").to_owned()),
        );
        pages += 1;
        let link = answer.header("link");
        let Some(next) =
            link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""))
        else {
            assert_eq!(link, "");
            break;
        };
        path = next.to_owned();
    }
    assert_eq!(pages, 3);
    assert_eq!(seen, days.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_catalog_is_searched() {
    let api = Api::new();
    let _projecting = api.project().await;
    let mut listed = None;
    for (sku, amount) in [("A1", 100), ("B2", 200), ("C3", 300)] {
        let mut body = product(sku);
        body["price"]["amount"] = json!(amount);
        listed = Some(api.post("/v1/products", &body).await.is(201));
    }
    let listed = listed.expect("a product");
    let path = "/v1/catalog/search?q=heart&minPrice=150&currency=GBP&sort=priceDescending&limit=1";
    let answer = api.get_after(&listed, path).await.is(200);
    assert_eq!((&answer.body["items"][0]["sku"], &answer.body["total"]), (&json!("C3"), &json!(2)));
    let next = answer.header("link").trim_start_matches('<');
    let next = next.split('>').next().expect("a path");
    let answer = api.get(next).await.is(200);
    assert_eq!(answer.body["items"][0]["sku"], "B2");
    assert_eq!(answer.header("link"), "");
}

#[tokio::test]
async fn the_catalog_is_narrowed_and_names_are_completed() {
    let api = Api::new();
    let _projecting = api.project().await;
    let mut listed = api.post("/v1/products", &product("A1")).await.is(201);
    for sku in ["B2", "C3"] {
        listed = api.post("/v1/products", &product(sku)).await.is(201);
    }

    let path = "/v1/catalog/search?inStock=false&sort=newest";
    let found = api.get_after(&listed, path).await.is(200).body;
    assert_eq!((&found["total"], &found["facets"]["outOfStock"]), (&json!(3), &json!(3)));
    let found = api.get("/v1/catalog/search?inStock=true").await.is(200).body;
    assert_eq!((&found["total"], &found["facets"]["outOfStock"]), (&json!(0), &json!(3)));
    let name = product("A1")["name"].as_str().expect("a name").to_owned();
    let typed: String = name.chars().take(3).collect();
    let suggested = api.get(&format!("/v1/catalog/suggest?q={typed}")).await.is(200).body;
    assert_eq!(suggested["items"][0]["name"], json!(name));
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let api = Api::new();
    let _projecting = api.project().await;
    let customer = "/v1/customers/0193f5c8-0000-7000-8000-0000000000aa/orders";
    for path in [
        &format!("{customer}?limit=0"),
        &format!("{customer}?limit=101"),
        &format!("{customer}?limit=many"),
        &format!("{customer}?cursor=zz"),
        &format!("{customer}?cursor=00"),
        &format!("{customer}?offset=3"),
        "/v1/catalog/search?minPrice=1",
        "/v1/catalog/search?minPrice=x&currency=GBP",
        "/v1/catalog/search?currency=XYZW",
        "/v1/catalog/search?sort=best",
        "/v1/catalog/search?inStock=maybe",
        "/v1/catalog/search?cursor=zz",
        "/v1/catalog/search?q=***",
        "/v1/catalog/suggest",
        "/v1/catalog/suggest?q=",
        "/v1/catalog/suggest?q=a&limit=21",
        "/v1/sales/days?from=2010-12-01",
        "/v1/sales/days?from=2010-12-02&to=2010-12-01",
        "/v1/sales/days?from=2010-02-30&to=2010-12-01",
        "/v1/sales/products",
        "/v1/aggregates/product-A1?revision=-1",
        "/v1/aggregates/product-A1?revision=0&at=2010-12-01T00:00:00Z",
        "/v1/aggregates/nonsense",
    ] {
        api.get(path).await.problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let api = Api::new();
    let _projecting = api.project().await;
    let nobody = "0193f5c8-0000-7000-8000-0000000000aa";
    for path in [
        "/v1/products/NONE",
        "/v1/stock/NONE",
        "/v1/aggregates/product-NONE",
        &format!("/v1/customers/{nobody}"),
        &format!("/v1/orders/{nobody}"),
        &format!("/v1/payments/{nobody}"),
    ] {
        api.get(path).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn sales_are_empty_before_anything_is_sold() {
    let api = Api::new();
    let _projecting = api.project().await;
    let days = api.get("/v1/sales/days?from=2010-12-01&to=2011-12-09").await.is(200);
    assert_eq!(days.body, json!([]));
    let products = api.get("/v1/sales/products?currency=GBP").await.is(200);
    assert_eq!(products.body, json!({ "items": [] }));
}

#[tokio::test]
async fn an_aggregate_is_shown_as_it_was() {
    let api = Api::new();
    let listed = api.post("/v1/products", &product("A1")).await.is(201);
    let price = json!({ "price": { "amount": 300, "currency": "GBP" } });
    let tag = [("if-match", listed.header("etag"))];
    api.json("PUT", "/v1/products/A1/price", &tag, &price).await.is(200);
    let amount = |answer: &Answer| answer.body["state"]["price"]["amount"].clone();
    let now = api.get("/v1/aggregates/product-A1").await.is(200);
    assert_eq!((amount(&now), now.header("etag")), (json!(300), "\"1\""));
    let then = api.get("/v1/aggregates/product-A1?revision=0").await.is(200);
    assert_eq!((amount(&then), then.header("etag")), (json!(255), "\"0\""));
    assert_eq!(then.body["events"].as_array().map(Vec::len), Some(1));
    let path = "/v1/aggregates/product-A1?at=2010-12-01T00:00:00Z";
    api.get(path).await.problem(404, "not-found");
    api.get("/v1/aggregates/product-A1?revision=2").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_read_of_what_is_not_there_yet_is_given_up_in_time() {
    let consistency_timeout = Duration::from_millis(20);
    let api = Api::with(GatewayOptions { consistency_timeout, ..GatewayOptions::default() });
    let _projecting = api.project().await;
    let token = [("consistency-token", "pffffffff")];
    for path in ["/v1/products/A1", "/v1/catalog/search"] {
        let answer = api.send(request("GET", path, &token, Body::empty())).await;
        assert_eq!(answer.problem(503, "not-caught-up").header("retry-after"), "1");
    }
    let odd = [("consistency-token", "soon")];
    let answer = api.send(request("GET", "/v1/products/A1", &odd, Body::empty())).await;
    answer.problem(400, "invalid-header");
}

#[tokio::test]
async fn without_read_models_reads_are_unavailable_and_say_no_more() {
    let answer = Api::new().get("/v1/products/A1").await.problem(503, "unavailable");
    assert_eq!(answer.detail(), "the read model is unavailable");
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn the_progress_of_projections_is_shown() {
    let api = Api::new();
    let _projecting = api.project().await;
    let listed = api.post("/v1/products", &product("A1")).await.is(201);
    api.get_after(&listed, "/v1/products/A1").await.is(200);
    let answer = api.get("/v1/projections").await.is(200);
    assert_eq!(answer.body["head"], 0);
    let projections = answer.body["projections"].as_array().expect("projections");
    let products = projections.iter().find(|one| one["name"] == "products").expect("products");
    assert_eq!(products["position"], 0);
}
