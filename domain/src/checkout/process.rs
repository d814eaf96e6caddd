use std::time::Duration;

use uuid::Uuid;

use super::{
    Basket, CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutState, CheckoutTimeout,
    Compensation, Purse, Stage,
};
use crate::order::CancelReason;
use crate::values::{Money, OrderId, PaymentId, PaymentMethod, Quantity, Sku, Timestamp};
use crate::{Effect, ProcessManager, Route};

/// How long stock is held for an order that is not paid.
pub const RESERVATION_TTL: Duration = Duration::from_mins(30);

/// The payment of an order. Derived, so that however often it is asked for there is one.
pub fn payment_id(order: OrderId) -> PaymentId {
    PaymentId(Uuid::new_v5(&order.0, b"payment"))
}

/// The checkout process manager.
#[derive(Debug, Clone, Copy)]
pub struct Checkout;

type Effects = Vec<Effect<CheckoutCommand, CheckoutTimeout>>;

/// What an input means to a checkout that stands where it stands.
enum Turn<'i> {
    /// Nothing, or nothing but what the purse notes.
    Stay,
    /// It begins, with these to reserve.
    Begin(Basket, &'i [(Sku, Quantity)]),
    /// This reservation is there, others are not.
    Hold(&'i Sku),
    /// All is well, and the next stage follows.
    Enter(Stage),
    /// The reservations must last until then.
    Extend(Timestamp),
    /// The goods are on their way.
    Close,
    /// It failed, or was stopped.
    CallOff(CancelReason),
    /// It is being undone already, or was.
    Undo,
}

impl ProcessManager for Checkout {
    const NAME: &'static str = "checkout";
    type Id = OrderId;
    type Input = CheckoutInput;
    type State = CheckoutState;
    type Command = CheckoutCommand;
    type Timeout = CheckoutTimeout;

    fn route(input: &CheckoutInput) -> Route<OrderId> {
        match input.what {
            CheckoutFact::OrderPlaced { .. } => Route::Start(input.order),
            _ => Route::Continue(input.order),
        }
    }

    fn react(state: &CheckoutState, input: &CheckoutInput) -> Effects {
        let mut effects = noted_refund(state, &input.what);
        match (turn(state, input), state) {
            (Turn::Begin(basket, items), _) => effects.extend(reserve(&basket, items)),
            (Turn::Enter(next), CheckoutState::Underway { basket, .. }) => {
                effects.extend(next.entry(basket).map(Effect::Dispatch));
                effects.extend((next == Stage::Settled).then_some(Effect::Complete));
            }
            (Turn::Extend(due), CheckoutState::Underway { basket, .. }) => {
                effects.extend(extend(basket, due));
            }
            (Turn::CallOff(reason), CheckoutState::Underway { basket, stage }) => {
                let (_, commands) = Compensation::begin(basket, stage, &reason, &input.what);
                effects.extend(commands.into_iter().map(Effect::Dispatch));
            }
            (Turn::Undo, CheckoutState::Compensating(compensation)) => {
                let change = compensation.change(&input.what);
                let over = compensation.is_over_after(&change);
                effects.extend(change.commands.into_iter().map(Effect::Dispatch));
                effects.extend(over.then_some(Effect::Complete));
            }
            (Turn::Undo, CheckoutState::CalledOff(compensation)) => {
                let commands = compensation.change(&input.what).commands;
                effects.extend(commands.into_iter().map(Effect::Dispatch));
            }
            _ => {}
        }
        effects
    }

    fn evolve(before: CheckoutState, input: &CheckoutInput) -> CheckoutState {
        use CheckoutState::{CalledOff, Compensating, Shipped, Underway};
        let fact = &input.what;
        match (turn(&before, input), before) {
            (Turn::Begin(basket, _), _) => {
                let stage = Stage::Reserving(basket.skus.iter().cloned().collect());
                Underway { basket, stage }
            }
            (Turn::Hold(sku), Underway { basket, mut stage }) => {
                if let Stage::Reserving(pending) = &mut stage {
                    pending.remove(sku);
                }
                Underway { basket, stage }
            }
            (Turn::Enter(stage), Underway { basket, .. })
            | (Turn::Stay, Underway { basket, stage }) => {
                Underway { basket: basket.noting(fact), stage }
            }
            (Turn::Extend(expires_at), Underway { basket, stage }) => {
                Underway { basket: Basket { expires_at, ..basket }, stage }
            }
            (Turn::Close, _) => Shipped,
            (Turn::CallOff(reason), Underway { basket, stage }) => {
                settled(Compensation::begin(&basket, &stage, &reason, fact).0)
            }
            (Turn::Undo, Compensating(compensation) | CalledOff(compensation)) => {
                let change = compensation.change(fact);
                settled(compensation.with(&change))
            }
            (_, unchanged) => unchanged,
        }
    }

    fn rejected(
        order: OrderId,
        command: &CheckoutCommand,
        reason: &str,
        at: Timestamp,
    ) -> Option<CheckoutInput> {
        let reason = reason.to_owned();
        let what = match command {
            CheckoutCommand::Reserve { sku, .. } => {
                CheckoutFact::ReservationRefused { sku: sku.clone(), reason }
            }
            // Money that cannot be given back, or a refund that cannot be noted.
            CheckoutCommand::Refund { .. } | CheckoutCommand::RecordRefund { .. } => return None,
            command => CheckoutFact::Refused { command: command.clone(), reason },
        };
        Some(CheckoutInput { order, at, what })
    }

    fn timed_out(order: OrderId, timeout: &CheckoutTimeout, at: Timestamp) -> CheckoutInput {
        CheckoutInput { order, at, what: CheckoutFact::TimedOut(*timeout) }
    }
}

fn turn<'i>(state: &CheckoutState, input: &'i CheckoutInput) -> Turn<'i> {
    match (state, &input.what) {
        (CheckoutState::NotStarted, CheckoutFact::OrderPlaced { items, total, method }) => {
            Turn::Begin(Basket::new(input, items, *total, method), items)
        }
        (CheckoutState::NotStarted | CheckoutState::Shipped, _) => Turn::Stay,
        (CheckoutState::Compensating(_) | CheckoutState::CalledOff(_), _) => Turn::Undo,
        (CheckoutState::Underway { basket, stage }, fact) => progress(basket, stage, fact)
            .or_else(|| expiry(basket, stage, input))
            .or_else(|| failure(stage, fact).map(Turn::CallOff))
            .unwrap_or(Turn::Stay),
    }
}

