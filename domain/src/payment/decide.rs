use super::{PaymentCommand, PaymentEvent, PaymentState, Requested, Taken};
use crate::ledger::{Posting, PostingError};
use crate::values::{Currency, Money, Timestamp};
use crate::{Decider, Ledger};

/// The rules of a payment.
#[derive(Debug, Clone, Copy)]
pub struct Payment;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRejection {
    /// There is no such payment.
    #[error("there is no such payment")]
    NotRequested,
    /// The payment's id was used for another payment.
    #[error("the payment was requested already, with other content")]
    AlreadyRequested,
    /// A payment, capture or refund of nothing.
    #[error("an amount must be above zero, not {amount}")]
    AmountNotPositive {
        /// The amount given.
        amount: Money,
    },
    /// An amount in another currency than the payment's.
    #[error("the payment is in {expected}, not in {actual}")]
    CurrencyMismatch {
        /// The payment's currency.
        expected: Currency,
        /// The currency given.
        actual: Currency,
    },
    /// The provider has not said yes.
    #[error("the payment is not authorized yet")]
    NotAuthorized,
    /// The provider said yes under another name.
    #[error("the payment was authorized already, as {reference:?}")]
    AlreadyAuthorized {
        /// The provider's name for the authorization.
        reference: String,
    },
    /// The provider said no.
    #[error("the payment was declined: {reason}")]
    AlreadyDeclined {
        /// What it said.
        reason: String,
    },
    /// The authorization was let go.
    #[error("the payment was voided")]
    AlreadyVoided,
    /// Money was taken.
    #[error("the payment was captured")]
    AlreadyCaptured,
    /// There is no uncaptured rest to let go.
    #[error("nothing is left to void; refund it instead")]
    NothingToVoid,
    /// Nothing was taken that could go back.
    #[error("nothing was captured yet")]
    NotCaptured,
    /// The capture was recorded with another amount.
    #[error("capture {capture:?} was recorded already, of {recorded}")]
    CaptureDiffers {
        /// The capture.
        capture: String,
        /// The amount recorded.
        recorded: Money,
    },
    /// More would be taken than the provider holds.
    #[error("only {capturable} can be captured, {requested} requested")]
    OverCapture {
        /// How much can be taken.
        capturable: Money,
        /// How much was asked for.
        requested: Money,
    },
    /// The refund was recorded with another amount.
    #[error("refund {refund:?} was recorded already, of {recorded}")]
    RefundDiffers {
        /// The refund.
        refund: String,
        /// The amount recorded.
        recorded: Money,
    },
    /// More would go back than was taken.
    #[error("only {refundable} can be refunded, {requested} requested")]
    OverRefund {
        /// How much can go back.
        refundable: Money,
        /// How much was asked for.
        requested: Money,
    },
}

type Decision = Result<Vec<PaymentEvent>, PaymentRejection>;

impl Decider for Payment {
    const CATEGORY: &'static str = "payment";
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type State = PaymentState;
    type Rejection = PaymentRejection;

    fn decide(state: &PaymentState, command: PaymentCommand) -> Decision {
        match command {
            PaymentCommand::Request { payment, order, amount, method, at } => {
                open(state, Requested { payment, order, amount, method }, at)
            }
            PaymentCommand::Authorize { reference, at } => authorize(state, reference, at),
            PaymentCommand::Capture { capture, amount, at } => take(state, capture, amount, at),
            PaymentCommand::Void { at } => void(state, at),
            PaymentCommand::Decline { reason, at } => decline(state, reason, at),
            PaymentCommand::Refund { refund, amount, at } => give_back(state, refund, amount, at),
        }
    }

    fn evolve(state: PaymentState, event: &PaymentEvent) -> PaymentState {
        state.after(event)
    }
}

fn open(state: &PaymentState, wanted: Requested, at: Timestamp) -> Decision {
    match state.request() {
        Some(request) if *request == wanted => Ok(vec![]),
        Some(_) => Err(PaymentRejection::AlreadyRequested),
        None if wanted.amount.minor <= 0 => {
            Err(PaymentRejection::AmountNotPositive { amount: wanted.amount })
        }
        None => {
            let Requested { payment, order, amount, method } = wanted;
            Ok(vec![PaymentEvent::Requested { payment, order, amount, method, at }])
        }
    }
}

fn authorize(state: &PaymentState, reference: String, at: Timestamp) -> Decision {
    match state {
        _ if state.reference() == Some(&reference) => Ok(vec![]),
        PaymentState::Unknown => Err(PaymentRejection::NotRequested),
        PaymentState::Requested(Requested { order, amount, .. }) => {
            Ok(vec![PaymentEvent::Authorized { order: *order, amount: *amount, reference, at }])
        }
        PaymentState::Authorized { reference, .. } => {
            Err(PaymentRejection::AlreadyAuthorized { reference: reference.clone() })
        }
        PaymentState::Captured(taken) => {
            Err(PaymentRejection::AlreadyAuthorized { reference: taken.reference.clone() })
        }
        PaymentState::Voided { .. } => Err(PaymentRejection::AlreadyVoided),
        PaymentState::Declined { reason, .. } => Err(declined(reason)),
    }
}

