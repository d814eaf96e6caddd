use daybook_domain::fulfilment::{Fulfilment, FulfilmentCommand, FulfilmentFact, FulfilmentInput};
use daybook_domain::order::{Order, OrderCommand, OrderEvent};
use daybook_domain::stock::{Stock, StockCommand, StockEvent};
use daybook_domain::values::Timestamp;
use daybook_event_schemas::{DomainEvent, Envelope};

use super::{ExecuteError, Process, Task};

impl Process for Fulfilment {
    const FOLLOWS: &'static [&'static str] =
        &["OrderShipped", "OrderPartiallyFulfilled", "OrderFulfilled", "StockCommitted"];
    type Ports = ();

    fn input(event: &Envelope<DomainEvent>) -> Option<FulfilmentInput> {
        let (order, what) = match &event.event {
            DomainEvent::Order(happened) => (event.stream.id().parse().ok()?, fact(happened)?),
            DomainEvent::Stock(StockEvent::Committed { order, .. }) => {
                (*order, FulfilmentFact::Committed { sku: event.stream.id().parse().ok()? })
            }
            _ => return None,
        };
        Some(FulfilmentInput { order, at: Timestamp::from_micros(event.recorded_at), what })
    }

    async fn execute(task: Task<'_, ()>, command: &FulfilmentCommand) -> Result<(), ExecuteError> {
        let (order, at) = (task.instance, task.at);
        match command.clone() {
            FulfilmentCommand::Commit { sku } => {
                task.handle::<Stock>(sku, StockCommand::Commit { order, at }).await
            }
            FulfilmentCommand::Fulfil { seller } => {
                task.handle::<Order>(order, OrderCommand::Fulfil { seller, at }).await
            }
        }
    }
}

fn fact(event: &OrderEvent) -> Option<FulfilmentFact> {
    Some(match event {
        OrderEvent::Shipped { seller, items, .. } => {
            let skus = items.iter().map(|item| item.sku.clone()).collect();
            FulfilmentFact::Shipped { seller: seller.clone(), skus }
        }
        OrderEvent::PartiallyFulfilled { seller, .. } => {
            FulfilmentFact::SellerFulfilled { seller: seller.clone(), last: false }
        }
        OrderEvent::Fulfilled { seller, .. } => {
            FulfilmentFact::SellerFulfilled { seller: seller.clone(), last: true }
        }
        _ => return None,
    })
}