/// What goes as it should.
fn progress<'i>(basket: &Basket, stage: &Stage, fact: &'i CheckoutFact) -> Option<Turn<'i>> {
    let total = basket.purse.total.minor;
    Some(match (stage, fact) {
        (Stage::Reserving(pending), CheckoutFact::Reserved { sku }) if pending.contains(sku) => {
            if pending.len() > 1 {
                Turn::Hold(sku)
            } else {
                Turn::Enter(Stage::Confirming)
            }
        }
        (Stage::Confirming, CheckoutFact::OrderConfirmed) => Turn::Enter(Stage::Authorizing),
        (Stage::Authorizing, CheckoutFact::PaymentAuthorized) => Turn::Enter(Stage::Capturing),
        (Stage::Capturing, CheckoutFact::PaymentCaptured { captured })
            if captured.minor >= total =>
        {
            Turn::Enter(Stage::MarkingPaid)
        }
        (Stage::MarkingPaid, CheckoutFact::OrderPaid) => Turn::Enter(Stage::Settled),
        (Stage::Settled, CheckoutFact::OrderShipped) => Turn::Close,
        _ => return None,
    })
}

/// The reservations lapse. Once a capture was asked for, the payment has won: they are held
/// until it is known what became of it.
fn expiry<'i>(basket: &Basket, stage: &Stage, input: &'i CheckoutInput) -> Option<Turn<'i>> {
    let CheckoutFact::TimedOut(CheckoutTimeout::ReservationExpiry) = input.what else {
        return None;
    };
    if input.at < basket.expires_at {
        return None;
    }
    match stage {
        Stage::Reserving(_) | Stage::Confirming | Stage::Authorizing => {
            Some(Turn::CallOff(CancelReason::ReservationExpired))
        }
        Stage::Capturing | Stage::MarkingPaid => Some(Turn::Extend(input.at.plus(RESERVATION_TTL))),
        Stage::Settled => None,
    }
}

