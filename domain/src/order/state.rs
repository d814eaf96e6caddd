use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::Ledger;
use crate::values::{
    CustomerId, Label, Money, OrderId, PaymentId, PaymentMethod, Quantity, SellerId, Sku, Timestamp,
};

/// One line of an order, as agreed when it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// What.
    pub sku: Sku,
    /// From whom.
    pub seller: SellerId,
    /// What it was called.
    pub name: Label,
    /// How many.
    pub quantity: Quantity,
    /// Price of one.
    pub unit_price: Money,
}

/// Some of one SKU that went out, whatever lines it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedItem {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// Why an order was called off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelReason {
    /// Something could not be reserved.
    OutOfStock {
        /// What was missing.
        sku: Sku,
    },
    /// The provider refused the payment.
    PaymentDeclined {
        /// What it said.
        reason: String,
    },
    /// The reservation lapsed before the payment was through.
    ReservationExpired,
    /// The customer changed their mind.
    CustomerRequest,
    /// Somebody at the shop decided so.
    Operator {
        /// What they said.
        note: String,
    },
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfStock { sku } => write!(f, "{sku} is out of stock"),
            Self::PaymentDeclined { reason } => write!(f, "the payment was declined: {reason}"),
            Self::ReservationExpired => f.write_str("the reservation expired"),
            Self::CustomerRequest => f.write_str("the customer asked for it"),
            Self::Operator { note } => write!(f, "the shop called it off: {note}"),
        }
    }
}

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderEvent {
    /// It was placed.
    Placed {
        /// The order's id.
        order: OrderId,
        /// Who ordered.
        customer: CustomerId,
        /// What was agreed.
        lines: Vec<OrderLine>,
        /// What it comes to.
        total: Money,
        /// How it will be paid.
        method: PaymentMethod,
        /// The business time of the order.
        at: Timestamp,
    },
    /// Every line is reserved.
    Confirmed {
        /// When.
        at: Timestamp,
    },
    /// The total was captured.
    Paid {
        /// By which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// When.
        at: Timestamp,
    },
    /// A seller's lines went out.
    Shipped {
        /// Which seller.
        seller: SellerId,
        /// What went out, one entry per SKU.
        items: Vec<ShippedItem>,
        /// The carrier's reference.
        tracking: String,
        /// When.
        at: Timestamp,
    },
    /// A seller is done, others are not.
    PartiallyFulfilled {
        /// Which seller.
        seller: SellerId,
        /// When.
        at: Timestamp,
    },
    /// The last seller is done.
    Fulfilled {
        /// Which seller.
        seller: SellerId,
        /// When.
        at: Timestamp,
    },
    /// It was called off.
    Cancelled {
        /// Why.
        reason: CancelReason,
        /// When.
        at: Timestamp,
    },
    /// Money went back to the customer.
    Refunded {
        /// Names the refund.
        refund: String,
        /// How much.
        amount: Money,
        /// How much altogether, this refund included.
        refunded: Money,
        /// When.
        at: Timestamp,
    },
}

/// What became of the lines of one seller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    /// They are still in the house.
    Waiting,
    /// They went out.
    Shipped {
        /// The carrier's reference.
        tracking: String,
    },
    /// They went out, and their reservations were committed.
    Fulfilled {
        /// The carrier's reference.
        tracking: String,
    },
}

/// How far an order has come, with what is only known from there on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderStage {
    /// Placed; stock is being reserved.
    Pending,
    /// Everything is reserved.
    Confirmed,
    /// The money is there; the sellers are at work.
    Paid {
        /// By which payment.
        payment: PaymentId,
        /// One per seller of the order.
        parcels: BTreeMap<SellerId, Parcel>,
    },
    /// Called off.
    Cancelled {
        /// Why.
        reason: CancelReason,
        /// The payment it had been paid by.
        payment: Option<PaymentId>,
    },
}

/// An order that was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    /// The order's id.
    pub order: OrderId,
    /// Who ordered.
    pub customer: CustomerId,
    /// What was agreed.
    pub lines: Arc<[OrderLine]>,
    /// What it comes to.
    pub total: Money,
    /// How it will be paid.
    pub method: PaymentMethod,
    /// The business time of the order.
    pub placed_at: Timestamp,
    /// How far it has come.
    pub stage: OrderStage,
    /// What went back to the customer.
    pub refunds: Ledger,
}

