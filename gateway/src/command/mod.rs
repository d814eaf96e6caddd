//! The one way from a request to a command and back.

mod done;
mod refused;

use std::fmt::Display;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use daybook_command_side::CommandContext;
use daybook_command_side::idempotency::{Attempt, Fingerprint, IdempotencyKey, Outcome};
use daybook_domain::Decider;
use daybook_event_schemas::Contract;
use serde::de::DeserializeOwned;
use tracing::{Instrument, Span, field};
use uuid::Uuid;

pub(crate) use done::{Done, Success, Written, respond};

use crate::app::App;
use crate::error::Error;
use crate::extract::{parse_json, read_body};
use crate::headers::{Identity, IfMatch, text, traceparent};
use crate::observe::RequestIds;
use done::outcome;

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

async fn context(parts: &mut Parts, app: &App) -> Result<CommandContext, Error> {
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
        let carry_out = |app, context: CommandContext| {
            Span::current().record("command_id", field::display(context.command_id));
            work(app, context)
        };
        let Some((key, fingerprint)) = key else {
            return Ok(outcome(carry_out(app, context).await));
        };
        let idempotency = app.gateway.idempotency.clone();
        let actor = context.actor.clone();
        let attempt = |Attempt { command_id, repeated }| async move {
            let context = CommandContext { command_id, repeated, ..context };
            outcome(carry_out(app, context).await)
        };
        Ok(idempotency.run(&actor, &key, fingerprint, attempt).await?)
    }
}
