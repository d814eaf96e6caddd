//! Every call: how many there are at once, what they hold, and what is told of them.

mod incoming;
mod outgoing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::response::Parts;
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status};
use tracing::{Instrument, Span};

use self::incoming::Incoming;
use self::outgoing::Outgoing;
use crate::budget::Budget;
use crate::codec::Decoded;
use crate::options::ServerOptions;

/// The most of a path that is told.
const MOST_PATH: usize = 100;

/// The calls of a server.
#[derive(Debug)]
pub(crate) struct Calls {
    places: Arc<Semaphore>,
    most: usize,
    requests: Budget,
    responses: Budget,
    message_timeout: Duration,
    total: AtomicU64,
    failed: AtomicU64,
}

/// Calls in numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallStats {
    /// Those under way.
    current: usize,
    /// Those that have ended since the server began.
    total: u64,
    /// Those of them that ended with an error.
    failed: u64,
    /// Bytes that requests and responses hold of their budgets.
    request_bytes: usize,
    response_bytes: usize,
}

impl Calls {
    pub(crate) fn new(options: &ServerOptions) -> Self {
        Self {
            places: Arc::new(Semaphore::new(options.calls)),
            most: options.calls,
            requests: Budget::new(options.request_bytes),
            responses: Budget::new(options.response_bytes),
            message_timeout: options.message_timeout,
            total: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(crate) fn stats(&self) -> CallStats {
        CallStats {
            current: self.most.saturating_sub(self.places.available_permits()),
            total: self.total.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            request_bytes: self.requests.held(),
            response_bytes: self.responses.held(),
        }
    }

    fn count(&self, end: Code) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if !matches!(end, Code::Ok | Code::Cancelled) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Serves a call, where there is a place for it, and sees to what it holds.
    pub(crate) async fn guard(
        State(calls): State<Arc<Self>>,
        request: Request,
        next: Next,
    ) -> Response {
        let Ok(place) = Arc::clone(&calls.places).try_acquire_owned() else {
            calls.count(Code::ResourceExhausted);
            let most = format!("there are {} calls under way: try again later", calls.most);
            return Status::resource_exhausted(most).into_http();
        };
        let (requests, responses) = (calls.requests.share(), calls.responses.share());
        let timeout = calls.message_timeout;
        let call = Call::begin(calls, place, &request);
        let share = requests.clone();
        let mut request = request.map(|body| Body::new(Incoming::new(body, &requests, timeout)));
        request.extensions_mut().insert(share.clone());
        let answer = Decoded::new(share).count(next.run(request));
        let response = answer.instrument(call.span.clone()).await;
        let (head, body) = response.into_parts();
        let call = call.answered(&head, body.is_end_stream());
        let body = Outgoing::new(body, responses, call);
        Response::from_parts(head, Body::new(body))
    }
}

/// A call until its last byte was sent, or its client has left.
#[derive(Debug)]
struct Call {
    calls: Arc<Calls>,
    span: Span,
    began: Instant,
    /// What it ended with; none where the client left before.
    end: Option<Code>,
    place: Arc<OwnedSemaphorePermit>,
}

impl Call {
    fn begin(calls: Arc<Calls>, place: OwnedSemaphorePermit, request: &Request) -> Self {
        let path = request.uri().path();
        let method = path.get(..MOST_PATH).unwrap_or(path);
        let span = tracing::info_span!("call", method);
        Self { calls, span, began: Instant::now(), end: None, place: Arc::new(place) }
    }

    /// Some answers say in their head how they end.
    fn answered(mut self, head: &Parts, is_all: bool) -> Self {
        if !head.status.is_success() {
            self.end = Some(Code::Unknown);
        } else if is_all {
            self.end = Some(Code::Ok);
        }
        self.note(&head.headers);
        self
    }

    /// Notes how it ends, where these headers or trailers say so.
    fn note(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(Status::GRPC_STATUS) {
            self.end = Some(Code::from_bytes(status.as_bytes()));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let end = self.end.unwrap_or(Code::Cancelled);
        self.calls.count(end);
        let seconds = self.began.elapsed().as_secs_f64();
        self.span.in_scope(|| tracing::debug!(status = ?end, seconds, "ended"));
    }
}
