use super::{CheckoutCommand, CheckoutInput, CheckoutState, CheckoutTimeout};
use crate::values::{OrderId, Timestamp};
use crate::{Effect, ProcessManager, Route};

/// The checkout process manager.
#[derive(Debug, Clone, Copy)]
pub struct Checkout;

impl ProcessManager for Checkout {
    const NAME: &'static str = "checkout";
    type Id = OrderId;
    type Input = CheckoutInput;
    type State = CheckoutState;
    type Command = CheckoutCommand;
    type Timeout = CheckoutTimeout;

    fn route(_: &CheckoutInput) -> Route<OrderId> {
        Route::Ignore
    }

    fn react(
        _: &CheckoutState,
        _: &CheckoutInput,
    ) -> Vec<Effect<CheckoutCommand, CheckoutTimeout>> {
        Vec::new()
    }

    fn evolve(state: CheckoutState, _: &CheckoutInput) -> CheckoutState {
        state
    }

    fn rejected(_: OrderId, _: &CheckoutCommand, _: &str, _: Timestamp) -> Option<CheckoutInput> {
        None
    }

    fn timed_out(order: OrderId, timeout: &CheckoutTimeout, at: Timestamp) -> CheckoutInput {
        CheckoutInput { order, at, what: super::CheckoutFact::TimedOut(*timeout) }
    }
}
