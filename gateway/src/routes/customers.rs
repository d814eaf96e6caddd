use axum::response::Response;
use daybook_domain::customer::{Customer, CustomerCommand};
use daybook_domain::values::{Country, CustomerId, Email, Label};
use daybook_query_side::{Cursor, Order, Page};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::products::Reason;
use crate::app::App;
use crate::command::{Command, Success, Written};
use crate::error::Error;
use crate::extract::{Params, Path};
use crate::read::{Read, resource};
use crate::values::{PageSize, Parsed, limit, now, prose, value};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(show, change, close))
        .routes(routes!(orders))
}

/// A customer to open an account for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCustomer {
    /// The customer's id, where the caller has one; otherwise the server makes one.
    #[schema(value_type = Option<Uuid>)]
    id: Option<Parsed<CustomerId>>,
    /// What to call them.
    #[schema(value_type = String, example = "Ada Lovelace")]
    name: Parsed<Label>,
    /// Where to write to.
    #[schema(value_type = Option<String>, example = "ada@example.com")]
    email: Option<Parsed<Email>>,
    /// Where they are (ISO 3166-1 alpha-2).
    #[schema(value_type = Option<String>, example = "GB")]
    country: Option<Parsed<Country>>,
}

/// Open an account.
#[utoipa::path(post, path = "/v1/customers", tag = "customers", operation_id = "registerCustomer",
    request_body = NewCustomer,
    responses((status = 201, description = "The account is open", body = Written)))]
async fn register(Command { body, call }: Command<NewCustomer>) -> Result<Response, Error> {
    let customer = value(body.id).unwrap_or_else(|| CustomerId(call.fresh_id()));
    let made = Success::Created(format!("/v1/customers/{customer}"));
    let command = CustomerCommand::Register {
        customer,
        name: body.name.0,
        email: value(body.email),
        country: value(body.country),
        at: now(),
    };
    call.handle::<Customer>(customer, command, made).await
}

/// A customer's account.
#[utoipa::path(get, path = "/v1/customers/{id}", tag = "customers", operation_id = "getCustomer",
    params(("id" = Uuid, Path, description = "The customer's id")),
    responses((status = 200, description = "The account", body = daybook_query_side::Customer)))]
async fn show(Path(id): Path<CustomerId>, read: Read) -> Result<Response, Error> {
    let customer = read.of("customers").await?.customer(id.0).await?;
    resource("customer", customer, |customer| customer.revision)
}

/// A page of orders.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrdersPage {
    /// Where the page begins: from the page before it.
    #[param(value_type = Option<String>)]
    cursor: Option<Parsed<Cursor>>,
    /// How many orders on a page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<Parsed<PageSize>>,
}

/// The orders of a customer, the newest first.
#[utoipa::path(get, path = "/v1/customers/{id}/orders", tag = "customers",
    operation_id = "getOrdersOfCustomer",
    params(("id" = Uuid, Path, description = "The customer's id"), OrdersPage),
    responses((status = 200, description = "A page of them", body = Page<Order>)))]
async fn orders(
    Path(id): Path<CustomerId>,
    Params(page): Params<OrdersPage>,
    read: Read,
) -> Result<Response, Error> {
    let cursor = page.cursor.as_ref().map(|cursor| &cursor.0);
    let queries = read.of("orders").await?;
    Ok(read.page(&queries.orders_of(id.0, cursor, limit(page.limit)).await?))
}

/// What is known of a customer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CustomerDetails {
    /// What to call them.
    #[schema(value_type = String)]
    name: Parsed<Label>,
    /// Where to write to; none where it is left out.
    #[schema(value_type = Option<String>)]
    email: Option<Parsed<Email>>,
    /// Where they are (ISO 3166-1 alpha-2); none where it is left out.
    #[schema(value_type = Option<String>)]
    country: Option<Parsed<Country>>,
}

/// Replace what is known of a customer. Needs If-Match.
#[utoipa::path(put, path = "/v1/customers/{id}", tag = "customers", operation_id = "changeCustomer",
    params(("id" = Uuid, Path, description = "The customer's id")), request_body = CustomerDetails,
    responses((status = 200, description = "It is replaced", body = Written)))]
async fn change(
    Path(customer): Path<CustomerId>,
    Command { body, call }: Command<CustomerDetails>,
) -> Result<Response, Error> {
    let command = CustomerCommand::Change {
        name: body.name.0,
        email: value(body.email),
        country: value(body.country),
        at: now(),
    };
    call.require_match()?.handle::<Customer>(customer, command, Success::Ok).await
}

/// Close an account. It stays readable, as closed; orders placed before go on.
#[utoipa::path(delete, path = "/v1/customers/{id}", tag = "customers",
    operation_id = "closeCustomer",
    params(("id" = Uuid, Path, description = "The customer's id"), Reason),
    responses((status = 200, description = "It is closed", body = Written)))]
async fn close(
    Path(customer): Path<CustomerId>,
    Params(Reason { reason }): Params<Reason>,
    Command { call, .. }: Command<()>,
) -> Result<Response, Error> {
    let command = CustomerCommand::Close { reason: prose(reason), at: now() };
    call.handle::<Customer>(customer, command, Success::Ok).await
}
