use daybook_domain::product::ProductEvent;
use daybook_domain::values::{Label, Money, SellerId, Sku, Timestamp};

use crate::shape::contract;

contract! {
    ProductEvent, upcasts: &[], retired: [];

    /// A product is for sale.
    ProductListed 1 = Listed {
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
        /// Business time.
        at: Timestamp,
    }

    /// A product is described differently.
    ProductDescribed 1 = Described {
        /// What customers call it.
        name: Label,
        /// Free text about it.
        description: String,
        /// Where it stands in the catalogue.
        category: Label,
        /// Who makes it.
        brand: Option<Label>,
        /// Business time.
        at: Timestamp,
    }

    /// A product costs something else.
    ProductRepriced 1 = Repriced {
        /// Price of one.
        price: Money,
        /// Business time.
        at: Timestamp,
    }

    /// A product is off sale.
    ProductDelisted 1 = Delisted {
        /// Why, for people.
        reason: String,
        /// Business time.
        at: Timestamp,
    }
}
