//! Every call: how many there are at once, what they hold, and what is told of them.

mod gathering;
mod incoming;
mod outgoing;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::response::Parts;
use axum::response::Response;
use futures::FutureExt;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;
use tracing::{Instrument, Span};

pub(crate) use self::gathering::Gathering;
use self::incoming::Incoming;
use self::outgoing::Outgoing;
use crate::budget::Budget;
use crate::codec::Decoded;
use crate::node::{Endpoint, Node};
use crate::options::ServerOptions;
use crate::protocol::streams::streams_server::StreamsServer;
use crate::streams::StreamsService;
use crate::users::Users;
use crate::{access, errors, http};

/// So many calls at once are many: it is likely that another is answered soon.
const MANY: usize = 5;

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
            current: self.current(),
            total: self.total.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            request_bytes: self.requests.held(),
            response_bytes: self.responses.held(),
        }
    }

    fn current(&self) -> usize {
        self.most.saturating_sub(self.places.available_permits())
    }

    fn are_many(&self) -> bool {
        self.current() >= MANY
    }

    fn count(&self, end: Code) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if !matches!(end, Code::Ok | Code::Cancelled) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What answers calls.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    /// Nearly all calls are for it: it is asked without a search through the routes of the others.
    streams: StreamsServer<StreamsService>,
    others: Router,
}

impl Services {
    pub(crate) fn new(streams: StreamsService, others: Router) -> Self {
        Self { streams: streams.into_server(), others }
    }

    async fn answer(mut self, request: Request) -> Response {
        let path = request.uri().path().strip_prefix('/');
        let method = path.and_then(|path| path.strip_prefix(StreamsServer::<StreamsService>::NAME));
        if method.is_some_and(|method| method.starts_with('/')) {
            let Ok(response) = self.streams.call(request).await;
            response.map(Body::new)
        } else {
            let Ok(response) = self.others.call(request).await;
            response
        }
    }
}

/// Services with what happens around each call: it is counted, bounded in what it holds, and asked
/// who makes it; if it panics, it alone fails.
#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    services: Services,
    node: Arc<Node>,
    /// Who may call; none where nobody is asked.
    users: Option<Users>,
}

impl Guarded {
    pub(crate) fn new(services: Services, node: Arc<Node>, users: Option<Users>) -> Self {
        Self { services, node, users }
    }

    pub(crate) fn calls(&self) -> &Arc<Calls> {
        &self.node.calls
    }

    /// Serves a call, where there is a place for it.
    pub(crate) async fn serve(self, request: Request) -> Response {
        let calls = Arc::clone(&self.node.calls);
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
        let answer = AssertUnwindSafe(self.answer(request)).catch_unwind();
        let answer = Decoded::new(share).count(answer).instrument(call.span.clone());
        let response = answer.await.unwrap_or_else(|_| errors::panicked().into_http());
        let (head, body) = response.into_parts();
        let call = call.answered(&head, body.is_end_stream());
        let body = Outgoing::new(body, responses, call);
        Response::from_parts(head, Body::new(body))
    }

    async fn answer(self, mut request: Request) -> Response {
        Endpoint::note(&self.node, &mut request);
        if let Err(refusal) = access::check(self.users.as_ref(), &mut request).await {
            return refusal;
        }
        self.services.answer(request).await
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
        let span = tracing::debug_span!("call", method = http::method(request));
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
