//! Takes a shipped order to fulfilled: a seller ships, its reservations are committed, and the
//! order learns that the seller is done.
//!
//! One instance per order, `fulfilment-<order id>`.

mod message;
mod process;
mod state;

pub use message::{FulfilmentCommand, FulfilmentFact, FulfilmentInput, FulfilmentTimeout};
pub use process::Fulfilment;
pub use state::{FulfilmentState, SellerStage};
