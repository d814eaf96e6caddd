use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use daybook_command_side::idempotency::Outcome;
use thiserror::Error;

use crate::command::respond;
use crate::problem::{self, FieldError, Kind, Problem};

/// Why a request failed. What a variant displays is the detail that the client reads; what only
/// the operator may read is logged where the variant is made.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("the body is not JSON: {detail}")]
    MalformedJson { detail: String },
    #[error("{detail}")]
    InvalidBody { pointer: String, detail: String },
    #[error("{detail}")]
    InvalidParameter { detail: String },
    #[error("{header}: {detail}")]
    InvalidHeader { header: &'static str, detail: String },
    #[error("{detail}")]
    NotFound { detail: String },
    #[error("there is no route for this path")]
    UnknownRoute,
    #[error("this route does not have the method {method}")]
    MethodNotAllowed { method: String },
    #[error("the body did not arrive within {} s", .limit.as_secs())]
    RequestTimeout { limit: Duration },
    #[error("others were first {attempts} times in a row")]
    Conflict { attempts: u32 },
    #[error("a request with this Idempotency-Key is being worked on")]
    InProgress,
    #[error("expected revision {expected}, but {}", found(.actual.as_ref()))]
    Stale { expected: u64, actual: Option<u64> },
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body must be application/json")]
    UnsupportedMediaType,
    #[error("{detail}")]
    Rejected { rule: String, detail: String },
    #[error("this Idempotency-Key was used before with another request")]
    KeyReused,
    #[error("If-Match is missing: send the ETag of the revision that this change is based on")]
    PreconditionRequired,
    #[error("the request line and headers are larger than {limit} bytes")]
    HeadTooLarge { limit: usize },
    #[error("the server failed; its log has the reason")]
    Internal,
    #[error("{what} is unavailable")]
    Unavailable { what: &'static str },
    #[error("the server is working on {limit} requests already")]
    Overloaded { limit: usize },
    #[error("the read model {projection} did not reach the position in time")]
    NotCaughtUp { projection: &'static str },
    #[error("the request was not done within {} s", .limit.as_secs())]
    DeadlineExceeded { limit: Duration },
}

fn found(actual: Option<&u64>) -> String {
    actual.map_or("there is nothing yet".into(), |revision| format!("it is at {revision}"))
}

impl Error {
    /// The kind of problem a client sees.
    pub(crate) fn kind(&self) -> &'static Kind {
        match self {
            Self::MalformedJson { .. } => problem::MALFORMED_JSON,
            Self::InvalidBody { .. } => problem::INVALID_BODY,
            Self::InvalidParameter { .. } => problem::INVALID_PARAMETER,
            Self::InvalidHeader { .. } => problem::INVALID_HEADER,
            Self::NotFound { .. } => problem::NOT_FOUND,
            Self::UnknownRoute => problem::UNKNOWN_ROUTE,
            Self::MethodNotAllowed { .. } => problem::METHOD_NOT_ALLOWED,
            Self::RequestTimeout { .. } => problem::REQUEST_TIMEOUT,
            Self::Conflict { .. } => problem::CONFLICT,
            Self::InProgress => problem::IN_PROGRESS,
            Self::Stale { .. } => problem::STALE,
            Self::BodyTooLarge { .. } => problem::BODY_TOO_LARGE,
            Self::UnsupportedMediaType => problem::UNSUPPORTED_MEDIA_TYPE,
            Self::Rejected { .. } => problem::REJECTED,
            Self::KeyReused => problem::KEY_REUSED,
            Self::PreconditionRequired => problem::PRECONDITION_REQUIRED,
            Self::HeadTooLarge { .. } => problem::HEAD_TOO_LARGE,
            Self::Internal => problem::INTERNAL,
            Self::Unavailable { .. } => problem::UNAVAILABLE,
            Self::Overloaded { .. } => problem::OVERLOADED,
            Self::NotCaughtUp { .. } => problem::NOT_CAUGHT_UP,
            Self::DeadlineExceeded { .. } => problem::DEADLINE_EXCEEDED,
        }
    }

    /// Logs what the client must not see, and is what it sees instead.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::Internal
    }

    /// Logs why something is down, and says to the client only that it is.
    pub(crate) fn unavailable(
        what: &'static str,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        tracing::warn!(error, what, "a request failed for now");
        Self::Unavailable { what }
    }

    /// Whether, and after how many seconds, the request is worth repeating as it is.
    pub(crate) fn retry_after(&self) -> Option<&'static str> {
        match self {
            Self::Conflict { .. }
            | Self::InProgress
            | Self::Overloaded { .. }
            | Self::NotCaughtUp { .. } => Some("1"),
            Self::Unavailable { .. } => Some("5"),
            _ => None,
        }
    }

    /// The problem document.
    pub(crate) fn problem(&self) -> Problem {
        let kind = self.kind();
        let (mut rule, mut errors) = (None, Vec::new());
        match self {
            Self::Rejected { rule: name, .. } => rule = Some(name.clone()),
            Self::InvalidBody { pointer, detail } => {
                errors.push(FieldError { pointer: pointer.clone(), detail: detail.clone() });
            }
            _ => {}
        }
        Problem {
            kind: kind.uri(),
            title: kind.title,
            status: kind.status.as_u16(),
            detail: self.to_string(),
            rule,
            errors,
        }
    }
}

/// The media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

impl Error {
    /// The answer to the request, in a form that can be kept.
    pub(crate) fn outcome(&self) -> Outcome {
        let mut headers = vec![(CONTENT_TYPE.to_string(), PROBLEM_JSON.to_owned())];
        let retry = self.retry_after().map(|seconds| (RETRY_AFTER.to_string(), seconds.to_owned()));
        headers.extend(retry);
        let body = serde_json::to_string(&self.problem()).unwrap_or_default();
        Outcome { status: self.kind().status.as_u16(), headers, body }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        respond(self.outcome())
    }
}

/// The answer to a request that made a handler panic. What it said is in the log.
#[expect(clippy::needless_pass_by_value, reason = "tower's signature")]
pub(crate) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let said = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = said, "a request made its handler panic");
    Error::Internal.into_response()
}
