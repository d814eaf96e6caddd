//! The read models. Each file declares its rows and says how events change them.

mod checkouts;
mod customers;
mod orders;
mod payments;
mod products;
mod sales;
mod stock;

pub(crate) use checkouts::Checkouts;
pub(crate) use customers::Customers;
pub(crate) use orders::Orders;
pub(crate) use payments::Payments;
pub(crate) use products::Products;
pub(crate) use sales::Sales;
pub(crate) use stock::StockLevels;

use daybook_event_schemas::Envelope;
use uuid::Uuid;

use crate::ApplyError;

/// Rows that a busy model keeps in memory from one batch to the next.
const KEEP: usize = 20_000;

/// The event's revision as a column.
fn revision<E>(event: &Envelope<E>) -> i64 {
    event.revision.0.cast_signed()
}

/// The id in the name of the event's stream.
fn id<E>(event: &Envelope<E>) -> Result<Uuid, ApplyError> {
    let id = event.stream.id();
    Uuid::try_parse(id).map_err(|_| ApplyError::Stream { id: id.to_owned() })
}
