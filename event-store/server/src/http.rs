//! The few routes beside gRPC that clients and probes ask for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use chrono::{SecondsFormat, Utc};
use daybook_event_store::EventStore;
use serde_json::{Value, json};
use tonic::Status;
use uuid::Uuid;

use crate::node::{Endpoint, Node, VERSION};
use crate::protocol::wire_position;
use crate::stats::Stats;

/// The most of a path that is told.
const MOST_PATH: usize = 100;

pub(crate) fn routes(node: Arc<Node>) -> Router {
    Router::new()
        .route("/gossip", get(gossip))
        .route("/health/live", get(|| async { StatusCode::NO_CONTENT }))
        .route("/health/ready", get(ready))
        .route("/info", get(info))
        .route(
            "/ping",
            get(|| async { Json(json!({ "text": "Ping request successfully handled" })) }),
        )
        .route("/stats", get(stats))
        .with_state(node)
}

/// What nothing else answers: as gRPC says it to those who speak it.
pub(crate) async fn unknown(request: Request) -> Response {
    if is_grpc(&request) {
        let what = format!("{} is not supported", request.uri().path());
        Status::unimplemented(what).into_http::<axum::body::Body>()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// The method of a call, as it is told: its path, up to a length.
pub(crate) fn method(request: &Request) -> &str {
    let path = request.uri().path();
    path.get(..MOST_PATH).unwrap_or(path)
}

pub(crate) fn is_grpc(request: &Request) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// A cluster of one node. It has no TCP protocol and no epochs.
async fn gossip(
    State(node): State<Arc<Node>>,
    Extension(Endpoint { host, port }): Extension<Endpoint>,
) -> Result<Json<Value>, Unready> {
    let last = node
        .store
        .head()
        .await
        .map_err(Unready::new)?
        .map_or(-1, |head| i64::try_from(wire_position(head)).unwrap_or(i64::MAX));
    let member = json!({
        "instanceId": node.id,
        "timeStamp": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        "state": if node.stop.is_cancelled() { "ShuttingDown" } else { "Leader" },
        "isAlive": true,
        "internalTcpIp": host,
        "internalTcpPort": 0,
        "internalSecureTcpPort": 0,
        "externalTcpIp": host,
        "externalTcpPort": 0,
        "externalSecureTcpPort": 0,
        "internalHttpEndPointIp": host,
        "internalHttpEndPointPort": port,
        "httpEndPointIp": host,
        "httpEndPointPort": port,
        "lastCommitPosition": last,
        "writerCheckpoint": last,
        "chaserCheckpoint": last,
        "epochPosition": 0,
        "epochNumber": 0,
        "epochId": Uuid::nil(),
        "nodePriority": node.priority.load(Ordering::Relaxed),
        "isReadOnlyReplica": false,
        "esVersion": VERSION,
    });
    Ok(Json(json!({ "members": [member], "serverIp": host, "serverPort": port })))
}

async fn info(State(node): State<Arc<Node>>) -> Json<Value> {
    let authentication = if node.authentication { "internal" } else { "insecure" };
    Json(json!({
        "esVersion": VERSION,
        "dbVersion": VERSION,
        "server": "daybook",
        "serverVersion": env!("CARGO_PKG_VERSION"),
        "state": if node.stop.is_cancelled() { "shuttingdown" } else { "leader" },
        "features": { "projections": false, "userManagement": true, "atomPub": false },
        "authentication": { "type": authentication, "properties": {} },
    }))
}

/// Whether appends are taken.
async fn ready(State(node): State<Arc<Node>>) -> Result<StatusCode, Unready> {
    if node.stop.is_cancelled() {
        return Err(Unready("the server is shutting down".into()));
    }
    node.store.stopped().map_or(Ok(StatusCode::NO_CONTENT), |why| Err(Unready(why)))
}

async fn stats(State(node): State<Arc<Node>>) -> Result<Json<Stats>, Unready> {
    Stats::of(&node).await.map(Json).map_err(Unready::new)
}

/// Why nothing can be said or done.
struct Unready(String);

impl Unready {
    fn new(error: impl std::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Unready {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "reason": self.0 }))).into_response()
    }
}
