use super::{StockCommand, StockEvent, StockState};
use crate::Decider;

/// The rules of a stock.
#[derive(Debug, Clone, Copy)]
pub struct Stock;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockRejection {
    /// There is no such stock.
    #[error("there is no such stock")]
    Unknown,
}

impl Decider for Stock {
    const CATEGORY: &'static str = "stock";
    type Command = StockCommand;
    type Event = StockEvent;
    type State = StockState;
    type Rejection = StockRejection;

    fn decide(_: &StockState, _: StockCommand) -> Result<Vec<StockEvent>, StockRejection> {
        Err(StockRejection::Unknown)
    }

    fn evolve(state: StockState, _: &StockEvent) -> StockState {
        state
    }
}
