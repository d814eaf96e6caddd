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
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::App;
use crate::values::now;

/// How long a check may take that commands do not depend on.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that must hold for the server to be of full use.
#[derive(Clone)]
pub struct ReadinessCheck {
    name: Arc<str>,
    required: bool,
    check: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl ReadinessCheck {
    /// A check by its name. While it fails, or has not answered within a second, the server is
    /// degraded: commands are accepted all the same. An error says what is wrong and reaches
    /// whoever may ask the server for its health.
    pub fn new(
        name: impl Into<Arc<str>>,
        check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), required: false, check: Arc::new(check) }
    }

    /// Makes it one that commands depend on: while it fails, requests are to be sent elsewhere. It
    /// is waited for.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The checks that every gateway makes: the store takes events, and what queries read is
    /// there and follows, in each database.
    pub(crate) fn usual(store: Store, queries: &Queries) -> Vec<Self> {
        let store = Arc::new(store);
        let mut checks = vec![Self::models(database_of(&[]), &store, queries, String::new())];
        for apart in queries.apart() {
            let (name, one) = (database_of(apart), apart.first());
            checks.extend(one.map(|one| Self::models(name, &store, queries, one.clone())));
        }
        let events = Self::new("event-store", move || {
            let store = Arc::clone(&store);
            async move { check_store(&store).await.map(drop) }.boxed()
        })
        .required();
        checks.insert(0, events);
        checks
    }

    /// Of the read models in the database of one of them.
    fn models(name: String, store: &Arc<Store>, queries: &Queries, one: String) -> Self {
        let (store, queries, one) = (Arc::clone(store), queries.clone(), Arc::<str>::from(one));
        Self::new(name, move || {
            let (store, queries, one) = (Arc::clone(&store), queries.clone(), Arc::clone(&one));
            async move { check_models(&store, &queries, &one).await }.boxed()
        })
    }

    async fn run(&self) -> CheckResult {
        let Self { ref name, required, ref check } = *self;
        let verdict = if required {
            check().await
        } else {
            let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()));
            timeout(PATIENCE, check()).await.unwrap_or_else(late)
        };
        let failure = verdict.err();
        CheckResult { name: name.clone(), required, ok: failure.is_none(), detail: failure }
    }
}

/// What the database of some read models is called; without any, that of all others.
pub(crate) fn database_of(models: &[String]) -> String {
    format!("read-models {}", models.join(", ")).trim_end().to_owned()
}

/// How long a read model may be behind without moving.
const STALL: Duration = Duration::from_secs(15);

async fn check_store(store: &Store) -> Result<Option<Position>, String> {
    match store.stopped() {
        Some(reason) => Err(format!("the store takes no more events: {reason}")),
        None => store.head().await.map_err(|error| error.to_string()),
    }
}

async fn check_models(store: &Store, queries: &Queries, one: &str) -> Result<(), String> {
    let head = check_store(store).await?.map(|position| position.0);
    let models = queries.projections_beside(one).await.map_err(|error| error.to_string())?;
    // All of them may be in other databases.
    if models.is_empty() && (!one.is_empty() || queries.apart().next().is_none()) {
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

/// What the server is fit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fitness {
    /// Every check holds.
    Ready,
    /// Commands are accepted. What the failing checks are about is missing, stale or late.
    Degraded,
    /// Commands cannot be accepted.
    Unready,
}

impl Fitness {
    fn of(checks: &[CheckResult]) -> Self {
        if checks.iter().all(|check| check.ok) {
            Self::Ready
        } else if checks.iter().all(|check| check.ok || !check.required) {
            Self::Degraded
        } else {
            Self::Unready
        }
    }
}

/// Whether the server can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether requests are to be sent here: every check holds that commands depend on.
    ready: bool,
    /// What it is fit for.
    status: Fitness,
    /// What was checked.
    checks: Vec<CheckResult>,
}

/// What one check found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckResult {
    /// What was checked.
    #[schema(value_type = String, example = "event-store")]
    name: Arc<str>,
    /// Whether commands depend on it.
    required: bool,
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

/// Whether the server can do its work. A load balancer sends requests elsewhere if this fails. It
/// does not while a read model or the search is away: commands are accepted, and the questions that
/// can be answered are.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, description = "Commands are accepted. If the status is `degraded`, some check \
     fails; the body says which and why", body = Readiness),
    (status = 503, description = "Commands cannot be accepted; the body says why", body = Readiness),
))]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let checks = join_all(app.checks.iter().map(ReadinessCheck::run)).await;
    let status = Fitness::of(&checks);
    let ready = status != Fitness::Unready;
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { ready, status, checks }))
}
