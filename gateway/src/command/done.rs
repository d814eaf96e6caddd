use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use daybook_command_side::Handled;
use daybook_command_side::idempotency::Outcome;
use daybook_domain::Decider;
use daybook_event_schemas::Contract;
use daybook_event_store::{Position, Revision};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::Error;
use crate::headers::{CONSISTENCY_TOKEN, consistency_token, etag};

/// How a command that succeeded is answered.
pub(crate) enum Success {
    /// It is done.
    Ok,
    /// It is done, and there is nothing to show.
    NoContent,
    /// It made what is at this path.
    Created(String),
    /// It made what is at this path, and more will come of it.
    Accepted(String),
}

/// What a command did.
pub(crate) struct Done {
    success: Success,
    position: Option<Position>,
    written: Option<Written>,
}

/// What a command did to its stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Written {
    /// The aggregate's stream.
    #[schema(example = "product-85123A")]
    stream: String,
    /// The stream's revision after the command.
    revision: Option<u64>,
    /// What the command made happen; empty where its effect was there already.
    events: Vec<WrittenEvent>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WrittenEvent {
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "ProductListed")]
    kind: &'static str,
    /// The version of its form.
    version: u16,
    /// What it says.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

impl Done {
    /// What a handled command did.
    pub(crate) fn new<D: Decider>(
        stream: String,
        handled: &Handled<D>,
        success: Success,
    ) -> Result<Self, Error>
    where
        D::Event: Contract,
    {
        let events = handled.events.iter().map(written).collect::<Result<_, _>>();
        let events = events.map_err(|error| Error::internal(&error))?;
        let revision = handled.revision.map(|revision| revision.0);
        let written = Some(Written { stream, revision, events });
        Ok(Self { success, position: handled.position, written })
    }

    /// Something was done that has nothing to show.
    pub(crate) fn nothing() -> Self {
        Self { success: Success::NoContent, position: None, written: None }
    }

    fn outcome(self) -> Result<Outcome, serde_json::Error> {
        let (mut headers, mut body) = (Vec::new(), String::new());
        if let Some(written) = self.written {
            body = serde_json::to_string(&written)?;
            headers.push(header(&CONTENT_TYPE, "application/json"));
            headers.extend(written.revision.map(|r| header(&ETAG, etag(Revision(r)))));
        }
        headers.extend(self.position.map(|p| header(&CONSISTENCY_TOKEN, consistency_token(p))));
        let (status, location) = match self.success {
            Success::Ok => (StatusCode::OK, None),
            Success::NoContent => (StatusCode::NO_CONTENT, None),
            Success::Created(path) => (StatusCode::CREATED, Some(path)),
            Success::Accepted(path) => (StatusCode::ACCEPTED, Some(path)),
        };
        headers.extend(location.map(|path| header(&LOCATION, path)));
        Ok(Outcome { status: status.as_u16(), headers, body })
    }
}

fn written<E: Contract>(event: &E) -> Result<WrittenEvent, serde_json::Error> {
    let wire = event.encode();
    let data = serde_json::from_slice(&wire.data)?;
    Ok(WrittenEvent { kind: wire.kind, version: wire.version, data })
}

fn header(name: &HeaderName, value: impl Into<String>) -> (String, String) {
    (name.as_str().to_owned(), value.into())
}

pub(super) fn outcome(result: Result<Done, Error>) -> Outcome {
    let result = result.and_then(|done| done.outcome().map_err(|error| Error::internal(&error)));
    result.unwrap_or_else(|error| error.outcome())
}

/// An outcome as an answer, now or again.
pub(crate) fn respond(outcome: Outcome) -> Response {
    let mut response = Response::new(Body::from(outcome.body));
    *response.status_mut() =
        StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &outcome.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
