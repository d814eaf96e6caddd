use daybook_domain::checkout::{Checkout, CheckoutCommand, CheckoutFact, CheckoutInput};
use daybook_domain::order::{Order, OrderCommand, OrderEvent, items};
use daybook_domain::payment::PaymentEvent;
use daybook_domain::stock::{Stock, StockCommand, StockEvent};
use daybook_domain::values::{OrderId, Sku, Timestamp};
use daybook_event_schemas::{DomainEvent, Envelope};

use super::payment::PaymentTask;
use super::{ExecuteError, Process, Task};
use crate::payments::Provider;

impl Process for Checkout {
    const FOLLOWS: &'static [&'static str] = &[
        "OrderPlaced",
        "OrderConfirmed",
        "OrderPaid",
        "OrderCancelled",
        "OrderShipped",
        "StockReserved",
        "StockReleased",
        "PaymentAuthorized",
        "PaymentDeclined",
        "PaymentCaptured",
        "PaymentVoided",
        "PaymentRefunded",
    ];
    type Ports = Provider;

    fn input(event: &Envelope<DomainEvent>) -> Option<CheckoutInput> {
        let (order, what) = match &event.event {
            DomainEvent::Order(happened) => {
                (event.stream.id().parse().ok()?, order_fact(happened)?)
            }
            DomainEvent::Stock(happened) => {
                stock_fact(happened, || event.stream.id().parse().ok())?
            }
            DomainEvent::Payment(happened) => payment_fact(happened)?,
            DomainEvent::Product(_) | DomainEvent::Customer(_) => return None,
        };
        Some(CheckoutInput { order, at: Timestamp::from_micros(event.recorded_at), what })
    }

    async fn execute(
        task: Task<'_, Provider>,
        command: &CheckoutCommand,
    ) -> Result<(), ExecuteError> {
        let (order, at) = (task.instance, task.at);
        match command.clone() {
            CheckoutCommand::Reserve { sku, quantity, expires_at } => {
                let reserve = StockCommand::Reserve { order, quantity, expires_at, at };
                task.handle::<Stock>(sku, reserve).await
            }
            CheckoutCommand::Extend { sku, expires_at } => {
                task.handle::<Stock>(sku, StockCommand::Extend { order, expires_at, at }).await
            }
            CheckoutCommand::Release { sku, reason } => {
                task.handle::<Stock>(sku, StockCommand::Release { order, reason, at }).await
            }
            CheckoutCommand::ConfirmOrder => {
                task.handle::<Order>(order, OrderCommand::Confirm { at }).await
            }
            CheckoutCommand::MarkPaid { payment, amount } => {
                task.handle::<Order>(order, OrderCommand::MarkPaid { payment, amount, at }).await
            }
            CheckoutCommand::CancelOrder { reason } => {
                task.handle::<Order>(order, OrderCommand::Cancel { reason, at }).await
            }
            CheckoutCommand::RecordRefund { refund, amount } => {
                let record = OrderCommand::RecordRefund { refund, amount, at };
                task.handle::<Order>(order, record).await
            }
            CheckoutCommand::Authorize { payment, amount, method } => {
                PaymentTask::new(task, payment).authorize(amount, &method).await
            }
            CheckoutCommand::Capture { payment, amount } => {
                PaymentTask::new(task, payment).capture(amount).await
            }
            CheckoutCommand::Void { payment } => PaymentTask::new(task, payment).void().await,
            CheckoutCommand::Refund { payment, amount } => {
                PaymentTask::new(task, payment).refund(amount).await
            }
        }
    }
}

fn order_fact(event: &OrderEvent) -> Option<CheckoutFact> {
    Some(match event {
        OrderEvent::Placed { lines, total, method, .. } => {
            let items = items(lines).into_iter().map(|item| (item.sku, item.quantity)).collect();
            CheckoutFact::OrderPlaced { items, total: *total, method: method.clone() }
        }
        OrderEvent::Confirmed { .. } => CheckoutFact::OrderConfirmed,
        OrderEvent::Paid { .. } => CheckoutFact::OrderPaid,
        OrderEvent::Cancelled { reason, .. } => {
            CheckoutFact::OrderCancelled { reason: reason.clone() }
        }
        OrderEvent::Shipped { .. } => CheckoutFact::OrderShipped,
        OrderEvent::PartiallyFulfilled { .. }
        | OrderEvent::Fulfilled { .. }
        | OrderEvent::Refunded { .. } => return None,
    })
}

fn stock_fact(
    event: &StockEvent,
    sku: impl Fn() -> Option<Sku>,
) -> Option<(OrderId, CheckoutFact)> {
    match event {
        StockEvent::Reserved { order, .. } => {
            Some((*order, CheckoutFact::Reserved { sku: sku()? }))
        }
        StockEvent::Released { order, .. } => {
            Some((*order, CheckoutFact::Released { sku: sku()? }))
        }
        _ => None,
    }
}

fn payment_fact(event: &PaymentEvent) -> Option<(OrderId, CheckoutFact)> {
    match event {
        PaymentEvent::Requested { .. } => None,
        PaymentEvent::Authorized { order, .. } => Some((*order, CheckoutFact::PaymentAuthorized)),
        PaymentEvent::Captured { order, captured, .. } => {
            Some((*order, CheckoutFact::PaymentCaptured { captured: *captured }))
        }
        PaymentEvent::Voided { order, .. } => Some((*order, CheckoutFact::PaymentVoided)),
        PaymentEvent::Declined { order, reason, .. } => {
            Some((*order, CheckoutFact::PaymentDeclined { reason: reason.clone() }))
        }
        PaymentEvent::Refunded { order, refund, amount, refunded, .. } => {
            let (refund, amount, refunded) = (refund.clone(), *amount, *refunded);
            Some((*order, CheckoutFact::PaymentRefunded { refund, amount, refunded }))
        }
    }
}
