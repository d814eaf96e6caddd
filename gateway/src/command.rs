//! The one way from a request to a command and back.

use std::fmt::{Debug, Display};

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use daybook_command_side::idempotency::{
    Attempt, Fingerprint, IdempotencyError, IdempotencyKey, Outcome,
};
use daybook_command_side::orders::PlaceOrderError;
use daybook_command_side::refunds::RefundError;
use daybook_command_side::{CommandContext, CommandError, Handled};
use daybook_domain::Decider;
use daybook_event_schemas::Contract;
use daybook_event_store::{Position, Revision};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::error::Error;
use crate::extract::{parse_json, read_body};
use crate::headers::{
    CONSISTENCY_TOKEN, Identity, IfMatch, consistency_token, etag, text, traceparent,
};
use crate::observe::RequestIds;

/// Keeps ids made for keyed requests apart from other derived ids.
const NEW_IDS: Uuid = Uuid::from_u128(0x2d0f_61a7_93b8_4a52_8c6e_b4d5_1f7a_e093);

/// A request for a command: its body, and the means to carry it out.
pub(crate) struct Command<B> {
    pub(crate) body: B,
    pub(crate) call: Call,
}

impl<B: DeserializeOwned> FromRequest<App> for Command<B> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let context = context(&mut parts, app).await?;
        let key = idempotency_key(&parts.headers)?;
        let if_match = IfMatch::of(&parts.headers)?;
        let target = format!("{} {}", parts.method, parts.uri);
        let headers = parts.headers.clone();
        let bytes = read_body(Request::from_parts(parts, body), app).await?;
        let body = parse_json(&headers, &bytes)?;
        let key = key.map(|key| (key, Fingerprint::of([target.as_bytes(), &bytes])));
        let context = CommandContext { expected: if_match.revision(), ..context };
        Ok(Self { body, call: Call { app: app.clone(), context, if_match, key } })
    }
}

async fn context(
    parts: &mut axum::http::request::Parts,
    app: &App,
) -> Result<CommandContext, Error> {
    let Identity(actor) = Identity::from_request_parts(parts, app).await?;
    let correlation = parts.extensions.get::<RequestIds>().map(|ids| ids.correlation);
    Ok(CommandContext {
        correlation_id: correlation.unwrap_or_else(Uuid::now_v7),
        traceparent: traceparent(&parts.headers),
        ..CommandContext::new(actor)
    })
}

/// The draft has the key as a quoted string; most clients send it bare. Both are taken.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Error> {
    const NAME: &str = "idempotency-key";
    let Some(sent) = text(headers, NAME)? else { return Ok(None) };
    let bare = sent.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(sent);
    let invalid =
        |error: &dyn Display| Error::InvalidHeader { header: NAME, detail: error.to_string() };
    bare.parse().map(Some).map_err(|error| invalid(&error))
}

/// The circumstances of a command.
pub(crate) struct Call {
    app: App,
    pub(crate) context: CommandContext,
    if_match: IfMatch,
    key: Option<(IdempotencyKey, Fingerprint)>,
}

impl Call {
    /// Refuses a change that does not say which revision it is based on.
    pub(crate) fn require_match(self) -> Result<Self, Error> {
        match self.if_match {
            IfMatch::Missing => Err(Error::PreconditionRequired),
            IfMatch::Any | IfMatch::Exactly(_) => Ok(self),
        }
    }

    /// An id for something new: the same whenever the request comes with the same key.
    pub(crate) fn fresh_id(&self) -> Uuid {
        match &self.key {
            Some((key, _)) => {
                Uuid::new_v5(&NEW_IDS, format!("{} {key}", self.context.actor.0).as_bytes())
            }
            None => Uuid::now_v7(),
        }
    }

