//! The kinds of problem this API reports (RFC 9457), and where each is documented: its type is a
//! path that the server itself answers.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

/// A kind of problem.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Its place under `/problems/`.
    pub(crate) name: &'static str,
    /// The status it always comes with.
    pub(crate) status: StatusCode,
    /// What it is, the same each time.
    pub(crate) title: &'static str,
    /// What a client should do about it.
    pub(crate) help: &'static str,
}

macro_rules! kinds {
    ($($constant:ident = $name:literal, $status:ident, $title:literal, $help:literal;)*) => {
        $(pub(crate) const $constant: &Kind = &Kind {
            name: $name, status: StatusCode::$status, title: $title, help: $help,
        };)*
        /// Every kind there is.
        pub(crate) const ALL: &[&Kind] = &[$($constant),*];
    };
}

kinds! {
    MALFORMED_JSON = "malformed-json", BAD_REQUEST, "The body is not JSON",
        "Send one JSON document in UTF-8; the detail says where it breaks off.";
    INVALID_PARAMETER = "invalid-parameter", BAD_REQUEST, "A part of the address is not valid",
        "Correct the path segment or query parameter that the detail names. Unknown query \
         parameters are refused, so that a misspelt one is not silently ignored.";
    INVALID_HEADER = "invalid-header", BAD_REQUEST, "A header is not valid",
        "Correct the header that the detail names, or leave it out.";
    NOT_FOUND = "not-found", NOT_FOUND, "There is no such resource",
        "Check the id. After a write, send its Consistency-Token with the read: read models \
         follow the events with a short delay.";
    UNKNOWN_ROUTE = "unknown-route", NOT_FOUND, "There is no such route",
        "See /openapi.json or /docs for the routes that exist.";
    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED,
        "The route does not have this method", "The Allow header names the methods it has.";
    REQUEST_TIMEOUT = "request-timeout", REQUEST_TIMEOUT, "The body came too slowly",
        "Send the request again, with the same Idempotency-Key if it has one.";
    CONFLICT = "conflict", CONFLICT, "Others kept changing the same thing",
        "Nothing was changed. Send the request again after the time in Retry-After.";
    IN_PROGRESS = "request-in-progress", CONFLICT,
        "A request with this Idempotency-Key is being worked on",
        "Send the same request again after the time in Retry-After to get its result.";
    STALE = "stale-revision", PRECONDITION_FAILED, "The resource is at another revision",
        "Nothing was changed. Read the resource, decide again, and send its new ETag in If-Match.";
    BODY_TOO_LARGE = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "Send less at once; the detail names the limit.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE,
        "The body is of an unsupported type", "Send it with Content-Type: application/json.";
    INVALID_BODY = "invalid-body", UNPROCESSABLE_ENTITY, "A field of the body is not valid",
        "Correct the field that the pointer names: it is missing, unknown, of the wrong type or \
         out of its range.";
    REJECTED = "rejected", UNPROCESSABLE_ENTITY, "A business rule says no",
        "Nothing was changed, and repeating the request will not help until the state it speaks \
         of changes. The member rule names the rule.";
    KEY_REUSED = "idempotency-key-reused", UNPROCESSABLE_ENTITY,
        "The Idempotency-Key belongs to another request",
        "A key stands for one request for ever. Use a new one for a new request.";
    PRECONDITION_REQUIRED = "precondition-required", PRECONDITION_REQUIRED,
        "The request must say which revision it changes",
        "Read the resource and send its ETag in If-Match, so that nobody's change is overwritten \
         unseen. If-Match: * overwrites whatever is there.";
    HEAD_TOO_LARGE = "head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The request line and headers are too large",
        "Send fewer or shorter headers; the detail names the limit.";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "Something went wrong in the server",
        "The fault is in the server and was logged under the X-Request-Id of the response.";
    UNAVAILABLE = "unavailable", SERVICE_UNAVAILABLE, "Something this request needs is down",
        "Send the request again after the time in Retry-After, with the same Idempotency-Key if \
         it has one: whether it was carried out is not known.";
    OVERLOADED = "overloaded", SERVICE_UNAVAILABLE, "The server has too much to do",
        "Nothing was done. Send the request again after the time in Retry-After.";
    NOT_CAUGHT_UP = "not-caught-up", SERVICE_UNAVAILABLE,
        "The read model has not reached the Consistency-Token",
        "Send the request again after the time in Retry-After, or without the token to read what \
         is there.";
    DEADLINE_EXCEEDED = "deadline-exceeded", GATEWAY_TIMEOUT, "The request took too long",
        "A write may still be carried out. Send it again with the same Idempotency-Key to learn \
         its result.";
}

impl Kind {
    /// What identifies the kind in a problem.
    pub(crate) fn uri(&self) -> String {
        format!("/problems/{}", self.name)
    }
}

/// Why a request failed, as `application/problem+json` (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "/problems/stale-revision",
    "title": "The resource is at another revision",
    "status": 412,
    "detail": "expected revision 3, but it is at 5",
}))]
pub(crate) struct Problem {
    /// The kind of problem: a path under which this server documents it.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The kind in words.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What went wrong this time.
    pub(crate) detail: String,
    /// The business rule that said no, in kebab case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// What is wrong with the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldError>,
}

/// What is wrong with one field of the body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Where in the body (JSON Pointer, RFC 6901).
    #[schema(example = "/lines/0/quantity")]
    pub(crate) pointer: String,
    /// What is wrong there.
    pub(crate) detail: String,
}

/// What a kind of problem means and what to do about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindPage {
    /// What identifies the kind.
    #[serde(rename = "type")]
    kind: String,
    /// What it is.
    title: &'static str,
    /// The status it comes with.
    status: u16,
    /// What a client should do about it.
    help: &'static str,
}

impl From<&Kind> for KindPage {
    fn from(kind: &Kind) -> Self {
        Self { kind: kind.uri(), title: kind.title, status: kind.status.as_u16(), help: kind.help }
    }
}

/// The kinds of problem this API reports.
#[utoipa::path(get, path = "/problems", tag = "about", responses((status = 200, body = [KindPage])))]
pub(crate) async fn list() -> Json<Vec<KindPage>> {
    Json(ALL.iter().map(|&kind| kind.into()).collect())
}

/// One kind of problem.
#[utoipa::path(get, path = "/problems/{name}", tag = "about",
    params(("name" = String, Path, description = "The last segment of a problem's type")),
    responses((status = 200, body = KindPage)))]
pub(crate) async fn show(Path(name): Path<String>) -> Result<Json<KindPage>, Error> {
    let kind = ALL.iter().find(|kind| kind.name == name);
    kind.map(|&kind| Json(kind.into()))
        .ok_or_else(|| Error::NotFound { detail: "there is no such problem".into() })
}
