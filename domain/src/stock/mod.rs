//! How many there are, and for whom: one stream per stock keeping unit, `stock-<sku>`.

mod command;
mod decide;
mod state;

pub use command::StockCommand;
pub use decide::{MAX_ON_HAND, Stock, StockRejection};
pub use state::{Ended, ReleaseReason, Reservation, StockEvent, StockState};
