use super::{PaymentCommand, PaymentEvent, PaymentState};
use crate::Decider;

/// The rules of a payment.
#[derive(Debug, Clone, Copy)]
pub struct Payment;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRejection {
    /// There is no such payment.
    #[error("there is no such payment")]
    Unknown,
}

impl Decider for Payment {
    const CATEGORY: &'static str = "payment";
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type State = PaymentState;
    type Rejection = PaymentRejection;

    fn decide(_: &PaymentState, _: PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentRejection> {
        Err(PaymentRejection::Unknown)
    }

    fn evolve(state: PaymentState, _: &PaymentEvent) -> PaymentState {
        state
    }
}
