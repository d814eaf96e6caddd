//! What a customer asked for and what became of it: `order-<id>`.

mod command;
mod decide;
mod state;

pub use command::OrderCommand;
pub use decide::{Order, OrderRejection};
pub use state::{
    CancelReason, OrderEvent, OrderLine, OrderState, OrderStatus, PaymentStatus, PlacedOrder,
    RefundStatus, ShipmentStatus, ShippedItem,
};