/// What some lines come to per SKU, by SKU: two lines of one SKU become one entry.
pub fn items<'a>(lines: impl IntoIterator<Item = &'a OrderLine>) -> Vec<ShippedItem> {
    let mut totals: BTreeMap<&Sku, Quantity> = BTreeMap::new();
    for OrderLine { sku, quantity, .. } in lines {
        totals
            .entry(sku)
            .and_modify(|total| *total = total.saturating_add(*quantity))
            .or_insert(*quantity);
    }
    totals.into_iter().map(|(sku, quantity)| ShippedItem { sku: sku.clone(), quantity }).collect()
}

impl PlacedOrder {
    /// What to reserve: one entry per SKU.
    pub fn items(&self) -> Vec<ShippedItem> {
        items(self.lines.iter())
    }

    /// What one seller has to ship: one entry per SKU.
    pub fn items_of(&self, seller: &SellerId) -> Vec<ShippedItem> {
        items(self.lines.iter().filter(|line| line.seller == *seller))
    }

    fn after(mut self, event: &OrderEvent) -> Self {
        match event {
            OrderEvent::Placed { .. } => {}
            OrderEvent::Confirmed { .. } => self.stage = OrderStage::Confirmed,
            OrderEvent::Paid { payment, .. } => {
                let sellers = self.lines.iter().map(|line| line.seller.clone());
                let parcels = sellers.map(|seller| (seller, Parcel::Waiting)).collect();
                self.stage = OrderStage::Paid { payment: *payment, parcels };
            }
            OrderEvent::Shipped { seller, tracking, .. } => {
                self.set_parcel(seller, Parcel::Shipped { tracking: tracking.clone() });
            }
            OrderEvent::PartiallyFulfilled { seller, .. }
            | OrderEvent::Fulfilled { seller, .. } => {
                let tracking = match self.parcel(seller) {
                    Some(Parcel::Shipped { tracking } | Parcel::Fulfilled { tracking }) => {
                        tracking.clone()
                    }
                    Some(Parcel::Waiting) | None => String::new(),
                };
                self.set_parcel(seller, Parcel::Fulfilled { tracking });
            }
            OrderEvent::Cancelled { reason, .. } => {
                let payment = match self.stage {
                    OrderStage::Paid { payment, .. } => Some(payment),
                    _ => None,
                };
                self.stage = OrderStage::Cancelled { reason: reason.clone(), payment };
            }
            OrderEvent::Refunded { refund, amount, .. } => {
                self.refunds = self.refunds.with(refund, *amount);
            }
        }
        self
    }

    /// What became of a seller's lines, once the order is paid.
    pub fn parcel(&self, seller: &SellerId) -> Option<&Parcel> {
        match &self.stage {
            OrderStage::Paid { parcels, .. } => parcels.get(seller),
            _ => None,
        }
    }

    fn set_parcel(&mut self, seller: &SellerId, parcel: Parcel) {
        if let OrderStage::Paid { parcels, .. } = &mut self.stage
            && let Some(slot) = parcels.get_mut(seller)
        {
            *slot = parcel;
        }
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OrderState {
    /// Never placed.
    #[default]
    Unplaced,
    /// Placed.
    Placed(Box<PlacedOrder>),
}

impl OrderState {
    /// The order, if it was placed.
    pub fn placed(&self) -> Option<&PlacedOrder> {
        match self {
            Self::Unplaced => None,
            Self::Placed(order) => Some(order),
        }
    }

    pub(super) fn after(self, event: &OrderEvent) -> Self {
        match (self, event) {
            (Self::Unplaced, OrderEvent::Placed { order, customer, lines, total, method, at }) => {
                Self::Placed(Box::new(PlacedOrder {
                    order: *order,
                    customer: *customer,
                    lines: lines.as_slice().into(),
                    total: *total,
                    method: method.clone(),
                    placed_at: *at,
                    stage: OrderStage::Pending,
                    refunds: Ledger::new(total.currency),
                }))
            }
            (Self::Unplaced, _) => Self::Unplaced,
            (Self::Placed(order), event) => Self::Placed(Box::new(order.after(event))),
        }
    }
}
