//! The query side: questions asked of the read models.
//!
//! [`Queries`] reads the tables that the projections write and never writes itself. What does not
//! exist is `None`, not an error. Every answer about one thing carries the revision of its
//! stream, and [`Queries::wait_for`] lets a client read its own write.

mod accounts;
pub mod catalog;
mod checkouts;
mod error;
mod orders;
pub mod outcomes;
mod page;
mod progress;
mod queries;
mod row;
mod sales;
mod status;
mod stock;
pub mod time_travel;
mod values;
pub mod verify;

pub use accounts::{Customer, Payment, Product};
pub use checkouts::Checkout;
pub use error::QueryError;
pub use orders::{Cancellation, Line, Order, OrderDetails, Shipment, TimelineEntry};
pub use page::{Cursor, InvalidCursor, InvalidLimit, Limit, Page};
pub use progress::{ParkedEvent, ProjectionStatus, Survey};
pub use queries::Queries;
pub use sales::{DaySales, ProductSales, Sales};
pub use stock::{Reservation, Stock};
pub use values::{Instant, Money};
