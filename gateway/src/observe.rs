//! What happens around every request: its ids, its span, its metrics and its limits.

use std::sync::LazyLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus::{HistogramVec, IntGauge, register_histogram_vec, register_int_gauge};
use tracing::{Instrument, field};
use uuid::Uuid;

use crate::app::App;
use crate::error::Error;

/// Names one request in logs and answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Names everything that a request sets off.
pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

const REQUEST_ID_LEN: usize = 128;

static REQUESTS: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "daybook_gateway_request_seconds",
        "Time from a request's head to its answer's head, by route and status",
        &["method", "route", "status"],
        vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]
    )
    .expect("no other metric has this name")
});

static IN_PROGRESS: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("daybook_gateway_requests_in_progress", "Requests without an answer yet")
        .expect("no other metric has this name")
});

/// The ids of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestIds {
    request: HeaderValue,
    pub(crate) correlation: Uuid,
}

impl RequestIds {
    /// Takes what the client sent where it is of the right form, and makes what is missing. These
    /// ids only serve to find things again, so a malformed one is replaced and not refused.
    fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(&REQUEST_ID).filter(|id| is_request_id(id));
        let request = sent.cloned().unwrap_or_else(fresh_id);
        let correlation = headers.get(&CORRELATION_ID).and_then(parse_uuid);
        let correlation = correlation.or_else(|| parse_uuid(&request)).unwrap_or_else(Uuid::now_v7);
        Self { request, correlation }
    }

    fn write(self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request);
        if let Ok(correlation) = HeaderValue::try_from(self.correlation.to_string()) {
            headers.insert(CORRELATION_ID, correlation);
        }
    }
}

fn is_request_id(id: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=REQUEST_ID_LEN).contains(&id.len()) && id.as_bytes().iter().all(allowed)
}

fn parse_uuid(value: &HeaderValue) -> Option<Uuid> {
    Uuid::try_parse(value.to_str().ok()?).ok()
}

fn fresh_id() -> HeaderValue {
    HeaderValue::try_from(Uuid::now_v7().to_string())
        .unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// Gives a request its ids, span and metrics, and refuses one with too large a head.
pub(crate) async fn observe(
    State(app): State<App>,
    matched: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let ids = RequestIds::of(request.headers());
    let (method, route) = (method_label(request.method()), matched.as_ref());
    let route = route.map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!("request", %method, route,
        request_id = ?ids.request, correlation_id = %ids.correlation,
        actor = field::Empty, command_id = field::Empty);
    request.extensions_mut().insert(ids.clone());
    IN_PROGRESS.inc();
    let answer = async {
        let mut response = match check_head(&request, app.options.head_bytes) {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        };
        ids.write(response.headers_mut());
        record(method, route, &response, started);
        response
    };
    let response = answer.instrument(span).await;
    IN_PROGRESS.dec();
    response
}

fn record(method: &str, route: &str, response: &Response, started: Instant) {
    let (status, seconds) = (response.status(), started.elapsed().as_secs_f64());
    REQUESTS.with_label_values(&[method, route, status.as_str()]).observe(seconds);
    tracing::debug!(status = status.as_u16(), seconds, "answered");
}

/// The method as a metric's label: methods that no route has are one, so that a client cannot
/// make up labels.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

fn check_head(request: &Request, limit: usize) -> Result<(), Error> {
    let headers = request.headers().iter();
    let fields: usize = headers.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let line = request.uri().path_and_query().map_or(1, |target| target.as_str().len());
    if fields + line > limit { Err(Error::HeadTooLarge { limit }) } else { Ok(()) }
}

/// Turns a request away when too many are in progress, and gives up on one that takes too long.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let Ok(_permit) = app.requests.try_acquire() else {
        return Error::Overloaded { limit: app.options.concurrent_requests }.into_response();
    };
    let limit = app.options.request_timeout;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::DeadlineExceeded { limit }.into_response(),
    }
}
