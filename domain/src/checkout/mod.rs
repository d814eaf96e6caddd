//! Takes an order from placed to paid: reserve every line, confirm, authorize, capture. Any
//! failure compensates in reverse and cancels the order with its reason.
//!
//! One instance per order, `checkout-<order id>`. Business instants of the order are kept apart
//! from the instants at which the process acts, so that an order of long ago can be processed now.

mod compensation;
mod message;
mod process;
mod state;

pub use compensation::{Compensation, Hold, MoneyStep};
pub use message::{CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutTimeout};
pub use process::{Checkout, RESERVATION_TTL, payment_id};
pub use state::{Basket, CheckoutState, Purse, Stage};
