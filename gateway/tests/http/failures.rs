//! When something behind the edge fails, the client learns that and no more.

use daybook_command_side::Commands;
use daybook_command_side::idempotency::Idempotency;
use daybook_event_store::{EmbeddedOptions, Store};
use daybook_gateway::{Gateway, GatewayOptions, ReadinessCheck};
use tempfile::TempDir;

use crate::api::{Api, product};

#[tokio::test]
async fn a_panic_is_an_internal_problem_without_a_word_of_it() {
    let panics = ReadinessCheck::new("odd", || panic!("secret of the house"));
    let api = Api::new();
    let gateway = Gateway { readiness: vec![panics], ..api.gateway.clone() };
    let api = Api { router: gateway.router(GatewayOptions::default()), ..api };
    let answer = api.get("/health/ready").await.problem(500, "internal");
    assert!(!answer.body.to_string().contains("secret"), "{}", answer.body);
    assert!(!answer.header("x-request-id").is_empty());
}

#[tokio::test]
async fn a_stopped_store_makes_commands_unavailable_and_the_server_not_ready() {
    let folder = TempDir::new().expect("a folder");
    let store =
        Store::embedded(folder.path(), &EmbeddedOptions::default()).expect("an event store");
    let api = Api::new();
    let _projecting = api.project().await;
    let gateway = Gateway {
        commands: Commands::new(store.clone()),
        idempotency: Idempotency::new(store.clone()),
        ..api.gateway.clone()
    };
    let api = Api { router: gateway.router(GatewayOptions::default()), ..api };
    let health = api.get("/health/ready").await.is(200);
    assert_eq!(health.body["status"], "ready", "{}", health.body);
    api.post("/v1/products", &product("A1")).await.is(201);

    store.close();
    let answer = api.post("/v1/products", &product("B2")).await.problem(503, "unavailable");
    assert_eq!(answer.detail(), "the event store is unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    let key = [("idempotency-key", "a-1")];
    let keyed = api.json("POST", "/v1/products", &key, &product("B2")).await;
    keyed.problem(503, "unavailable");
    let health = api.get("/health/ready").await.is(503);
    assert_eq!(health.body["checks"][0]["name"], "event-store");
    assert_eq!(health.body["checks"][0]["ok"], false);
    assert_eq!((&health.body["ready"], &health.body["status"]), (&false.into(), &"unready".into()));
}

#[tokio::test]
async fn without_read_models_the_server_is_degraded_and_commands_are_accepted() {
    let api = Api::new();
    let health = api.get("/health/ready").await.is(200);
    assert_eq!((&health.body["ready"], &health.body["status"]), (&true.into(), &"degraded".into()));
    let check = &health.body["checks"][1];
    assert_eq!((&check["name"], &check["ok"]), (&"read-models".into(), &false.into()));
    assert_eq!(check["required"], false);
    api.post("/v1/products", &product("A1")).await.is(201);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_answers_degrades_the_server_rather_than_its_answer() {
    let hangs = ReadinessCheck::new("search", || Box::pin(std::future::pending()));
    let api = Api::new();
    let gateway = Gateway { readiness: vec![hangs], ..api.gateway.clone() };
    let api = Api { router: gateway.router(GatewayOptions::default()), ..api };
    let health = api.get("/health/ready").await.is(200);
    assert_eq!(health.body["status"], "degraded");
    assert_eq!(health.body["checks"][2]["detail"], "no answer within 1 s");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let count = |route: &str, status: &str| {
        let families = prometheus::gather();
        let family = families.iter().find(|f| f.name() == "daybook_gateway_request_seconds");
        let metrics = family.map(prometheus::proto::MetricFamily::get_metric).unwrap_or_default();
        let labels = |metric: &prometheus::proto::Metric, name: &str| {
            let label = metric.get_label().iter().find(|label| label.name() == name);
            label.map(|label| label.value().to_owned()).unwrap_or_default()
        };
        let metric = metrics
            .iter()
            .find(|metric| labels(metric, "route") == route && labels(metric, "status") == status);
        metric.map_or(0, |metric| metric.get_histogram().get_sample_count())
    };
    let api = Api::new();
    let before = count("/v1/orders/{id}/shipments", "400");
    api.post("/v1/orders/none/shipments", &product("A1")).await.is(400);
    assert_eq!(count("/v1/orders/{id}/shipments", "400"), before + 1);
    let unmatched = count("unmatched", "404");
    api.get("/made/up/by/the/client").await.is(404);
    assert!(count("unmatched", "404") > unmatched);
}