    /// Carries out a command of one aggregate.
    pub(crate) async fn handle<D: Decider>(
        self,
        id: impl Display + Send + 'static,
        command: D::Command,
        success: Success,
    ) -> Result<Response, Error>
    where
        D::Event: Contract,
    {
        self.run(move |app, context| async move {
            let stream = format!("{}-{id}", D::CATEGORY);
            let handled = app.gateway.commands.handle::<D>(id, command, &context).await?;
            Done::new(stream, &handled, success)
        })
        .await
    }

    /// Does some work once, however often its key comes, and goes on with it even where the
    /// client does not wait.
    pub(crate) async fn run<F>(
        self,
        work: impl FnOnce(App, CommandContext) -> F + Send + 'static,
    ) -> Result<Response, Error>
    where
        F: Future<Output = Result<Done, Error>> + Send + 'static,
    {
        let commands = self.app.commands.clone();
        match commands.spawn(self.perform(work).in_current_span()).await {
            Ok(outcome) => Ok(respond(outcome?)),
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => Err(Error::unavailable("the server", &cancelled)),
            },
        }
    }

    async fn perform<F>(
        self,
        work: impl FnOnce(App, CommandContext) -> F + Send + 'static,
    ) -> Result<Outcome, Error>
    where
        F: Future<Output = Result<Done, Error>> + Send + 'static,
    {
        let Self { app, context, key, .. } = self;
        let Some((key, fingerprint)) = key else {
            return Ok(outcome(work(app, context).await));
        };
        let idempotency = app.gateway.idempotency.clone();
        let actor = context.actor.clone();
        let attempt = |Attempt { command_id, repeated }| async move {
            let context = CommandContext { command_id, repeated, ..context };
            outcome(work(app, context).await)
        };
        Ok(idempotency.run(&actor, &key, fingerprint, attempt).await?)
    }
}

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

fn outcome(result: Result<Done, Error>) -> Outcome {
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

/// A rule by the name of the variant that stands for it.
fn rejected(rejection: &(impl Debug + Display)) -> Error {
    let debug = format!("{rejection:?}");
    let variant = debug.chars().take_while(char::is_ascii_alphanumeric);
    let rule = variant.enumerate().fold(String::new(), |mut rule, (at, letter)| {
        if letter.is_ascii_uppercase() && at > 0 {
            rule.push('-');
        }
        rule.push(letter.to_ascii_lowercase());
        rule
    });
    Error::Rejected { rule, detail: rejection.to_string() }
}

impl<R: std::error::Error + 'static> From<CommandError<R>> for Error {
    fn from(error: CommandError<R>) -> Self {
        match error {
            CommandError::Rejected(rejection) => rejected(&rejection),
            CommandError::Stale { expected, actual } => {
                Self::Stale { expected: expected.0, actual: actual.map(|revision| revision.0) }
            }
            CommandError::Conflict { attempts } => Self::Conflict { attempts },
            CommandError::TooLarge(error) => {
                Self::Rejected { rule: "too-large".into(), detail: error.to_string() }
            }
            CommandError::Unavailable(error) => Self::unavailable("the event store", &error),
            CommandError::Damaged(error) => Self::internal(&error),
            CommandError::InvalidId(error) => Self::InvalidParameter { detail: error.to_string() },
        }
    }
}

impl From<PlaceOrderError> for Error {
    fn from(error: PlaceOrderError) -> Self {
        match error {
            PlaceOrderError::Command(error) => error.into(),
            refused => rejected(&refused),
        }
    }
}

impl From<RefundError> for Error {
    fn from(error: RefundError) -> Self {
        match error {
            RefundError::Command(error) => error.into(),
            RefundError::Declined { .. } => {
                Self::Rejected { rule: "provider-declined".into(), detail: error.to_string() }
            }
            RefundError::Unavailable(_) => Self::unavailable("the payment provider", &error),
        }
    }
}

impl From<IdempotencyError> for Error {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::DifferentPayload => Self::KeyReused,
            IdempotencyError::InProgress => Self::InProgress,
            IdempotencyError::Unavailable(_) => Self::unavailable("the event store", &error),
            IdempotencyError::Damaged(_) => Self::internal(&error),
        }
    }
}
