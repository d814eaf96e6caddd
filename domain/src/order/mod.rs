//! What a customer asked for and what became of it: `order-<id>`.

mod command;
mod decide;
mod state;
mod status;

pub use command::OrderCommand;
pub use decide::{MAX_LINES, Order, OrderRejection};
pub use state::{
    CancelReason, OrderEvent, OrderLine, OrderStage, OrderState, Parcel, PlacedOrder, ShippedItem,
    items,
};
pub use status::{OrderStatus, PaymentStatus, RefundStatus, ShipmentStatus};
