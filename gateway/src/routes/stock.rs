use axum::response::Response;
use daybook_domain::stock::{Stock, StockCommand};
use daybook_domain::values::{Label, Sku};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::command::{Command, Success, Written};
use crate::error::Error;
use crate::extract::Path;
use crate::read::{Read, resource};
use crate::values::{Count, Parsed, Prose, now, prose};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(receive)).routes(routes!(adjust))
}

/// What there is of a SKU.
#[utoipa::path(get, path = "/v1/stock/{sku}", tag = "stock", operation_id = "getStock",
    params(("sku" = String, Path, description = "The product's SKU")),
    responses((status = 200, description = "What there is", body = daybook_query_side::Stock)))]
async fn show(Path(sku): Path<Sku>, read: Read) -> Result<Response, Error> {
    let stock = read.of("stock").await?.stock(sku.as_str()).await?;
    resource("stock", stock, |stock| stock.revision)
}

/// Goods that came in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Receipt {
    /// Names the delivery: one that was booked before is not booked again.
    #[schema(value_type = String, example = "delivery-2026-0117")]
    receipt: Parsed<Label>,
    /// How many.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    quantity: Count,
}

/// Book goods that came in.
#[utoipa::path(post, path = "/v1/stock/{sku}/receipts", tag = "stock", operation_id = "receiveStock",
    params(("sku" = String, Path, description = "The product's SKU")), request_body = Receipt,
    responses((status = 200, description = "They are booked", body = Written)))]
async fn receive(
    Path(sku): Path<Sku>,
    Command { body, call }: Command<Receipt>,
) -> Result<Response, Error> {
    let receipt = body.receipt.0.to_string();
    let command = StockCommand::Receive { quantity: body.quantity.0, receipt, at: now() };
    call.handle::<Stock>(sku, command, Success::Ok).await
}

/// A difference between a count and the books.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Adjustment {
    /// Names the count: one that was booked before is not booked again.
    #[schema(value_type = String, example = "count-2026-01")]
    count: Parsed<Label>,
    /// Found more (above zero) or fewer (below zero) than booked.
    delta: i64,
    /// Why, for people.
    #[schema(value_type = Option<String>, max_length = 10_000)]
    reason: Option<Parsed<Prose>>,
}

/// Correct the books.
#[utoipa::path(post, path = "/v1/stock/{sku}/adjustments", tag = "stock",
    operation_id = "adjustStock", params(("sku" = String, Path, description = "The product's SKU")),
    request_body = Adjustment,
    responses((status = 200, description = "They are corrected", body = Written)))]
async fn adjust(
    Path(sku): Path<Sku>,
    Command { body, call }: Command<Adjustment>,
) -> Result<Response, Error> {
    let command = StockCommand::Adjust {
        delta: body.delta,
        count: body.count.0.to_string(),
        reason: prose(body.reason),
        at: now(),
    };
    call.handle::<Stock>(sku, command, Success::Ok).await
}
