//! What is sold: one stream per stock keeping unit, `product-<sku>`.

mod command;
mod decide;
mod state;

pub use command::ProductCommand;
pub use decide::{Product, ProductRejection};
pub use state::{Listing, ProductEvent, ProductState};
