use std::collections::BTreeMap;

use super::{
    CancelReason, OrderCommand, OrderEvent, OrderLine, OrderStage, OrderState, Parcel,
    PaymentStatus, PlacedOrder, ShipmentStatus,
};
use crate::Decider;
use crate::ledger::{Posting, PostingError};
use crate::values::{Currency, Money, MoneyError, PaymentId, Quantity, SellerId, Sku, Timestamp};

/// The most lines of one order.
pub const MAX_LINES: usize = 1_000;

/// The rules of an order.
#[derive(Debug, Clone, Copy)]
pub struct Order;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRejection {
    /// There is no such order.
    #[error("there is no such order")]
    NotPlaced,
    /// The order's id was used for another order.
    #[error("the order was placed already, with other content")]
    AlreadyPlaced,
    /// Nothing was ordered.
    #[error("an order needs at least one line")]
    NoLines,
    /// More was ordered than one order can take.
    #[error("an order has at most {MAX_LINES} lines, not {lines}; split it")]
    TooManyLines {
        /// How many lines were given.
        lines: usize,
    },
    /// Nothing is free.
    #[error("the price of {sku} must be above zero, not {price}")]
    PriceNotPositive {
        /// Of what.
        sku: Sku,
        /// The price given.
        price: Money,
    },
    /// An amount in another currency than the order's.
    #[error("the order is in {expected}, not in {actual}")]
    CurrencyMismatch {
        /// The order's currency.
        expected: Currency,
        /// The currency given.
        actual: Currency,
    },
    /// A SKU has one stock, so it can have one seller only.
    #[error("{sku} is ordered from more than one seller")]
    SellersDiffer {
        /// Of what.
        sku: Sku,
    },
    /// The lines of one SKU come to more than a quantity can be.
    #[error("too many of {sku}: at most {max} can be ordered", max = Quantity::MAX)]
    QuantityOverflow {
        /// Of what.
        sku: Sku,
    },
    /// The lines come to more than an amount can be.
    #[error("the order's total is too large")]
    TotalOverflow,
    /// Money comes after the goods are reserved.
    #[error("the order is not confirmed yet")]
    NotConfirmed,
    /// The order is paid in full or not at all.
    #[error("the order comes to {total}, not {amount}")]
    AmountDiffers {
        /// What it comes to.
        total: Money,
        /// The amount given.
        amount: Money,
    },
    /// The order was paid by another payment.
    #[error("the order was paid already, by payment {payment}")]
    AlreadyPaid {
        /// By which payment.
        payment: PaymentId,
    },
    /// Goods go out after the money is there.
    #[error("the order is not paid yet")]
    NotPaid,
    /// The seller has no lines in the order.
    #[error("seller {seller} has no part in the order")]
    NotASeller {
        /// Which seller.
        seller: SellerId,
    },
    /// The seller's lines went out under another reference.
    #[error("seller {seller} shipped already, with tracking {tracking:?}")]
    ShippedDifferently {
        /// Which seller.
        seller: SellerId,
        /// The carrier's reference.
        tracking: String,
    },
    /// The seller's lines have not gone out.
    #[error("seller {seller} has not shipped yet")]
    NotShipped {
        /// Which seller.
        seller: SellerId,
    },
    /// Too late to call it off.
    #[error("the order has shipped and cannot be cancelled; refund it instead")]
    AlreadyShipped,
    /// It was called off, for this reason.
    #[error("the order was cancelled: {reason}")]
    AlreadyCancelled {
        /// Why.
        reason: CancelReason,
    },
    /// A refund of nothing.
    #[error("a refund must be above zero, not {amount}")]
    RefundNotPositive {
        /// The amount given.
        amount: Money,
    },
    /// The refund was recorded with another amount.
    #[error("refund {refund:?} was recorded already, of {recorded}")]
    RefundDiffers {
        /// The refund.
        refund: String,
        /// The amount recorded.
        recorded: Money,
    },
    /// More would go back than the order comes to.
    #[error("only {refundable} can be refunded, {requested} requested")]
    OverRefund {
        /// How much can go back.
        refundable: Money,
        /// How much was asked for.
        requested: Money,
    },
}

