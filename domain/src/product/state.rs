use crate::values::{Label, Money, SellerId, Sku, Timestamp};

/// What happened to a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductEvent {
    /// It is for sale.
    Listed {
        /// Stock keeping unit.
        sku: Sku,
        /// Who sells and ships it.
        seller: SellerId,
        /// What customers call it.
        name: Label,
        /// Free text about it.
        description: String,
        /// Where it stands in the catalogue.
        category: Label,
        /// Who makes it.
        brand: Option<Label>,
        /// Price of one.
        price: Money,
        /// When.
        at: Timestamp,
    },
    /// It is described differently.
    Described {
        /// What customers call it.
        name: Label,
        /// Free text about it.
        description: String,
        /// Where it stands in the catalogue.
        category: Label,
        /// Who makes it.
        brand: Option<Label>,
        /// When.
        at: Timestamp,
    },
    /// It costs something else.
    Repriced {
        /// Price of one.
        price: Money,
        /// When.
        at: Timestamp,
    },
    /// It is off sale.
    Delisted {
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// What a product is offered as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Stock keeping unit.
    pub sku: Sku,
    /// Who sells and ships it.
    pub seller: SellerId,
    /// What customers call it.
    pub name: Label,
    /// Free text about it.
    pub description: String,
    /// Where it stands in the catalogue.
    pub category: Label,
    /// Who makes it.
    pub brand: Option<Label>,
    /// Price of one.
    pub price: Money,
}

impl Listing {
    /// The event that offers it for sale.
    pub(super) fn listed(self, at: Timestamp) -> ProductEvent {
        let Self { sku, seller, name, description, category, brand, price } = self;
        ProductEvent::Listed { sku, seller, name, description, category, brand, price, at }
    }
}

/// Where a product stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProductState {
    /// Never listed.
    #[default]
    Unknown,
    /// For sale.
    Listed(Listing),
    /// Off sale, as last offered.
    Delisted(Listing),
}

impl ProductState {
    /// What it is, or was last, offered as.
    pub fn listing(&self) -> Option<&Listing> {
        match self {
            Self::Unknown => None,
            Self::Listed(listing) | Self::Delisted(listing) => Some(listing),
        }
    }

    pub(super) fn after(self, event: &ProductEvent) -> Self {
        match (self, event.clone()) {
            (
                _,
                ProductEvent::Listed {
                    sku, seller, name, description, category, brand, price, ..
                },
            ) => Self::Listed(Listing { sku, seller, name, description, category, brand, price }),
            (
                Self::Listed(listing),
                ProductEvent::Described { name, description, category, brand, .. },
            ) => Self::Listed(Listing { name, description, category, brand, ..listing }),
            (Self::Listed(listing), ProductEvent::Repriced { price, .. }) => {
                Self::Listed(Listing { price, ..listing })
            }
            (Self::Listed(listing), ProductEvent::Delisted { .. }) => Self::Delisted(listing),
            (state @ (Self::Unknown | Self::Delisted(_)), _) => state,
        }
    }
}
