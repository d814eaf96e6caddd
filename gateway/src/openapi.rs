//! The description of the API, generated from the routes, and the page that shows it.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{
    Components, Content, Header, HeaderBuilder, OpenApi, Ref, RefOr, Required, Response,
    ResponseBuilder,
};
use utoipa::{OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::PROBLEM_JSON;
use crate::problem::Problem;
use crate::{health, problem, routes};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Daybook",
        description = include_str!("openapi.md"),
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct Description;

/// Routes about the server itself.
pub(crate) fn about() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(utoipa_axum::routes!(health::live))
        .routes(utoipa_axum::routes!(health::ready))
        .routes(utoipa_axum::routes!(metrics))
        .routes(utoipa_axum::routes!(document))
        .routes(utoipa_axum::routes!(page))
        .routes(utoipa_axum::routes!(problem::list))
        .routes(utoipa_axum::routes!(problem::show))
}

/// The description of the API (OpenAPI 3.1).
pub fn openapi() -> OpenApi {
    let mut api = about().merge(routes::v1()).into_openapi();
    let components = api.components.get_or_insert_default();
    describe_conventions(components);
    for (path, item) in &mut api.paths.paths {
        if path.starts_with("/v1/") {
            follow_conventions(item);
        }
    }
    api
}

/// Headers of requests by the name of their component.
const READ_HEADERS: [&str; 3] = ["ConsistencyToken", "Actor", "RequestId"];
const WRITE_HEADERS: [&str; 5] =
    ["IdempotencyKey", "IfMatch", "Actor", "RequestId", "CorrelationId"];

fn describe_conventions(components: &mut Components) {
    let parameters = [
        (
            "IdempotencyKey",
            "Idempotency-Key",
            "Names the request: however often it is sent with \
            this key, it takes effect once and gets the same answer.",
        ),
        (
            "IfMatch",
            "If-Match",
            "The ETag of the revision to change, or *. Where it is another \
            by now, nothing is changed.",
        ),
        (
            "ConsistencyToken",
            "Consistency-Token",
            "From the answer to a write: the read waits \
            until it can see that write.",
        ),
        ("Actor", "X-Daybook-Actor", "On whose behalf, as kind:name. Development only."),
        ("RequestId", "X-Request-Id", "Names the request in logs; made where it is missing."),
        (
            "CorrelationId",
            "X-Correlation-Id",
            "A UUID that everything the request sets off will \
            carry; made where it is missing.",
        ),
    ];
    for (component, header, description) in parameters {
        let parameter = header_parameter(header, description);
        components.parameters.insert(component.into(), parameter.into());
    }
    components.responses.insert("Problem".into(), problem_response().into());
}

fn header_parameter(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Object::with_type(Type::String)))
        .build()
}

fn problem_response() -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    ResponseBuilder::new()
        .description("The request failed. See /problems for what each type means.")
        .content(PROBLEM_JSON, Content::new(Some(schema)))
        .build()
}

fn follow_conventions(item: &mut PathItem) {
    item.get.iter_mut().for_each(|read| follow(read, &READ_HEADERS));
    for write in [&mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
        follow(write, &WRITE_HEADERS);
        let responses = write.responses.responses.values_mut();
        responses.filter_map(answer).for_each(|answer| {
            answer.headers.insert("ETag".into(), header("The revision, quoted.").into());
            let token = header("Send it with a read that is to see this write.");
            answer.headers.insert("Consistency-Token".into(), token.into());
        });
    }
}

fn follow(operation: &mut Operation, headers: &[&str]) {
    let references = headers.iter().map(|name| format!("#/components/parameters/{name}"));
    let parameters = operation.parameters.get_or_insert_default();
    parameters.extend(references.map(|reference| RefOr::Ref(Ref::new(reference))));
    let problem = RefOr::Ref(Ref::new("#/components/responses/Problem"));
    operation.responses.responses.insert("default".into(), problem);
}

fn answer(response: &mut RefOr<Response>) -> Option<&mut Response> {
    if let RefOr::T(response) = response { Some(response) } else { None }
}

fn header(description: &str) -> Header {
    let text = Object::with_type(Type::String);
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).build()
}

/// Every metric of the process, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Text exposition format", content_type = "text/plain", body = String)))]
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (app.gateway.metrics)())
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "about",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn document() -> impl IntoResponse {
    static DOCUMENT: LazyLock<String> =
        LazyLock::new(|| openapi().to_json().expect("the description is data only"));
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// A page that shows this description and sends requests. It needs nothing from elsewhere.
#[utoipa::path(get, path = "/docs", tag = "about",
    responses((status = 200, description = "HTML", content_type = "text/html", body = String)))]
async fn page() -> impl IntoResponse {
    const POLICY: &str = "default-src 'none'; connect-src 'self'; \
        script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("docs.html")))
}
