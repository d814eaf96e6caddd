use axum::response::Response;
use daybook_command_side::refunds::refund;
use daybook_domain::Decider;
use daybook_domain::payment;
use daybook_domain::values::PaymentId;
use daybook_query_side::Payment;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::command::{Command, Done, Success, Written};
use crate::error::Error;
use crate::extract::Path;
use crate::read::{Read, resource};
use crate::values::{Amount, now};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(give_back))
}

/// A payment as it stands.
#[utoipa::path(get, path = "/v1/payments/{id}", tag = "payments", operation_id = "getPayment",
    params(("id" = Uuid, Path, description = "The payment's id")),
    responses((status = 200, description = "The payment", body = Payment)))]
async fn show(Path(id): Path<PaymentId>, read: Read) -> Result<Response, Error> {
    let payment = read.of("payments").await?.payment(id.0).await?;
    resource("payment", payment, |payment| payment.revision)
}

/// Money to give back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRefund {
    /// How much; at most what was captured and not given back.
    amount: Amount,
}

/// Give some or all of what was captured back. Send an Idempotency-Key: without one, a refund
/// that is sent again is a second refund.
#[utoipa::path(post, path = "/v1/payments/{id}/refunds", tag = "payments",
    operation_id = "refundPayment", params(("id" = Uuid, Path, description = "The payment's id")),
    request_body = NewRefund,
    responses((status = 200, description = "It was given back", body = Written)))]
async fn give_back(
    Path(id): Path<PaymentId>,
    Command { body, call }: Command<NewRefund>,
) -> Result<Response, Error> {
    let wanted = (id, body.amount.into(), now());
    call.run(move |app, context| async move {
        let provider = &app.gateway.provider;
        let handled = refund(&app.gateway.commands, provider, wanted, &context).await?;
        Done::new(format!("{}-{id}", payment::Payment::CATEGORY), &handled, Success::Ok)
    })
    .await
}
