use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures::future::{BoxFuture, join_all};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

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

    async fn run(&self) -> CheckResult {
        let failure = (self.check)().await.err();
        CheckResult { name: self.name.clone(), ok: failure.is_none(), detail: failure }
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
    let checks = join_all(app.gateway.readiness.iter().map(ReadinessCheck::run)).await;
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks }))
}
