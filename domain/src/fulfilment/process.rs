use super::{
    FulfilmentCommand, FulfilmentFact, FulfilmentInput, FulfilmentState, FulfilmentTimeout,
};
use crate::values::{OrderId, SellerId, Sku, Timestamp};
use crate::{Effect, ProcessManager, Route};

/// The fulfilment process manager.
#[derive(Debug, Clone, Copy)]
pub struct Fulfilment;

type Effects = Vec<Effect<FulfilmentCommand, FulfilmentTimeout>>;

impl ProcessManager for Fulfilment {
    const NAME: &'static str = "fulfilment";
    type Id = OrderId;
    type Input = FulfilmentInput;
    type State = FulfilmentState;
    type Command = FulfilmentCommand;
    type Timeout = FulfilmentTimeout;

    fn route(input: &FulfilmentInput) -> Route<OrderId> {
        match input.what {
            FulfilmentFact::Shipped { .. } => Route::Start(input.order),
            _ => Route::Continue(input.order),
        }
    }

    fn react(state: &FulfilmentState, input: &FulfilmentInput) -> Effects {
        let commit = |sku: &Sku| Effect::Dispatch(FulfilmentCommand::Commit { sku: sku.clone() });
        let fulfil = |seller: &SellerId| {
            vec![Effect::Dispatch(FulfilmentCommand::Fulfil { seller: seller.clone() })]
        };
        match &input.what {
            FulfilmentFact::Shipped { seller, skus } if state.awaits(seller) => {
                if skus.is_empty() {
                    fulfil(seller)
                } else {
                    skus.iter().map(commit).collect()
                }
            }
            FulfilmentFact::Committed { sku } => state.completed_by(sku).map_or(vec![], fulfil),
            FulfilmentFact::SellerFulfilled { last: true, .. } if state.is_underway() => {
                vec![Effect::Complete]
            }
            _ => vec![],
        }
    }

    fn evolve(state: FulfilmentState, input: &FulfilmentInput) -> FulfilmentState {
        match (state, &input.what) {
            (FulfilmentState::Fulfilled, _) => FulfilmentState::Fulfilled,
            (state, FulfilmentFact::Shipped { seller, skus }) if state.awaits(seller) => {
                state.shipped(seller, skus)
            }
            (state, FulfilmentFact::Committed { sku }) => state.committed(sku),
            (state, FulfilmentFact::SellerFulfilled { seller, last }) => {
                state.fulfilled(seller, *last)
            }
            (state, FulfilmentFact::Shipped { .. }) => state,
        }
    }

    /// Goods left that nothing was reserved for, or an order denies having shipped: neither can
    /// be put right by code.
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