type Decision = Result<Vec<OrderEvent>, OrderRejection>;

impl Decider for Order {
    const CATEGORY: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type State = OrderState;
    type Rejection = OrderRejection;

    fn decide(state: &OrderState, command: OrderCommand) -> Decision {
        match (state, command) {
            (OrderState::Unplaced, OrderCommand::Place { order, customer, lines, method, at }) => {
                let total = total(&lines)?;
                Ok(vec![OrderEvent::Placed { order, customer, lines, total, method, at }])
            }
            (OrderState::Unplaced, _) => Err(OrderRejection::NotPlaced),
            (OrderState::Placed(order), command) => order.decide(command),
        }
    }

    fn evolve(state: OrderState, event: &OrderEvent) -> OrderState {
        state.after(event)
    }
}

/// Checks the lines of a new order and adds them up.
fn total(lines: &[OrderLine]) -> Result<Money, OrderRejection> {
    let first = lines.first().ok_or(OrderRejection::NoLines)?;
    if lines.len() > MAX_LINES {
        return Err(OrderRejection::TooManyLines { lines: lines.len() });
    }
    let mut skus = BTreeMap::new();
    let mut total = Money::zero(first.unit_price.currency);
    for line in lines {
        let OrderLine { sku, unit_price: price, .. } = line;
        if price.minor <= 0 {
            return Err(OrderRejection::PriceNotPositive { sku: sku.clone(), price: *price });
        }
        merge(&mut skus, line)?;
        total = price.times(line.quantity).and_then(|sum| total.plus(sum))?;
    }
    Ok(total)
}

/// Adds a line to the others of its SKU.
fn merge<'a>(
    skus: &mut BTreeMap<&'a Sku, (&'a SellerId, Quantity)>,
    line: &'a OrderLine,
) -> Result<(), OrderRejection> {
    let OrderLine { sku, seller, quantity, .. } = line;
    let merged = match skus.get(sku) {
        None => *quantity,
        Some((other, _)) if *other != seller => {
            return Err(OrderRejection::SellersDiffer { sku: sku.clone() });
        }
        Some((_, sum)) => sum
            .checked_add(*quantity)
            .ok_or_else(|| OrderRejection::QuantityOverflow { sku: sku.clone() })?,
    };
    skus.insert(sku, (seller, merged));
    Ok(())
}

impl From<MoneyError> for OrderRejection {
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::CurrencyMismatch(expected, actual) => {
                Self::CurrencyMismatch { expected, actual }
            }
            MoneyError::Overflow => Self::TotalOverflow,
        }
    }
}

impl PlacedOrder {
    fn decide(&self, command: OrderCommand) -> Decision {
        match command {
            OrderCommand::Place { order, customer, lines, method, .. } => {
                let same = self.order == order
                    && self.customer == customer
                    && *self.lines == *lines
                    && self.method == method;
                if same { Ok(vec![]) } else { Err(OrderRejection::AlreadyPlaced) }
            }
            OrderCommand::Confirm { at } => self.confirm(at),
            OrderCommand::MarkPaid { payment, amount, at } => self.mark_paid(payment, amount, at),
            OrderCommand::Ship { seller, tracking, at } => self.ship(seller, tracking, at),
            OrderCommand::Fulfil { seller, at } => self.fulfil(seller, at),
            OrderCommand::Cancel { reason, at } => self.cancel(reason, at),
            OrderCommand::RecordRefund { refund, amount, at } => {
                self.record_refund(refund, amount, at)
            }
        }
    }

    fn confirm(&self, at: Timestamp) -> Decision {
        match &self.stage {
            OrderStage::Pending => Ok(vec![OrderEvent::Confirmed { at }]),
            OrderStage::Confirmed | OrderStage::Paid { .. } => Ok(vec![]),
            OrderStage::Cancelled { reason, .. } => Err(cancelled(reason)),
        }
    }

