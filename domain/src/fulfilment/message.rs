use crate::values::{OrderId, SellerId, Sku, Timestamp};

/// What Fulfilment can learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FulfilmentInput {
    /// Which order.
    pub order: OrderId,
    /// When the event was recorded.
    pub at: Timestamp,
    /// What happened.
    pub what: FulfilmentFact,
}

/// What happened, as far as Fulfilment cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FulfilmentFact {
    /// A seller shipped.
    Shipped {
        /// Which seller.
        seller: SellerId,
        /// What to commit.
        skus: Vec<Sku>,
    },
    /// A reservation was committed.
    Committed {
        /// Of what.
        sku: Sku,
    },
    /// The order knows that a seller is done.
    SellerFulfilled {
        /// Which seller.
        seller: SellerId,
        /// Whether it was the last.
        last: bool,
    },
}

/// What Fulfilment can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FulfilmentCommand {
    /// The goods left with the order.
    Commit {
        /// What.
        sku: Sku,
    },
    /// Note on the order that a seller is done.
    Fulfil {
        /// Which seller.
        seller: SellerId,
    },
}

/// Fulfilment waits for nothing but events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FulfilmentTimeout {}
