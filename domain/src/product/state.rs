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
