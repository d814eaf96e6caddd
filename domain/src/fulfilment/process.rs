use super::{FulfilmentCommand, FulfilmentInput, FulfilmentState, FulfilmentTimeout};
use crate::values::{OrderId, Timestamp};
use crate::{Effect, ProcessManager, Route};

/// The fulfilment process manager.
#[derive(Debug, Clone, Copy)]
pub struct Fulfilment;

impl ProcessManager for Fulfilment {
    const NAME: &'static str = "fulfilment";
    type Id = OrderId;
    type Input = FulfilmentInput;
    type State = FulfilmentState;
    type Command = FulfilmentCommand;
    type Timeout = FulfilmentTimeout;

    fn route(_: &FulfilmentInput) -> Route<OrderId> {
        Route::Ignore
    }

    fn react(
        _: &FulfilmentState,
        _: &FulfilmentInput,
    ) -> Vec<Effect<FulfilmentCommand, FulfilmentTimeout>> {
        Vec::new()
    }

    fn evolve(state: FulfilmentState, _: &FulfilmentInput) -> FulfilmentState {
        state
    }

    fn rejected(
        _: OrderId,
        _: &FulfilmentCommand,
        _: &str,
        _: Timestamp,
    ) -> Option<FulfilmentInput> {
        None
    }

    fn timed_out(_: OrderId, timeout: &FulfilmentTimeout, _: Timestamp) -> FulfilmentInput {
        match *timeout {}
    }
}
