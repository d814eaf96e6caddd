use std::collections::{BTreeMap, BTreeSet};

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

/// An order that was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    /// The order's id.
    pub order: OrderId,
    /// Who ordered.
    pub customer: CustomerId,
    /// What was agreed.
    pub lines: Vec<OrderLine>,
    /// What it comes to.
    pub total: Money,
    /// How it will be paid.
    pub method: PaymentMethod,
    /// The business time of the order.
    pub placed_at: Timestamp,
    /// Where it stands as a whole.
    pub status: OrderStatus,
    /// Where its payment stands.
    pub payment: PaymentStatus,
    /// Sellers whose lines went out.
    pub shipped: BTreeSet<SellerId>,
    /// Sellers who are done.
    pub fulfilled: BTreeSet<SellerId>,
    /// Refunds by name.
    pub refunds: BTreeMap<String, Money>,
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
