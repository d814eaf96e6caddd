use std::str::FromStr;

use axum::Json;
use axum::response::Response;
use daybook_command_side::processes::{
    ExecuteError, ParkedEffect, ParkingError, discard, list, retry,
};
use daybook_domain::ProcessManager;
use daybook_domain::checkout::Checkout;
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::values::Timestamp;
use daybook_event_schemas::format_timestamp;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::command::{Command, Done};
use crate::error::Error;
use crate::extract::Paths;
use crate::read::Read;
use crate::values::{Parsed, Prose, prose};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(parked)).routes(routes!(again)).routes(routes!(give_up))
}

/// A command of a process manager that could not be carried out and waits for an operator.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ParkedCommand {
    /// The process manager.
    #[schema(example = "checkout")]
    process: String,
    /// The order that it is about.
    instance: String,
    /// The command's id.
    command_id: Uuid,
    /// What was to be done.
    #[schema(value_type = Object)]
    command: Value,
    /// Why it could not be done.
    error: String,
    /// How often it was tried.
    attempts: u32,
    /// When it was put aside.
    #[schema(format = DateTime)]
    parked_at: String,
    /// Shared by everything that the same request set off.
    correlation_id: Uuid,
}

impl From<ParkedEffect> for ParkedCommand {
    fn from(effect: ParkedEffect) -> Self {
        Self {
            process: effect.process,
            instance: effect.instance,
            command_id: effect.command_id,
            command: effect.command,
            error: effect.error,
            attempts: effect.attempts,
            parked_at: format_timestamp(Timestamp::from_micros(effect.parked_at)),
            correlation_id: effect.correlation_id,
        }
    }
}

/// What process managers could not get done, by process and age.
#[utoipa::path(get, path = "/v1/processes/parked", tag = "operations",
    operation_id = "getParkedCommands",
    responses((status = 200, description = "What is parked", body = [ParkedCommand])))]
async fn parked(read: Read) -> Result<Json<Vec<ParkedCommand>>, Error> {
    let store = read.app.gateway.commands.store();
    let parked = [Checkout::NAME, Fulfilment::NAME].map(|process| list(store, process));
    let parked = try_join_all(parked).await?.into_iter().flatten();
    Ok(Json(parked.map(Into::into).collect()))
}

/// A process manager by its name.
#[derive(Clone, Copy)]
enum Process {
    Checkout,
    Fulfilment,
}

impl Process {
    fn name(self) -> &'static str {
        match self {
            Self::Checkout => Checkout::NAME,
            Self::Fulfilment => Fulfilment::NAME,
        }
    }
}

impl FromStr for Process {
    type Err = String;

    fn from_str(input: &str) -> Result<Self, String> {
        let known = [Self::Checkout, Self::Fulfilment];
        let process = known.into_iter().find(|process| process.name() == input);
        process.ok_or_else(|| {
            format!("a process must be one of: {}", known.map(Self::name).join(", "))
        })
    }
}

/// Try a parked command once more.
#[utoipa::path(post, path = "/v1/processes/parked/{process}/{command}/retry", tag = "operations",
    operation_id = "retryParkedCommand",
    params(("process" = String, Path, description = "The process manager, such as checkout"),
        ("command" = Uuid, Path, description = "The command's id")),
    responses((status = 204, description = "It is done")))]
async fn again(
    Paths(process, id): Paths<Process, Uuid>,
    Command { call, .. }: Command<()>,
) -> Result<Response, Error> {
    call.run(move |app, context| async move {
        let (commands, actor) = (&app.gateway.commands, &context.actor);
        match process {
            Process::Checkout => {
                retry::<Checkout>(commands, &app.gateway.provider, id, actor).await?;
            }
            Process::Fulfilment => retry::<Fulfilment>(commands, &(), id, actor).await?,
        }
        Ok(Done::nothing())
    })
    .await
}

/// Why a parked command is given up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Discard {
    /// Why, for people.
    #[schema(value_type = Option<String>, max_length = 10_000)]
    reason: Option<Parsed<Prose>>,
}

/// Give a parked command up. What it was to do is not done.
#[utoipa::path(post, path = "/v1/processes/parked/{process}/{command}/discard", tag = "operations",
    operation_id = "discardParkedCommand",
    params(("process" = String, Path, description = "The process manager, such as checkout"),
        ("command" = Uuid, Path, description = "The command's id")),
    request_body = Discard, responses((status = 204, description = "It is given up")))]
async fn give_up(
    Paths(process, id): Paths<Process, Uuid>,
    Command { body, call }: Command<Discard>,
) -> Result<Response, Error> {
    let reason = prose(body.reason);
    call.run(move |app, context| async move {
        let store = app.gateway.commands.store();
        discard(store, process.name(), id, &reason, &context.actor).await?;
        Ok(Done::nothing())
    })
    .await
}

impl From<ParkingError> for Error {
    fn from(error: ParkingError) -> Self {
        match error {
            ParkingError::NotParked { .. } => Self::NotFound { detail: error.to_string() },
            ParkingError::Failed(ExecuteError::Unavailable(_)) => {
                Self::unavailable("what the command needs", &error)
            }
            ParkingError::Failed(ExecuteError::Rejected(_) | ExecuteError::Broken(_)) => {
                Self::Rejected { rule: "stays-parked".into(), detail: error.to_string() }
            }
            ParkingError::Read(_) | ParkingError::Append(_) => {
                Self::unavailable("the event store", &error)
            }
            ParkingError::InvalidName(_) => Self::InvalidParameter { detail: error.to_string() },
            ParkingError::Undecodable(_) => Self::internal(&error),
        }
    }
}
