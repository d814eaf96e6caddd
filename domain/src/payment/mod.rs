//! The money of one order: `payment-<id>`.

mod command;
mod decide;
mod state;

pub use command::PaymentCommand;
pub use decide::{Payment, PaymentRejection};
pub use state::{PaymentEvent, PaymentState, Requested, Taken};
