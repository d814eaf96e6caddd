//! The description of the API, generated from the routes.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::{health, problem};

#[derive(OpenApi)]
#[openapi(info(
    title = "Daybook",
    description = "Commands and queries of the order platform.",
    license(name = "MIT OR Apache-2.0")
))]
struct Description;

/// Routes about the server itself.
pub(crate) fn about() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics))
        .routes(routes!(problem::list))
        .routes(routes!(problem::show))
}

/// Routes of the platform's commands and queries.
pub(crate) fn v1() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}

/// The description of the API (OpenAPI 3.1).
pub fn openapi() -> utoipa::openapi::OpenApi {
    about().merge(v1()).into_openapi()
}

/// Every metric of the process, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (app.gateway.metrics)())
}
