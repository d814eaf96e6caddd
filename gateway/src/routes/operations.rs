use axum::Json;
use axum::response::Response;
use daybook_event_store::{EventStore, Revision};
use daybook_query_side::time_travel::{History, Moment, travel};
use daybook_query_side::{ProjectionStatus, Survey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::extract::{Params, Path};
use crate::health::database_of;
use crate::read::{Read, resource};
use crate::values::{Instant, Parsed};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(projections))
}

/// Which of an aggregate's states to show: the last, unless one is named.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct When {
    /// After the event of this revision.
    revision: Option<u64>,
    /// After the last event that was recorded by this instant (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Parsed<Instant>>,
}

impl When {
    fn moment(self) -> Result<Moment, Error> {
        match (self.revision, self.at) {
            (None, None) => Ok(Moment::Latest),
            (Some(revision), None) => Ok(Moment::Revision(Revision(revision))),
            (None, Some(Parsed(Instant(at)))) => Ok(Moment::RecordedBy(at)),
            (Some(_), Some(_)) => {
                Err(Error::InvalidParameter { detail: "revision and at exclude each other".into() })
            }
        }
    }
}

/// What an aggregate or process was at a revision or instant, and the events that made it so.
#[utoipa::path(get, path = "/v1/aggregates/{stream}", tag = "operations",
    operation_id = "getAggregate",
    params(("stream" = String, Path, description = "Its stream, such as order-<id>"), When),
    responses((status = 200, description = "Its state and history", body = History)))]
async fn history(
    Path(stream): Path<String>,
    Params(when): Params<When>,
    read: Read,
) -> Result<Response, Error> {
    let history = travel(read.app.gateway.commands.store(), &stream, when.moment()?).await?;
    resource("stream", Some(history), |history| history.revision)
}

/// How far the read models have come.
#[derive(Serialize, ToSchema)]
struct Progress {
    /// The position of the store's last event; missing where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<u64>,
    /// Every generation of every projection that is told of.
    projections: Vec<ProjectionStatus>,
    /// The databases that cannot be read now, as `/health/ready` names them. What is in them is not
    /// told of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<String>,
}

/// How far the read models have come.
#[utoipa::path(get, path = "/v1/projections", tag = "operations", operation_id = "getProjections",
    responses((status = 200, description = "Their progress", body = Progress)))]
async fn projections(read: Read) -> Result<Json<Progress>, Error> {
    let head = read.app.gateway.commands.store().head().await;
    let head = head.map_err(|error| Error::unavailable("the event store", &error))?;
    let Survey { projections, unread } = read.app.gateway.queries.projections().await?;
    let unread = unread.iter().map(|models| database_of(models)).collect();
    Ok(Json(Progress { head: head.map(|position| position.0), projections, unread }))
}
