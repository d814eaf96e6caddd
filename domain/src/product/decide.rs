use super::{Listing, ProductCommand, ProductEvent, ProductState};
use crate::Decider;
use crate::values::{Currency, Money, SellerId};

/// The rules of a product.
#[derive(Debug, Clone, Copy)]
pub struct Product;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductRejection {
    /// It was never listed.
    #[error("there is no such product")]
    NeverListed,
    /// It was taken off sale.
    #[error("the product is off sale; list it again first")]
    OffSale,
    /// It is for sale, but as something else.
    #[error("the product is listed already, with other details")]
    AlreadyListed,
    /// The stock keeping unit belongs to another seller.
    #[error("the product belongs to seller {seller}")]
    SoldByOther {
        /// Whose it is.
        seller: SellerId,
    },
    /// Nothing is free.
    #[error("a price must be above zero, not {price}")]
    PriceNotPositive {
        /// The price given.
        price: Money,
    },
    /// A price in another currency than the one it was listed in.
    #[error("the product is priced in {listed}, not in {requested}")]
    CurrencyMismatch {
        /// The currency it was listed in.
        listed: Currency,
        /// The currency given.
        requested: Currency,
    },
}

impl Decider for Product {
    const CATEGORY: &'static str = "product";
    type Command = ProductCommand;
    type Event = ProductEvent;
    type State = ProductState;
    type Rejection = ProductRejection;

    fn decide(
        state: &ProductState,
        command: ProductCommand,
    ) -> Result<Vec<ProductEvent>, ProductRejection> {
        match command {
            ProductCommand::List { sku, seller, name, description, category, brand, price, at } => {
                let listing = Listing { sku, seller, name, description, category, brand, price };
                may_list(state, &listing)?;
                Ok(unless_same(state, listing.listed(at)))
            }
            ProductCommand::Describe { name, description, category, brand, at } => {
                for_sale(state)?;
                let event = ProductEvent::Described { name, description, category, brand, at };
                Ok(unless_same(state, event))
            }
            ProductCommand::Reprice { price, at } => {
                may_cost(for_sale(state)?, price)?;
                Ok(unless_same(state, ProductEvent::Repriced { price, at }))
            }
            ProductCommand::Delist { reason, at } => match state {
                ProductState::Unknown => Err(ProductRejection::NeverListed),
                ProductState::Listed(_) => Ok(vec![ProductEvent::Delisted { reason, at }]),
                ProductState::Delisted(_) => Ok(vec![]),
            },
        }
    }

    fn evolve(state: ProductState, event: &ProductEvent) -> ProductState {
        state.after(event)
    }
}

fn may_list(state: &ProductState, wanted: &Listing) -> Result<(), ProductRejection> {
    positive(wanted.price)?;
    match state {
        ProductState::Listed(listing) | ProductState::Delisted(listing)
            if listing.seller != wanted.seller =>
        {
            Err(ProductRejection::SoldByOther { seller: listing.seller.clone() })
        }
        ProductState::Listed(listing) if listing != wanted => Err(ProductRejection::AlreadyListed),
        _ => Ok(()),
    }
}

fn for_sale(state: &ProductState) -> Result<&Listing, ProductRejection> {
    match state {
        ProductState::Unknown => Err(ProductRejection::NeverListed),
        ProductState::Listed(listing) => Ok(listing),
        ProductState::Delisted(_) => Err(ProductRejection::OffSale),
    }
}

fn may_cost(listing: &Listing, price: Money) -> Result<(), ProductRejection> {
    let (listed, requested) = (listing.price.currency, price.currency);
    if listed != requested {
        return Err(ProductRejection::CurrencyMismatch { listed, requested });
    }
    positive(price)
}

fn positive(price: Money) -> Result<(), ProductRejection> {
    if price.minor > 0 { Ok(()) } else { Err(ProductRejection::PriceNotPositive { price }) }
}

fn unless_same(state: &ProductState, event: ProductEvent) -> Vec<ProductEvent> {
    if state.clone().after(&event) == *state { vec![] } else { vec![event] }
}
