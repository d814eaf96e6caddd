use super::{OrderCommand, OrderEvent, OrderState};
use crate::Decider;

/// The rules of a order.
#[derive(Debug, Clone, Copy)]
pub struct Order;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRejection {
    /// There is no such order.
    #[error("there is no such order")]
    Unknown,
}

impl Decider for Order {
    const CATEGORY: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type State = OrderState;
    type Rejection = OrderRejection;

    fn decide(_: &OrderState, _: OrderCommand) -> Result<Vec<OrderEvent>, OrderRejection> {
        Err(OrderRejection::Unknown)
    }

    fn evolve(state: OrderState, _: &OrderEvent) -> OrderState {
        state
    }
}
