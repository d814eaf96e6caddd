use super::{ProductCommand, ProductEvent, ProductState};
use crate::Decider;

/// The rules of a product.
#[derive(Debug, Clone, Copy)]
pub struct Product;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductRejection {
    /// There is no such product.
    #[error("there is no such product")]
    Unknown,
}

impl Decider for Product {
    const CATEGORY: &'static str = "product";
    type Command = ProductCommand;
    type Event = ProductEvent;
    type State = ProductState;
    type Rejection = ProductRejection;

    fn decide(_: &ProductState, _: ProductCommand) -> Result<Vec<ProductEvent>, ProductRejection> {
        Err(ProductRejection::Unknown)
    }

    fn evolve(state: ProductState, _: &ProductEvent) -> ProductState {
        state
    }
}
