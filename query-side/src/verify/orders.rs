use std::collections::{BTreeMap, BTreeSet, HashMap};

use daybook_domain::Decider;
use daybook_domain::order::{
    Order, OrderEvent, OrderLine, OrderStage, OrderState, Parcel, PlacedOrder,
};
use daybook_domain::values::{Money, OrderId, PaymentId, SellerId, Sku, Timestamp};
use daybook_event_schemas::Envelope;
use daybook_event_store::Position;

use super::row::Digest;

/// Every order.
#[derive(Debug, Default)]
pub(super) struct OrderBook {
    pub(super) orders: BTreeMap<OrderId, OrderEntry>,
    skus: Skus,
}

#[derive(Debug, Default)]
pub(super) struct OrderEntry {
    /// As the domain folds it, but with one line per seller.
    state: OrderState,
    /// By which payment it was ever paid, and how much.
    pub(super) paid: Option<(PaymentId, Money)>,
    /// The position of its cancellation.
    pub(super) cancelled_at: Option<Position>,
    pub(super) sold: Vec<SoldLine>,
    pub(super) shipments: BTreeMap<SellerId, Shipment>,
    pub(super) lines: Digest,
    pub(super) timeline: Digest,
    pub(super) recorded_at: i64,
    pub(super) updated_at: i64,
    pub(super) revision: u64,
}

/// What sums need of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct SoldLine {
    sku: u32,
    pub(super) quantity: u32,
    /// Minor units of the order's currency.
    pub(super) amount: i64,
}

/// What became of a seller's share; business time.
#[derive(Debug, Default)]
pub(super) struct Shipment {
    pub(super) tracking: Option<String>,
    pub(super) shipped_at: Option<Timestamp>,
    pub(super) fulfilled_at: Option<Timestamp>,
}

/// Each SKU once, however many lines name it.
#[derive(Debug, Default)]
struct Skus {
    all: Vec<Sku>,
    places: HashMap<Sku, u32>,
}

impl Skus {
    fn place(&mut self, sku: &Sku) -> u32 {
        if let Some(place) = self.places.get(sku) {
            return *place;
        }
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(sku.clone());
        self.places.insert(sku.clone(), place);
        place
    }
}

impl OrderBook {
    pub(super) fn apply(&mut self, id: OrderId, kind: &str, event: &Envelope<OrderEvent>) {
        let entry = self.orders.entry(id).or_default();
        entry.updated_at = event.recorded_at;
        entry.revision = event.revision.0;
        entry.note(kind, event);
        entry.state = Order::evolve(std::mem::take(&mut entry.state), &event.event);
        match &event.event {
            OrderEvent::Placed { lines, .. } => {
                entry.recorded_at = event.recorded_at;
                let sold = lines.iter().map(|line| SoldLine::of(line, &mut self.skus));
                entry.sold = sold.collect();
                entry.place(lines);
            }
            OrderEvent::Paid { payment, amount, .. } => entry.paid = Some((*payment, *amount)),
            OrderEvent::Shipped { seller, tracking, at, .. } => {
                let shipment = entry.shipments.entry(seller.clone()).or_default();
                shipment.tracking = Some(tracking.clone());
                shipment.shipped_at = Some(*at);
            }
            OrderEvent::PartiallyFulfilled { seller, at }
            | OrderEvent::Fulfilled { seller, at } => {
                entry.shipments.entry(seller.clone()).or_default().fulfilled_at = Some(*at);
            }
            OrderEvent::Cancelled { .. } => entry.cancelled_at = Some(event.position),
            OrderEvent::Confirmed { .. } | OrderEvent::Refunded { .. } => {}
        }
    }

    /// What was sold with a line.
    pub(super) fn sku(&self, line: SoldLine) -> &str {
        self.skus.all.get(line.sku as usize).map_or("", Sku::as_str)
    }
}

impl SoldLine {
    fn of(line: &OrderLine, skus: &mut Skus) -> Self {
        let amount = line.unit_price.minor.saturating_mul(line.quantity.into());
        Self { sku: skus.place(&line.sku), quantity: line.quantity.get(), amount }
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

    /// Notes what was agreed. The lines of all orders are most of what a store holds, so they are
    /// not kept; the fold needs their sellers only.
    fn place(&mut self, lines: &[OrderLine]) {
        for (line, n) in lines.iter().zip(1_i64..) {
            self.lines.add(&[
                n.into(),
                line.sku.as_str().into(),
                line.seller.as_str().into(),
                line.name.as_str().into(),
                i64::from(line.quantity).into(),
                line.unit_price.minor.into(),
            ]);
            self.shipments.entry(line.seller.clone()).or_default();
        }
        if let OrderState::Placed(order) = &mut self.state {
            let mut sellers = BTreeSet::new();
            let kept = order.lines.iter().filter(|line| sellers.insert(line.seller.clone()));
            order.lines = kept.cloned().collect();
        }
    }

    fn note(&mut self, kind: &str, event: &Envelope<OrderEvent>) {
        self.timeline.add(&[
            event.revision.0.into(),
            kind.into(),
            (&*event.metadata.actor.0).into(),
            business_time(&event.event).as_micros().into(),
            event.recorded_at.into(),
        ]);
    }
}

fn business_time(event: &OrderEvent) -> Timestamp {
    match event {
        OrderEvent::Placed { at, .. }
        | OrderEvent::Confirmed { at }
        | OrderEvent::Paid { at, .. }
        | OrderEvent::Shipped { at, .. }
        | OrderEvent::PartiallyFulfilled { at, .. }
        | OrderEvent::Fulfilled { at, .. }
        | OrderEvent::Cancelled { at, .. }
        | OrderEvent::Refunded { at, .. } => *at,
    }
}
