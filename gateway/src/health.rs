use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use daybook_event_store::{EventStore, Position, Store};
use daybook_query_side::{ProjectionStatus, Queries};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::values::now;

/// Something that must hold for the server to be of use.
#[derive(Clone)]
pub struct ReadinessCheck {
    name: Arc<str>,
    check: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl ReadinessCheck {
    /// A check by its name. It answers quickly; an error says what is wrong and reaches whoever
    /// may ask the server for its health.
    pub fn new(
        name: impl Into<Arc<str>>,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), check: Arc::new(check) }
    }

    /// The checks that every gateway makes: the store takes events, and what queries read is
    /// there and follows.
    pub(crate) fn usual(store: Store, queries: Queries) -> [Self; 2] {
        let store = Arc::new(store);
        let followed = Arc::clone(&store);
        let events = Self::new("event-store", move || {
            let store = Arc::clone(&store);
            async move { check_store(&store).await.map(drop) }.boxed()
        });
        let models = Self::new("read-models", move || {
            let (store, queries) = (Arc::clone(&followed), queries.clone());
            async move { check_models(&store, &queries).await }.boxed()
        });
        [events, models]
    }

    async fn run(&self) -> CheckResult {
        let failure = (self.check)().await.err();
        CheckResult { name: self.name.clone(), ok: failure.is_none(), detail: failure }
    }
}

/// How long a read model may be behind without moving.
const STALL: Duration = Duration::from_secs(15);

async fn check_store(store: &Store) -> Result<Option<Position>, String> {
    match store.stopped() {
        Some(reason) => Err(format!("the store takes no more events: {reason}")),
        None => store.head().await.map_err(|error| error.to_string()),
    }
}

async fn check_models(store: &Store, queries: &Queries) -> Result<(), String> {
    let head = check_store(store).await?.map(|position| position.0);
    let models = queries.projections().await.map_err(|error| error.to_string())?;
    if models.is_empty() {
        return Err("no projection has started yet".into());
    }
    let moved = |model: &ProjectionStatus| model.updated_at.0.plus(STALL) >= now();
    let stalled =
        models.iter().filter(|model| model.live && model.position < head && !moved(model));
    let stalled: Vec<_> = stalled.map(|model| model.name.as_str()).collect();
    if stalled.is_empty() {
        Ok(())
    } else {
        Err(format!("behind and not moving: {}", stalled.join(", ")))
    }
}

/// Whether the server can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether every check holds.
    ready: bool,
    /// What was checked.
    checks: Vec<CheckResult>,
}

/// What one check found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckResult {
    /// What was checked.
    #[schema(value_type = String, example = "event-store")]
    name: Arc<str>,
    /// Whether it holds.
    ok: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Whether the process runs. A supervisor restarts it if this fails.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 204)))]
pub(crate) async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether the server can do its work. A load balancer sends requests elsewhere if this fails.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, description = "Every check holds", body = Readiness),
    (status = 503, description = "Some check fails; the body says which and why", body = Readiness),
))]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let checks = join_all(app.checks.iter().map(ReadinessCheck::run)).await;
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks }))
}
