//! The simulated provider over HTTP.
//!
//! | request | body | success |
//! |---|---|---|
//! | `POST /v1/authorizations` | `{"payment": UUID, "amount": {"amount", "currency"}, "method"}` | 201 `{"reference"}` |
//! | `POST /v1/authorizations/{reference}/captures` | `{"amount": {"amount", "currency"}}` | 201 `{"reference"}` |
//! | `POST /v1/authorizations/{reference}/voids` | none | 201 `{"reference"}` |
//! | `POST /v1/authorizations/{reference}/refunds` | `{"amount": {"amount", "currency"}}` | 201 `{"reference"}` |
//! | `GET /v1/ledger` | | 200 [`Ledger`](super::Ledger) |
//!
//! Every `POST` needs an `Idempotency-Key`. Failures are problems (RFC 9457): 402 for a decline,
//! 422 for a request that is wrong or a key that was used for another one, 503 when the ledger
//! cannot be reached. A lost answer breaks the connection off in the middle of the response; a
//! timeout holds it open without one, and ends in a 504.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream;
use serde::de::DeserializeOwned;

use super::port::{Operation, ProviderError, RequestKey};
use super::simulated::{Reply, SimulatedProvider};
use super::wire::{AmountBody, AuthorizationBody, Problem, ReceiptBody};

/// How long a request with the token `tok_timeout` is held open.
pub const SILENCE: Duration = Duration::from_secs(30);

/// The most that a request's body may hold, in bytes.
pub const MAX_BODY: usize = 16 << 10;

#[derive(Debug, Clone)]
struct Psp {
    provider: SimulatedProvider,
    silence: Duration,
}

/// The routes of a provider.
pub fn router(provider: SimulatedProvider) -> Router {
    router_with_silence(provider, SILENCE)
}

/// The routes of a provider that holds timed-out requests open for this long.
pub fn router_with_silence(provider: SimulatedProvider, silence: Duration) -> Router {
    Router::new()
        .route("/v1/authorizations", post(authorize))
        .route("/v1/authorizations/{reference}/captures", post(capture))
        .route("/v1/authorizations/{reference}/voids", post(void))
        .route("/v1/authorizations/{reference}/refunds", post(refund))
        .route("/v1/ledger", get(ledger))
        .fallback(|| async { Failure::new(StatusCode::NOT_FOUND, "there is no such resource") })
        .method_not_allowed_fallback(|| async {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "the resource has no such method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Psp { provider, silence })
}

type RawPath = Result<Path<String>, PathRejection>;
type RawBody = Result<Bytes, BytesRejection>;

async fn authorize(State(psp): State<Psp>, headers: HeaderMap, body: RawBody) -> Answer {
    let AuthorizationBody { payment, amount, method } = parse(body)?;
    psp.answer(&headers, Operation::Authorize { payment, amount, method }).await
}

async fn capture(
    State(psp): State<Psp>,
    path: RawPath,
    headers: HeaderMap,
    body: RawBody,
) -> Answer {
    let AmountBody { amount } = parse(body)?;
    let reference = reference(path)?;
    psp.answer(&headers, Operation::Capture { reference, amount }).await
}

async fn void(State(psp): State<Psp>, path: RawPath, headers: HeaderMap) -> Answer {
    let reference = reference(path)?;
    psp.answer(&headers, Operation::Void { reference }).await
}

async fn refund(
    State(psp): State<Psp>,
    path: RawPath,
    headers: HeaderMap,
    body: RawBody,
) -> Answer {
    let AmountBody { amount } = parse(body)?;
    let reference = reference(path)?;
    psp.answer(&headers, Operation::Refund { reference, amount }).await
}

async fn ledger(State(psp): State<Psp>) -> Answer {
    Ok(Json(psp.provider.ledger().await?).into_response())
}

type Answer = Result<Response, Failure>;

impl Psp {
    async fn answer(&self, headers: &HeaderMap, operation: Operation) -> Answer {
        match self.provider.reply(key(headers)?, operation).await {
            Reply::Answered(receipt) => {
                let body = ReceiptBody { reference: receipt?.reference };
                Ok((StatusCode::CREATED, Json(body)).into_response())
            }
            Reply::Lost => Ok((StatusCode::CREATED, broken_off()).into_response()),
            Reply::Silent => {
                tokio::time::sleep(self.silence).await;
                Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, "the card's bank did not answer"))
            }
        }
    }
}

/// A body whose connection is closed before it is complete.
fn broken_off() -> Body {
    let start = Ok(Bytes::from_static(b"{\"reference\":"));
    Body::from_stream(stream::iter([start, Err(io::Error::other("the answer is to be lost"))]))
}

fn key(headers: &HeaderMap) -> Result<RequestKey, Failure> {
    let bad = |detail: &str| Failure::new(StatusCode::BAD_REQUEST, detail);
    let mut values = headers.get_all("idempotency-key").iter();
    let value = values.next().ok_or_else(|| bad("the Idempotency-Key header is missing"))?;
    if values.next().is_some() {
        return Err(bad("there is more than one Idempotency-Key"));
    }
    let key = value.to_str().map_err(|_| bad("the Idempotency-Key is not printable ASCII"))?;
    key.parse().map_err(|error| bad(&format!("{error}")))
}

fn reference(path: RawPath) -> Result<String, Failure> {
    match path {
        Ok(Path(reference)) => Ok(reference),
        Err(error) => Err(Failure::new(error.status(), &error.body_text())),
    }
}

fn parse<T: DeserializeOwned>(body: RawBody) -> Result<T, Failure> {
    let body = body.map_err(|error| Failure::new(error.status(), &error.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| {
        let status = if error.is_data() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::BAD_REQUEST
        };
        Failure::new(status, &format!("the body is not as expected: {error}"))
    })
}

/// A problem on its way to the client.
#[derive(Debug)]
struct Failure(StatusCode, Problem);

impl Failure {
    /// A problem that its status says all about.
    fn new(status: StatusCode, detail: &str) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem");
        Self::of_kind(status, "about:blank", title, detail)
    }

    fn of_kind(status: StatusCode, kind: &'static str, title: &'static str, detail: &str) -> Self {
        let (kind, title, detail) = (kind.into(), title.into(), detail.into());
        Self(status, Problem { kind, title, status: status.as_u16(), detail })
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        match &error {
            ProviderError::Declined { reason } => Self::of_kind(
                StatusCode::PAYMENT_REQUIRED,
                "urn:daybook:problem:declined",
                "Declined",
                reason,
            ),
            ProviderError::Invalid { reason } => Self::of_kind(
                StatusCode::UNPROCESSABLE_ENTITY,
                "urn:daybook:problem:invalid-request",
                "Invalid request",
                reason,
            ),
            ProviderError::KeyReused => Self::of_kind(
                StatusCode::UNPROCESSABLE_ENTITY,
                Problem::KEY_REUSED,
                "Idempotency key reused",
                &error.to_string(),
            ),
            ProviderError::Unavailable { reason } => {
                tracing::warn!(reason, "the simulated provider cannot answer");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the provider cannot answer now")
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(status, problem) = self;
        (status, [(header::CONTENT_TYPE, Problem::MEDIA_TYPE)], Json(problem)).into_response()
    }
}
