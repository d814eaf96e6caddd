//! What a customer asked for and what became of it: `order-<id>`.

mod command;
mod decide;
mod state;

pub use command::OrderCommand;
pub use decide::{MAX_LINES, Order, OrderRejection};
pub use state::{
    CancelReason, OrderEvent, OrderLine, OrderStage, OrderState, OrderStatus, Parcel,
    PaymentStatus, PlacedOrder, RefundStatus, ShipmentStatus, ShippedItem, items,
};
