//! Who orders: `customer-<id>`.

mod command;
mod decide;
mod state;

pub use command::CustomerCommand;
pub use decide::{Customer, CustomerRejection};
pub use state::{CustomerEvent, CustomerState};
