use std::collections::BTreeSet;

use daybook_domain::product::{Listing, ProductEvent, ProductState};
use daybook_domain::stock::{Stock, StockEvent};
use daybook_domain::values::{Label, Sku, Timestamp};
use daybook_domain::{Decider, product::Product};
use daybook_event_schemas::{DecodeError, open};
use daybook_event_store::{Position, Recorded};

/// What happened to a product or to its stock.
#[derive(Debug)]
pub(crate) enum Change {
    Product(ProductEvent),
    Stock(StockEvent),
}

impl Change {
    /// Reads an event of a product's stream or of its stock's; `None` where it has retired.
    pub(crate) fn read(recorded: &Recorded) -> Result<Option<Self>, DecodeError> {
        if recorded.stream.category() == Stock::CATEGORY {
            Ok(open(recorded)?.map(|event| Self::Stock(event.event)))
        } else {
            Ok(open(recorded)?.map(|event| Self::Product(event.event)))
        }
    }
}

/// What the index is told of a product: its listing, and whether it can be had.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    product: ProductState,
    /// When it was last offered for sale.
    listed_at: Option<Timestamp>,
    /// Every category it ever stood in.
    categories: BTreeSet<Label>,
    /// How many can be reserved.
    available: i64,
    /// The last event that changed its document.
    version: Option<Position>,
}

impl Entry {
    /// Takes in what happened, and tells whether its document may change by that.
    pub(crate) fn post(&mut self, change: &Change, position: Position) -> bool {
        match change {
            Change::Product(event) => {
                self.post_product(event, position);
                true
            }
            Change::Stock(event) => self.post_stock(event, position),
        }
    }

    fn post_product(&mut self, event: &ProductEvent, position: Position) {
        if let ProductEvent::Listed { at, .. } = event {
            self.listed_at = Some(*at);
        }
        self.product = Product::evolve(std::mem::take(&mut self.product), event);
        self.categories.extend(self.listing().map(|listing| listing.category.clone()));
        self.version = Some(position);
    }

    fn post_stock(&mut self, event: &StockEvent, position: Position) -> bool {
        let before = self.in_stock();
        self.available = self.available.saturating_add(change(event));
        let changed = self.in_stock() != before && self.listing().is_some();
        if changed {
            self.version = Some(position);
        }
        changed
    }

    /// What it is offered as, if it is for sale.
    pub(crate) fn listing(&self) -> Option<&Listing> {
        match &self.product {
            ProductState::Listed(listing) => Some(listing),
            ProductState::Unknown | ProductState::Delisted(_) => None,
        }
    }

    /// Its SKU, if it was ever listed.
    pub(crate) fn sku(&self) -> Option<&Sku> {
        self.product.listing().map(|listing| &listing.sku)
    }

    pub(crate) fn listed_at(&self) -> Timestamp {
        self.listed_at.unwrap_or(Timestamp::from_micros(0))
    }

    /// Whether one can be reserved.
    pub(crate) fn in_stock(&self) -> bool {
        self.available > 0
    }

    /// Every category it ever stood in, that of today with them.
    pub(crate) fn categories(&self) -> &BTreeSet<Label> {
        &self.categories
    }

    /// The last event that changed its document.
    pub(crate) fn version(&self) -> Option<Position> {
        self.version
    }
}

/// By how many more or fewer can be reserved.
fn change(event: &StockEvent) -> i64 {
    match event {
        StockEvent::Received { quantity, .. } | StockEvent::Released { quantity, .. } => {
            quantity.get().into()
        }
        StockEvent::Adjusted { delta, .. } => *delta,
        StockEvent::Reserved { quantity, .. } => -i64::from(quantity.get()),
        // What leaves was held, and is not there for others already.
        StockEvent::Committed { .. } | StockEvent::Extended { .. } => 0,
    }
}
