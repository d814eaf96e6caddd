use std::collections::{BTreeMap, BTreeSet};

use daybook_domain::Decider;
use daybook_domain::order::{Order, OrderEvent, OrderStage, OrderState, Parcel, PlacedOrder};
use daybook_domain::values::{Money, OrderId, PaymentId};
use daybook_event_schemas::Envelope;

/// Every order.
#[derive(Debug, Default)]
pub(super) struct OrderBook {
    pub(super) orders: BTreeMap<OrderId, OrderEntry>,
}

#[derive(Debug, Default)]
pub(super) struct OrderEntry {
    /// As the domain folds it, but with one line per seller.
    state: OrderState,
    /// By which payment it was ever paid, and how much.
    pub(super) paid: Option<(PaymentId, Money)>,
    pub(super) recorded_at: i64,
    pub(super) updated_at: i64,
    pub(super) revision: u64,
}

impl OrderBook {
    pub(super) fn apply(&mut self, id: OrderId, event: &Envelope<OrderEvent>) {
        let entry = self.orders.entry(id).or_default();
        entry.updated_at = event.recorded_at;
        entry.revision = event.revision.0;
        entry.state = Order::evolve(std::mem::take(&mut entry.state), &event.event);
        match &event.event {
            OrderEvent::Placed { .. } => {
                entry.recorded_at = event.recorded_at;
                entry.forget_lines();
            }
            OrderEvent::Paid { payment, amount, .. } => entry.paid = Some((*payment, *amount)),
            _ => {}
        }
    }
}

impl OrderEntry {
    /// The order, unless something happened to it before it was placed.
    pub(super) fn placed(&self) -> Option<&PlacedOrder> {
        self.state.placed()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.placed().is_some_and(|order| matches!(order.stage, OrderStage::Cancelled { .. }))
    }

    /// Whether some of it went out and is not fulfilled.
    pub(super) fn is_in_transit(&self) -> bool {
        let Some(OrderStage::Paid { parcels, .. }) = self.placed().map(|order| &order.stage) else {
            return false;
        };
        parcels.values().any(|parcel| matches!(parcel, Parcel::Shipped { .. }))
    }

    /// The lines of all orders are most of what a store holds; the fold needs their sellers only.
    fn forget_lines(&mut self) {
        if let OrderState::Placed(order) = &mut self.state {
            let mut sellers = BTreeSet::new();
            let kept = order.lines.iter().filter(|line| sellers.insert(line.seller.clone()));
            order.lines = kept.cloned().collect();
        }
    }
}
