use std::collections::BTreeMap;

use super::{CancelReason, OrderStage, Parcel, PlacedOrder};
use crate::values::{Money, PaymentId, SellerId};

/// Where an order stands as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderStatus {
    /// Placed; stock is being reserved.
    Pending,
    /// Everything is reserved.
    Confirmed,
    /// The money is there.
    Paid,
    /// Some sellers are done.
    PartiallyFulfilled,
    /// All sellers are done.
    Fulfilled,
    /// Called off.
    Cancelled(CancelReason),
}

/// Where the order's payment stands, as far as the order knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentStatus {
    /// Not paid.
    None,
    /// Captured by this payment.
    Captured(PaymentId),
}

/// What went back to the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStatus {
    /// Nothing.
    None,
    /// Some of the total.
    Partial(Money),
    /// All of it.
    Full(Money),
}

/// What left the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShipmentStatus {
    /// Nothing.
    None,
    /// Some sellers' lines.
    Partial,
    /// Everything.
    Full,
}

impl PlacedOrder {
    /// Where it stands as a whole.
    pub fn status(&self) -> OrderStatus {
        match &self.stage {
            OrderStage::Pending => OrderStatus::Pending,
            OrderStage::Confirmed => OrderStatus::Confirmed,
            OrderStage::Cancelled { reason, .. } => OrderStatus::Cancelled(reason.clone()),
            OrderStage::Paid { parcels, .. } => {
                match share(parcels, |parcel| matches!(parcel, Parcel::Fulfilled { .. })) {
                    Share::None => OrderStatus::Paid,
                    Share::Some => OrderStatus::PartiallyFulfilled,
                    Share::All => OrderStatus::Fulfilled,
                }
            }
        }
    }

    /// Where its payment stands, as far as the order knows.
    pub fn payment(&self) -> PaymentStatus {
        match self.stage {
            OrderStage::Paid { payment, .. }
            | OrderStage::Cancelled { payment: Some(payment), .. } => {
                PaymentStatus::Captured(payment)
            }
            _ => PaymentStatus::None,
        }
    }

    /// What left the house.
    pub fn shipment(&self) -> ShipmentStatus {
        let OrderStage::Paid { parcels, .. } = &self.stage else { return ShipmentStatus::None };
        match share(parcels, |parcel| *parcel != Parcel::Waiting) {
            Share::None => ShipmentStatus::None,
            Share::Some => ShipmentStatus::Partial,
            Share::All => ShipmentStatus::Full,
        }
    }

    /// What went back to the customer.
    pub fn refund(&self) -> RefundStatus {
        match self.refunds.total() {
            refunded if refunded.minor == 0 => RefundStatus::None,
            refunded if refunded.minor < self.total.minor => RefundStatus::Partial(refunded),
            refunded => RefundStatus::Full(refunded),
        }
    }
}

enum Share {
    None,
    Some,
    All,
}

fn share(parcels: &BTreeMap<SellerId, Parcel>, wanted: impl Fn(&Parcel) -> bool) -> Share {
    match parcels.values().filter(|&parcel| wanted(parcel)).count() {
        0 => Share::None,
        n if n == parcels.len() => Share::All,
        _ => Share::Some,
    }
}
