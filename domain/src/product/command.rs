use crate::values::{Label, Money, SellerId, Sku, Timestamp};

/// What may be asked of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductCommand {
    /// Offer it for sale, for the first time or again after it was delisted.
    List {
        /// Stock keeping unit, the product's id.
        sku: Sku,
        /// Who sells and ships it.
        seller: SellerId,
        /// What customers call it.
        name: Label,
        /// Free text about it; may be empty.
        description: String,
        /// Where it stands in the catalogue.
        category: Label,
        /// Who makes it, where that is known.
        brand: Option<Label>,
        /// Price of one.
        price: Money,
        /// When.
        at: Timestamp,
    },
    /// Change how it is described.
    Describe {
        /// What customers call it.
        name: Label,
        /// Free text about it; may be empty.
        description: String,
        /// Where it stands in the catalogue.
        category: Label,
        /// Who makes it, where that is known.
        brand: Option<Label>,
        /// When.
        at: Timestamp,
    },
    /// Change what one costs; orders placed before keep their price.
    Reprice {
        /// The new price, in the currency it was listed in.
        price: Money,
        /// When.
        at: Timestamp,
    },
    /// Take it off sale.
    Delist {
        /// Why, for people; may be empty.
        reason: String,
        /// When.
        at: Timestamp,
    },
}
