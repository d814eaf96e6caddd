use super::{Ended, ReleaseReason, Reservation, StockCommand, StockEvent, StockState};
use crate::Decider;
use crate::values::{OrderId, Quantity, Timestamp};

/// The most that there may be of one SKU.
pub const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// The rules of the stock of one SKU.
#[derive(Debug, Clone, Copy)]
pub struct Stock;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockRejection {
    /// More was asked for than is there and not held.
    #[error("only {available} available, {requested} requested")]
    NotEnoughStock {
        /// How many can be had.
        available: i64,
        /// How many were asked for.
        requested: i64,
    },
    /// More than a stock can count.
    #[error("there would be more than {MAX_ON_HAND} in stock")]
    TooMuchStock,
    /// A correction by nothing.
    #[error("an adjustment must be by more or fewer than zero")]
    ZeroAdjustment,
    /// A correction would leave fewer than are held.
    #[error("{reserved} are reserved, and the adjustment would leave {on_hand}")]
    ReservedWouldBeMissing {
        /// How many are held.
        reserved: i64,
        /// How many would be left.
        on_hand: i64,
    },
    /// The delivery was booked with another quantity.
    #[error("receipt {receipt:?} was booked already, of {booked}")]
    ReceiptDiffers {
        /// The delivery.
        receipt: String,
        /// How many were booked.
        booked: i64,
    },
    /// The count was booked with another difference.
    #[error("count {count:?} was booked already, by {booked}")]
    CountDiffers {
        /// The count.
        count: String,
        /// By how many.
        booked: i64,
    },
    /// The order holds another quantity.
    #[error("the order has reserved {reserved} already, not {requested}")]
    ReservedDifferently {
        /// How many it holds.
        reserved: i64,
        /// How many were asked for.
        requested: i64,
    },
    /// The order holds nothing.
    #[error("the order has no reservation")]
    NotReserved,
    /// The order's reservation was given up before.
    #[error("the order's reservation was released")]
    AlreadyReleased,
    /// The order's goods left before.
    #[error("the order's reservation was committed")]
    AlreadyCommitted,
    /// A hold can only become longer.
    #[error("the reservation lasts longer than that already")]
    ExpiryNotLater {
        /// When it lapses.
        expires_at: Timestamp,
    },
    /// A hold does not lapse before its time.
    #[error("the reservation has not expired yet")]
    NotYetExpired {
        /// When it lapses.
        expires_at: Timestamp,
    },
}

type Decision = Result<Vec<StockEvent>, StockRejection>;

impl Decider for Stock {
    const CATEGORY: &'static str = "stock";
    type Command = StockCommand;
    type Event = StockEvent;
    type State = StockState;
    type Rejection = StockRejection;

    fn decide(state: &StockState, command: StockCommand) -> Decision {
        match command {
            StockCommand::Receive { quantity, receipt, at } => {
                receive(state, quantity, receipt, at)
            }
            StockCommand::Adjust { delta, count, reason, at } => {
                adjust(state, delta, count, reason, at)
            }
            StockCommand::Reserve { order, quantity, expires_at, at } => {
                reserve(state, order, Reservation { quantity, expires_at }, at)
            }
            StockCommand::Extend { order, expires_at, at } => extend(state, order, expires_at, at),
            StockCommand::Release { order, reason, at } => release(state, order, reason, at),
            StockCommand::Commit { order, at } => commit(state, order, at),
        }
    }

    fn evolve(state: StockState, event: &StockEvent) -> StockState {
        state.after(event)
    }
}

fn receive(state: &StockState, quantity: Quantity, receipt: String, at: Timestamp) -> Decision {
    match state.receipt(&receipt) {
        Some(booked) if booked == quantity => return Ok(vec![]),
        Some(booked) => {
            return Err(StockRejection::ReceiptDiffers { receipt, booked: booked.into() });
        }
        None => {}
    }
    if state.on_hand() + i64::from(quantity) > MAX_ON_HAND {
        return Err(StockRejection::TooMuchStock);
    }
    Ok(vec![StockEvent::Received { quantity, receipt, at }])
}

fn adjust(
    state: &StockState,
    delta: i64,
    count: String,
    reason: String,
    at: Timestamp,
) -> Decision {
    match state.count(&count) {
        Some(booked) if booked == delta => return Ok(vec![]),
        Some(booked) => return Err(StockRejection::CountDiffers { count, booked }),
        None => {}
    }
    let (reserved, on_hand) = (state.reserved(), state.on_hand().saturating_add(delta));
    if delta == 0 {
        Err(StockRejection::ZeroAdjustment)
    } else if on_hand > MAX_ON_HAND {
        Err(StockRejection::TooMuchStock)
    } else if on_hand < reserved {
        Err(StockRejection::ReservedWouldBeMissing { reserved, on_hand })
    } else {
        Ok(vec![StockEvent::Adjusted { delta, count, reason, at }])
    }
}

fn reserve(state: &StockState, order: OrderId, wanted: Reservation, at: Timestamp) -> Decision {
    let Reservation { quantity, expires_at } = wanted;
    let (available, requested) = (state.available(), quantity.into());
    match (state.reservation(order), state.ended(order)) {
        (Some(held), _) if held.quantity == quantity => Ok(vec![]),
        (Some(held), _) => {
            Err(StockRejection::ReservedDifferently { reserved: held.quantity.into(), requested })
        }
        // A late repetition: nobody would ever release a second reservation of the order.
        (None, Some(Ended::Committed)) => Ok(vec![]),
        (None, Some(Ended::Released)) => Err(StockRejection::AlreadyReleased),
        (None, None) if requested > available => {
            Err(StockRejection::NotEnoughStock { available, requested })
        }
        (None, None) => Ok(vec![StockEvent::Reserved { order, quantity, expires_at, at }]),
    }
}

fn extend(state: &StockState, order: OrderId, expires_at: Timestamp, at: Timestamp) -> Decision {
    let held = held(state, order)?;
    if expires_at < held.expires_at {
        return Err(StockRejection::ExpiryNotLater { expires_at: held.expires_at });
    }
    if expires_at == held.expires_at {
        return Ok(vec![]);
    }
    Ok(vec![StockEvent::Extended { order, expires_at, at }])
}

fn release(state: &StockState, order: OrderId, reason: ReleaseReason, at: Timestamp) -> Decision {
    let Reservation { quantity, expires_at } = match held(state, order) {
        Ok(held) => held,
        Err(StockRejection::AlreadyCommitted) => return Err(StockRejection::AlreadyCommitted),
        Err(_) => return Ok(vec![]),
    };
    if reason == ReleaseReason::Expired && at < expires_at {
        return Err(StockRejection::NotYetExpired { expires_at });
    }
    Ok(vec![StockEvent::Released { order, quantity, reason, at }])
}

fn commit(state: &StockState, order: OrderId, at: Timestamp) -> Decision {
    match held(state, order) {
        Ok(Reservation { quantity, .. }) => Ok(vec![StockEvent::Committed { order, quantity, at }]),
        Err(StockRejection::AlreadyCommitted) => Ok(vec![]),
        Err(rejection) => Err(rejection),
    }
}

fn held(state: &StockState, order: OrderId) -> Result<Reservation, StockRejection> {
    match (state.reservation(order), state.ended(order)) {
        (Some(held), _) => Ok(held),
        (None, Some(Ended::Released)) => Err(StockRejection::AlreadyReleased),
        (None, Some(Ended::Committed)) => Err(StockRejection::AlreadyCommitted),
        (None, None) => Err(StockRejection::NotReserved),
    }
}
