//! A gateway on a store in memory, asked in process.

use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use daybook_command_side::Commands;
use daybook_command_side::idempotency::Idempotency;
use daybook_command_side::payments::{Provider, SimulatedProvider};
use daybook_event_store::Store;
use daybook_gateway::{Gateway, GatewayOptions};
use daybook_projections::catalog::{self as projections, CatalogOptions};
use daybook_projections::{Address, Database, Limits, ProjectionOptions, Projections};
use daybook_query_side::Queries;
use daybook_query_side::catalog::Catalog;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) store: Store,
    pub(crate) gateway: Gateway,
    pub(crate) data: TempDir,
}

fn database(data: &Path) -> Address {
    Address::from(&*data.join("read.sqlite").to_string_lossy())
}

/// The read models follow the events while this lives.
pub(crate) struct Projecting {
    _projections: Projections,
    _shutdown: DropGuard,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

pub(crate) fn gateway(store: &Store, data: &Path) -> Gateway {
    Gateway {
        commands: Commands::new(store.clone()),
        idempotency: Idempotency::new(store.clone()),
        provider: Provider::Simulated(SimulatedProvider::new(Store::memory())),
        queries: Queries::open(&database(data), &Limits::default()).expect("an address"),
        catalog: Catalog::new(data.join("catalog")),
        metrics: || "daybook_test 1\n".into(),
        readiness: Vec::new(),
    }
}

impl Api {
    pub(crate) fn new() -> Self {
        Self::with(GatewayOptions::default())
    }

    pub(crate) fn with(options: GatewayOptions) -> Self {
        let (store, data) = (Store::memory(), TempDir::new().expect("a folder"));
        let gateway = gateway(&store, data.path());
        Self { router: gateway.clone().router(options), store, gateway, data }
    }

    /// Posts the read models from now on, until the guard is dropped.
    pub(crate) async fn project(&self) -> Projecting {
        let shutdown = CancellationToken::new();
        let address = database(self.data.path());
        let database = Database::open(&address, &Limits::default()).await.expect("a database");
        let options = ProjectionOptions {
            metrics: prometheus::Registry::new(),
            ..ProjectionOptions::default()
        };
        let started =
            Projections::start(self.store.clone(), database, options, shutdown.clone()).await;
        let projections = started.expect("projections");
        let options = CatalogOptions::new(self.data.path().join("catalog"));
        let started =
            projections::Catalog::start(self.store.clone(), options, shutdown.clone()).await;
        started.expect("a catalog");
        Projecting { _projections: projections, _shutdown: shutdown.drop_guard() }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        Answer::read(response).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, &[], Body::empty())).await
    }

    /// Reads what a write has led to.
    pub(crate) async fn get_after(&self, write: &Answer, path: &str) -> Answer {
        let token = [("consistency-token", write.header("consistency-token"))];
        self.send(request("GET", path, &token, Body::empty())).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, &[], body).await
    }

    pub(crate) async fn json(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut request = request(method, path, headers, Body::from(body.to_string()));
        let json = "application/json".parse().expect("a header");
        request.headers_mut().insert("content-type", json);
        self.send(request).await
    }
}

pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(body).expect("a request")
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::String(text));
        Self { status: parts.status, headers: parts.headers, body }
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        self
    }

    /// That this is a well-formed problem of a kind.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, name: &str) -> Self {
        assert_eq!(self.header("content-type"), "application/problem+json", "{:#}", self.body);
        assert_eq!(self.body["type"], json!(format!("/problems/{name}")), "{:#}", self.body);
        assert_eq!(self.body["status"], json!(status));
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        self.is(status)
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The detail of the problem.
    pub(crate) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    /// Where in the body the problem is.
    pub(crate) fn pointer(&self) -> &str {
        self.body["errors"][0]["pointer"].as_str().unwrap_or_default()
    }
}

/// A product as a client lists it.
pub(crate) fn product(sku: &str) -> Value {
    json!({
        "sku": sku,
        "seller": "lanterns",
        "name": "White hanging heart T-light holder",
        "category": "Home decoration",
        "price": { "amount": 255, "currency": "GBP" },
    })
}
