use daybook_domain::order::{CancelReason, OrderEvent, OrderLine, ShippedItem};
use daybook_domain::values::{
    CustomerId, Label, Money, OrderId, PaymentId, PaymentMethod, Quantity, SellerId, Sku, Timestamp,
};

use crate::shape::{choice, contract, record};

record! {
    /// One line of an order, as agreed when it was placed.
    OrderLine as OrderLineForm {
        /// What.
        sku: Sku,
        /// From whom.
        seller: SellerId,
        /// What it was called.
        name: Label,
        /// How many.
        quantity: Quantity,
        /// Price of one.
        unit_price: Money,
    }
}

record! {
    /// Some of one SKU that went out.
    ShippedItem as ShippedItemForm {
        /// What.
        sku: Sku,
        /// How many.
        quantity: Quantity,
    }
}

choice! {
    /// Why an order was called off.
    #[serde(tag = "type")]
    CancelReason as CancelReasonForm {
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
}

contract! {
    OrderEvent, upcasts: &[], retired: [];

    /// An order was placed.
    OrderPlaced 1 = Placed {
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
    }

    /// Every line is reserved.
    OrderConfirmed 1 = Confirmed {
        /// Business time.
        at: Timestamp,
    }

    /// The total was captured.
    OrderPaid 1 = Paid {
        /// By which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// Business time.
        at: Timestamp,
    }

    /// A seller's lines went out.
    OrderShipped 1 = Shipped {
        /// Which seller.
        seller: SellerId,
        /// What went out, one entry per SKU.
        items: Vec<ShippedItem>,
        /// The carrier's reference.
        tracking: String,
        /// Business time.
        at: Timestamp,
    }

    /// A seller is done, others are not.
    OrderPartiallyFulfilled 1 = PartiallyFulfilled {
        /// Which seller.
        seller: SellerId,
        /// Business time.
        at: Timestamp,
    }

    /// The last seller is done.
    OrderFulfilled 1 = Fulfilled {
        /// Which seller.
        seller: SellerId,
        /// Business time.
        at: Timestamp,
    }

    /// An order was called off.
    OrderCancelled 1 = Cancelled {
        /// Why.
        reason: CancelReason,
        /// Business time.
        at: Timestamp,
    }

    /// Money went back to the customer.
    OrderRefunded 1 = Refunded {
        /// Names the refund.
        refund: String,
        /// How much.
        amount: Money,
        /// How much altogether, this refund included.
        refunded: Money,
        /// Business time.
        at: Timestamp,
    }
}