    fn mark_paid(&self, payment: PaymentId, amount: Money, at: Timestamp) -> Decision {
        match &self.stage {
            OrderStage::Cancelled { reason, .. } => return Err(cancelled(reason)),
            OrderStage::Pending => return Err(OrderRejection::NotConfirmed),
            OrderStage::Paid { payment: paid, .. } if *paid != payment => {
                return Err(OrderRejection::AlreadyPaid { payment: *paid });
            }
            OrderStage::Confirmed | OrderStage::Paid { .. } => {}
        }
        if amount != self.total {
            return Err(OrderRejection::AmountDiffers { total: self.total, amount });
        }
        match self.payment() {
            PaymentStatus::Captured(_) => Ok(vec![]),
            PaymentStatus::None => Ok(vec![OrderEvent::Paid { payment, amount, at }]),
        }
    }

    fn ship(&self, seller: SellerId, tracking: String, at: Timestamp) -> Decision {
        match self.parcel_of(&seller)? {
            Parcel::Waiting => {
                let items = self.items_of(&seller);
                Ok(vec![OrderEvent::Shipped { seller, items, tracking, at }])
            }
            Parcel::Shipped { tracking: used } | Parcel::Fulfilled { tracking: used } => {
                if *used == tracking {
                    return Ok(vec![]);
                }
                Err(OrderRejection::ShippedDifferently { seller, tracking: used.clone() })
            }
        }
    }

    fn fulfil(&self, seller: SellerId, at: Timestamp) -> Decision {
        match self.parcel_of(&seller)? {
            Parcel::Waiting => Err(OrderRejection::NotShipped { seller }),
            Parcel::Fulfilled { .. } => Ok(vec![]),
            Parcel::Shipped { .. } if self.only_waits_for(&seller) => {
                Ok(vec![OrderEvent::Fulfilled { seller, at }])
            }
            Parcel::Shipped { .. } => Ok(vec![OrderEvent::PartiallyFulfilled { seller, at }]),
        }
    }

    fn only_waits_for(&self, seller: &SellerId) -> bool {
        let OrderStage::Paid { parcels, .. } = &self.stage else { return false };
        parcels
            .iter()
            .all(|(other, parcel)| other == seller || matches!(parcel, Parcel::Fulfilled { .. }))
    }

    /// What became of the lines of a seller of a paid order.
    fn parcel_of(&self, seller: &SellerId) -> Result<&Parcel, OrderRejection> {
        match &self.stage {
            OrderStage::Pending | OrderStage::Confirmed => Err(OrderRejection::NotPaid),
            OrderStage::Cancelled { reason, .. } => Err(cancelled(reason)),
            OrderStage::Paid { parcels, .. } => parcels
                .get(seller)
                .ok_or_else(|| OrderRejection::NotASeller { seller: seller.clone() }),
        }
    }

    fn cancel(&self, reason: CancelReason, at: Timestamp) -> Decision {
        match &self.stage {
            OrderStage::Cancelled { reason: before, .. } if *before == reason => Ok(vec![]),
            OrderStage::Cancelled { reason: before, .. } => Err(cancelled(before)),
            _ if self.shipment() != ShipmentStatus::None => Err(OrderRejection::AlreadyShipped),
            _ => Ok(vec![OrderEvent::Cancelled { reason, at }]),
        }
    }

    /// Notes a refund in any stage: the payment is the authority on what went back, and it may
    /// be known here before, or without, the order ever being paid.
    fn record_refund(&self, refund: String, amount: Money, at: Timestamp) -> Decision {
        match self.refunds.posting(&refund, amount, self.total) {
            Ok(Posting::Repeated) => Ok(vec![]),
            Ok(Posting::New(refunded)) => {
                Ok(vec![OrderEvent::Refunded { refund, amount, refunded, at }])
            }
            Err(error) => Err(match error {
                PostingError::NotPositive => OrderRejection::RefundNotPositive { amount },
                PostingError::CurrencyMismatch { expected } => {
                    OrderRejection::CurrencyMismatch { expected, actual: amount.currency }
                }
                PostingError::NameTaken { by } => {
                    OrderRejection::RefundDiffers { refund, recorded: by }
                }
                PostingError::TooMuch { left } => {
                    OrderRejection::OverRefund { refundable: left, requested: amount }
                }
            }),
        }
    }
}

fn cancelled(reason: &CancelReason) -> OrderRejection {
    OrderRejection::AlreadyCancelled { reason: reason.clone() }
}