fn take(state: &PaymentState, capture: String, amount: Money, at: Timestamp) -> Decision {
    let (request, taken, closed) = match state {
        PaymentState::Authorized { request, .. } => {
            (request, &Ledger::new(request.amount.currency), false)
        }
        PaymentState::Captured(taken) => (&taken.request, &taken.captures, taken.closed),
        _ => return Err(not_authorized(state)),
    };
    let order = request.order;
    match taken.posting(&capture, amount, request.amount) {
        Ok(Posting::Repeated) => Ok(vec![]),
        Ok(Posting::New(_)) if closed => Err(PaymentRejection::AlreadyVoided),
        Ok(Posting::New(captured)) => {
            Ok(vec![PaymentEvent::Captured { order, capture, amount, captured, at }])
        }
        Err(PostingError::NameTaken { by }) => {
            Err(PaymentRejection::CaptureDiffers { capture, recorded: by })
        }
        Err(PostingError::TooMuch { left }) => {
            Err(PaymentRejection::OverCapture { capturable: left, requested: amount })
        }
        Err(PostingError::NotPositive) => Err(PaymentRejection::AmountNotPositive { amount }),
        Err(PostingError::CurrencyMismatch { expected }) => Err(mismatch(expected, amount)),
    }
}

fn void(state: &PaymentState, at: Timestamp) -> Decision {
    match state {
        PaymentState::Authorized { request, .. } => {
            Ok(vec![PaymentEvent::Voided { order: request.order, at }])
        }
        PaymentState::Voided { .. } => Ok(vec![]),
        PaymentState::Captured(taken) if taken.closed => Ok(vec![]),
        PaymentState::Captured(taken) if taken.captures.total() == taken.request.amount => {
            Err(PaymentRejection::NothingToVoid)
        }
        PaymentState::Captured(taken) => {
            Ok(vec![PaymentEvent::Voided { order: taken.request.order, at }])
        }
        PaymentState::Unknown | PaymentState::Requested(_) | PaymentState::Declined { .. } => {
            Err(not_authorized(state))
        }
    }
}

/// A provider can also go back on an authorization, as long as nothing was taken.
fn decline(state: &PaymentState, reason: String, at: Timestamp) -> Decision {
    match state {
        PaymentState::Requested(request) | PaymentState::Authorized { request, .. } => {
            Ok(vec![PaymentEvent::Declined { order: request.order, reason, at }])
        }
        PaymentState::Declined { reason: before, .. } if *before == reason => Ok(vec![]),
        PaymentState::Captured(_) => Err(PaymentRejection::AlreadyCaptured),
        _ => Err(not_authorized(state)),
    }
}

fn give_back(state: &PaymentState, refund: String, amount: Money, at: Timestamp) -> Decision {
    let PaymentState::Captured(taken) = state else {
        return Err(match state {
            PaymentState::Authorized { .. } => PaymentRejection::NotCaptured,
            _ => not_authorized(state),
        });
    };
    let Taken { request, captures, refunds, .. } = &**taken;
    let order = request.order;
    match refunds.posting(&refund, amount, captures.total()) {
        Ok(Posting::Repeated) => Ok(vec![]),
        Ok(Posting::New(refunded)) => {
            Ok(vec![PaymentEvent::Refunded { order, refund, amount, refunded, at }])
        }
        Err(PostingError::NameTaken { by }) => {
            Err(PaymentRejection::RefundDiffers { refund, recorded: by })
        }
        Err(PostingError::TooMuch { left }) => {
            Err(PaymentRejection::OverRefund { refundable: left, requested: amount })
        }
        Err(PostingError::NotPositive) => Err(PaymentRejection::AmountNotPositive { amount }),
        Err(PostingError::CurrencyMismatch { expected }) => Err(mismatch(expected, amount)),
    }
}

/// Why there is no authorization to work with.
fn not_authorized(state: &PaymentState) -> PaymentRejection {
    match state {
        PaymentState::Unknown => PaymentRejection::NotRequested,
        PaymentState::Voided { .. } => PaymentRejection::AlreadyVoided,
        PaymentState::Declined { reason, .. } => declined(reason),
        _ => PaymentRejection::NotAuthorized,
    }
}

fn declined(reason: &str) -> PaymentRejection {
    PaymentRejection::AlreadyDeclined { reason: reason.to_owned() }
}

fn mismatch(expected: Currency, amount: Money) -> PaymentRejection {
    PaymentRejection::CurrencyMismatch { expected, actual: amount.currency }
}