/// What goes wrong, or stops the order.
fn failure(stage: &Stage, fact: &CheckoutFact) -> Option<CancelReason> {
    use CheckoutCommand::{Authorize, Capture, ConfirmOrder, MarkPaid};
    use CheckoutFact::{
        OrderCancelled, PaymentDeclined, PaymentVoided, Refused, Released, ReservationRefused,
    };
    let declined = |reason: &str| CancelReason::PaymentDeclined { reason: reason.to_owned() };
    Some(match (stage, fact) {
        (_, OrderCancelled { reason }) => reason.clone(),
        (Stage::Settled, _) => return None,
        (Stage::Reserving(pending), ReservationRefused { sku, .. }) if pending.contains(sku) => {
            CancelReason::OutOfStock { sku: sku.clone() }
        }
        (_, Released { sku }) => CancelReason::OutOfStock { sku: sku.clone() },
        (Stage::Authorizing | Stage::Capturing, PaymentDeclined { reason })
        | (Stage::Authorizing, Refused { command: Authorize { .. }, reason })
        | (Stage::Capturing, Refused { command: Capture { .. }, reason }) => declined(reason),
        (Stage::Capturing, PaymentVoided) => declined("the authorization was voided"),
        (Stage::Confirming, Refused { command: ConfirmOrder, reason }) => {
            CancelReason::Operator { note: format!("it could not be confirmed: {reason}") }
        }
        (Stage::MarkingPaid, Refused { command: MarkPaid { .. }, reason }) => {
            CancelReason::Operator { note: format!("it could not be marked paid: {reason}") }
        }
        _ => return None,
    })
}

impl Basket {
    fn new(
        input: &CheckoutInput,
        items: &[(Sku, Quantity)],
        total: Money,
        method: &PaymentMethod,
    ) -> Self {
        Self {
            order: input.order,
            skus: items.iter().map(|(sku, _)| sku.clone()).collect(),
            method: method.clone(),
            expires_at: input.at.plus(RESERVATION_TTL),
            purse: Purse::new(total),
        }
    }

    fn noting(self, fact: &CheckoutFact) -> Self {
        Self { purse: self.purse.after(fact), ..self }
    }
}

fn settled(compensation: Compensation) -> CheckoutState {
    if compensation.is_over() {
        CheckoutState::CalledOff(compensation)
    } else {
        CheckoutState::Compensating(compensation)
    }
}

/// Whoever gave money back, the order is told, at any stage.
fn noted_refund(state: &CheckoutState, fact: &CheckoutFact) -> Effects {
    match (state, fact) {
        (CheckoutState::NotStarted, _) => vec![],
        (_, CheckoutFact::PaymentRefunded { refund, amount, .. }) => {
            let (refund, amount) = (refund.clone(), *amount);
            vec![Effect::Dispatch(CheckoutCommand::RecordRefund { refund, amount })]
        }
        _ => vec![],
    }
}

fn reserve(basket: &Basket, items: &[(Sku, Quantity)]) -> Effects {
    let expires_at = basket.expires_at;
    let reserve = |(sku, quantity): &(Sku, Quantity)| {
        let (sku, quantity) = (sku.clone(), *quantity);
        Effect::Dispatch(CheckoutCommand::Reserve { sku, quantity, expires_at })
    };
    items.iter().map(reserve).chain([expire(expires_at)]).collect()
}

fn extend(basket: &Basket, expires_at: Timestamp) -> Effects {
    let extend =
        |sku: &Sku| Effect::Dispatch(CheckoutCommand::Extend { sku: sku.clone(), expires_at });
    basket.skus.iter().map(extend).chain([expire(expires_at)]).collect()
}

fn expire(due: Timestamp) -> Effect<CheckoutCommand, CheckoutTimeout> {
    Effect::Schedule { timeout: CheckoutTimeout::ReservationExpiry, due }
}
