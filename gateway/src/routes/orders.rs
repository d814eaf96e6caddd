use axum::response::Response;
use daybook_command_side::orders::{PlaceOrder, RequestedLine, place_order};
use daybook_domain::Decider;
use daybook_domain::order::{CancelReason, Order, OrderCommand};
use daybook_domain::values::{CustomerId, Label, OrderId, PaymentMethod, SellerId, Sku, Timestamp};
use daybook_query_side::{Checkout, OrderDetails};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::command::{Command, Done, Success, Written};
use crate::error::Error;
use crate::extract::Path;
use crate::read::{Read, resource};
use crate::values::{Amount, Count, Instant, Parsed, Prose, now, value};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(place))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(ship))
}

/// What a customer orders.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewOrder {
    /// The order's id, where the caller has one; otherwise the server makes one.
    #[schema(value_type = Option<Uuid>)]
    id: Option<Parsed<OrderId>>,
    /// Who orders.
    #[schema(value_type = Uuid)]
    customer: Parsed<CustomerId>,
    /// What; all lines in one currency.
    #[schema(min_items = 1)]
    lines: Vec<NewOrderLine>,
    /// What the payment provider knows the means of payment by; never a card number.
    #[schema(value_type = String, example = "tok_approve")]
    payment_method: Parsed<PaymentMethod>,
    /// When the order was placed, if not just now.
    #[schema(value_type = Option<String>, example = "2026-01-31T12:00:00Z")]
    placed_at: Option<Parsed<Instant>>,
}

/// One line of an order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewOrderLine {
    /// What.
    #[schema(value_type = String, example = "85123A")]
    sku: Parsed<Sku>,
    /// How many.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000)]
    quantity: Count,
    /// The price of one, where it was agreed beforehand; otherwise the product's price holds.
    agreed_price: Option<Amount>,
}

impl From<NewOrderLine> for RequestedLine {
    fn from(line: NewOrderLine) -> Self {
        Self {
            sku: line.sku.0,
            quantity: line.quantity.0,
            agreed_price: line.agreed_price.map(Into::into),
        }
    }
}

/// Place an order. It is then reserved, confirmed and paid, or cancelled with the reason: follow
/// it at its Location.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", operation_id = "placeOrder",
    request_body = NewOrder, responses((status = 202, description = "It is placed", body = Written)))]
async fn place(Command { body, call }: Command<NewOrder>) -> Result<Response, Error> {
    let order = value(body.id).unwrap_or_else(|| OrderId(call.fresh_id()));
    let request = PlaceOrder {
        order,
        customer: body.customer.0,
        lines: body.lines.into_iter().map(Into::into).collect(),
        method: body.payment_method.0,
        at: past("/placedAt", body.placed_at.as_ref())?,
    };
    call.run(move |app, context| async move {
        let handled = place_order(&app.gateway.commands, request, &context).await?;
        let stream = format!("{}-{order}", Order::CATEGORY);
        Done::new(stream, &handled, follow(order))
    })
    .await
}

/// An order and where its checkout stands.
#[derive(Serialize, ToSchema)]
struct OrderAndCheckout {
    #[serde(flatten)]
    order: OrderDetails,
    /// Its checkout, once that has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkout: Option<Checkout>,
}

/// An order with its lines, shipments, timeline and checkout.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders", operation_id = "getOrder",
    params(("id" = Uuid, Path, description = "The order's id")),
    responses((status = 200, description = "The order", body = OrderAndCheckout)))]
async fn show(Path(id): Path<OrderId>, read: Read) -> Result<Response, Error> {
    let order = read.of("orders").await?.order(id.0).await?;
    let checkout = read.of("checkouts").await?.checkout(id.0).await?;
    let found = order.map(|order| OrderAndCheckout { order, checkout });
    resource("order", found, |found| found.order.order.revision)
}

/// The instant of something that has happened: now, unless the field says when.
fn past(pointer: &str, field: Option<&Parsed<Instant>>) -> Result<Timestamp, Error> {
    let now = now();
    match field {
        None => Ok(now),
        Some(&Parsed(Instant(at))) if at <= now => Ok(at),
        Some(_) => Err(Error::InvalidBody {
            pointer: pointer.into(),
            detail: "it lies in the future".into(),
        }),
    }
}

/// Who calls an order off, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "camelCase")]
enum NewCancellation {
    /// The customer changed their mind.
    CustomerRequest,
    /// Somebody at the shop decided so.
    Operator {
        /// Why.
        #[schema(value_type = String, max_length = 10_000)]
        note: Parsed<Prose>,
    },
}

impl From<NewCancellation> for CancelReason {
    fn from(cancellation: NewCancellation) -> Self {
        match cancellation {
            NewCancellation::CustomerRequest => Self::CustomerRequest,
            NewCancellation::Operator { note } => Self::Operator { note: note.0.0 },
        }
    }
}

/// Call an order off; possible until its first shipment. What was reserved and paid is given
/// back afterwards.
#[utoipa::path(post, path = "/v1/orders/{id}/cancellation", tag = "orders",
    operation_id = "cancelOrder", params(("id" = Uuid, Path, description = "The order's id")),
    request_body = NewCancellation,
    responses((status = 202, description = "It is called off", body = Written)))]
async fn cancel(
    Path(order): Path<OrderId>,
    Command { body, call }: Command<NewCancellation>,
) -> Result<Response, Error> {
    let command = OrderCommand::Cancel { reason: body.into(), at: now() };
    call.handle::<Order>(order, command, follow(order)).await
}

/// Some lines of an order that were handed to a carrier.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewShipment {
    /// Whose lines.
    #[schema(value_type = String, example = "lanterns-and-more")]
    seller: Parsed<SellerId>,
    /// The carrier's reference.
    #[schema(value_type = Option<String>)]
    tracking: Option<Parsed<Label>>,
    /// When, if not just now.
    #[schema(value_type = Option<String>, example = "2026-01-31T12:00:00Z")]
    shipped_at: Option<Parsed<Instant>>,
}

/// Record that a seller shipped its lines of a paid order.
#[utoipa::path(post, path = "/v1/orders/{id}/shipments", tag = "orders",
    operation_id = "shipOrder", params(("id" = Uuid, Path, description = "The order's id")),
    request_body = NewShipment,
    responses((status = 202, description = "They went out", body = Written)))]
async fn ship(
    Path(order): Path<OrderId>,
    Command { body, call }: Command<NewShipment>,
) -> Result<Response, Error> {
    let command = OrderCommand::Ship {
        seller: body.seller.0,
        tracking: value(body.tracking).map(|label| label.to_string()).unwrap_or_default(),
        at: past("/shippedAt", body.shipped_at.as_ref())?,
    };
    call.handle::<Order>(order, command, follow(order)).await
}

fn follow(order: OrderId) -> Success {
    Success::Accepted(format!("/v1/orders/{order}"))
}
