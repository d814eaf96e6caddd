//! How many there are, and for whom: one stream per stock keeping unit, `stock-<sku>`.

mod command;
mod decide;
mod state;

pub use command::StockCommand;
pub use decide::{Stock, StockRejection};
pub use state::{ReleaseReason, Reservation, StockEvent, StockState};
