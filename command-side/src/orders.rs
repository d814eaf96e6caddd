//! Placing an order takes more than the order itself: who orders, and what things are called and
//! cost now.

use daybook_domain::customer::{Customer, CustomerState};
use daybook_domain::order::{Order, OrderCommand, OrderLine, OrderRejection};
use daybook_domain::product::{Product, ProductState};
use daybook_domain::values::{CustomerId, Money, OrderId, PaymentMethod, Quantity, Sku, Timestamp};
use thiserror::Error;

use crate::commands::{CommandContext, CommandError, Commands, Handled};

/// What a customer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// The new order's id.
    pub order: OrderId,
    /// Who orders.
    pub customer: CustomerId,
    /// What.
    pub lines: Vec<RequestedLine>,
    /// How it will be paid.
    pub method: PaymentMethod,
    /// The business time of the order.
    pub at: Timestamp,
}

/// One line of what a customer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedLine {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// The price of one, where it was agreed beforehand; otherwise the product's price holds.
    pub agreed_price: Option<Money>,
}

/// Why an order was not placed.
#[derive(Debug, Clone, Error)]
pub enum PlaceOrderError {
    /// Nothing of that SKU was ever for sale.
    #[error("there is no product {sku}")]
    UnknownSku {
        /// Which.
        sku: Sku,
    },
    /// It was for sale once.
    #[error("product {sku} is not for sale any more")]
    NotForSale {
        /// Which.
        sku: Sku,
    },
    /// Nobody registered under that id.
    #[error("there is no customer {customer}")]
    UnknownCustomer {
        /// Who.
        customer: CustomerId,
    },
    /// The customer's account was closed.
    #[error("the account of customer {customer} is closed")]
    CustomerClosed {
        /// Who.
        customer: CustomerId,
    },
    /// The order itself was refused, or the store does not serve.
    #[error(transparent)]
    Command(#[from] CommandError<OrderRejection>),
}

/// Places an order with the names, sellers and prices that its products have now.
///
/// # Errors
/// The customer or a product does not allow it, or the order itself is refused.
pub async fn place_order(
    commands: &Commands,
    request: PlaceOrder,
    context: &CommandContext,
) -> Result<Handled<Order>, PlaceOrderError> {
    let PlaceOrder { order, customer, lines, method, at } = request;
    // What was placed stays placed, whatever has become of its products since.
    if context.repeated
        && let Some(handled) =
            commands.recall::<Order>(order, context.command_id).await.map_err(CommandError::from)?
    {
        return Ok(handled);
    }
    check_customer(commands, customer).await?;
    let mut agreed = Vec::with_capacity(lines.len());
    for line in lines {
        agreed.push(agree(commands, line).await?);
    }
    let command = OrderCommand::Place { order, customer, lines: agreed, method, at };
    Ok(commands.handle::<Order>(order, command, context).await?)
}

async fn check_customer(commands: &Commands, customer: CustomerId) -> Result<(), PlaceOrderError> {
    let loaded = commands.load::<Customer>(customer).await.map_err(CommandError::from)?;
    match *loaded.state {
        CustomerState::Open { .. } => Ok(()),
        CustomerState::Unknown => Err(PlaceOrderError::UnknownCustomer { customer }),
        CustomerState::Closed => Err(PlaceOrderError::CustomerClosed { customer }),
    }
}

async fn agree(commands: &Commands, line: RequestedLine) -> Result<OrderLine, PlaceOrderError> {
    let RequestedLine { sku, quantity, agreed_price } = line;
    let product = commands.load::<Product>(&sku).await.map_err(CommandError::from)?;
    match &*product.state {
        ProductState::Listed(listing) => Ok(OrderLine {
            sku,
            seller: listing.seller.clone(),
            name: listing.name.clone(),
            quantity,
            unit_price: agreed_price.unwrap_or(listing.price),
        }),
        ProductState::Unknown => Err(PlaceOrderError::UnknownSku { sku }),
        ProductState::Delisted(_) => Err(PlaceOrderError::NotForSale { sku }),
    }
}
