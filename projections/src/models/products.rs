use std::sync::Arc;

use daybook_domain::product::ProductEvent;
use daybook_domain::values::Money;
use daybook_event_schemas::Envelope;

use super::{KEEP, revision};
use crate::projection::{ApplyError, Projection};
use crate::row::{row, words};
use crate::rows::{Buffer, Rows};

row! {
    /// A product as it is, or was last, offered.
    ProductRow in "products" {
        key { sku: Arc<str> }
        status: ProductStatus,
        seller: Arc<str>,
        name: Arc<str>,
        description: Arc<str>,
        category: Arc<str>,
        brand: Option<Arc<str>>,
        currency: Arc<str>,
        price: i64,
        listed_at: i64,
        updated_at: i64,
        revision: i64,
    }
}

words! {
    /// Whether a product is for sale.
    ProductStatus { Listed = "listed", Delisted = "delisted" }
}

/// Every product as it is, or was last, offered.
pub(crate) struct Products {
    products: Rows<ProductRow>,
}

impl Projection for Products {
    const NAME: &'static str = "products";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = include_str!("../../migrations/models/products.sql");
    const TABLES: &'static [&'static str] = &["products"];
    type Event = ProductEvent;

    fn new(generation: u32) -> Self {
        Self { products: Rows::new(generation, KEEP) }
    }

    fn prepare(&mut self, event: &Envelope<ProductEvent>) {
        self.products.want_at(event.revision, (event.stream.id().into(),));
    }

    fn apply(&mut self, event: &Envelope<ProductEvent>) -> Result<(), ApplyError> {
        if let Some(row) = listed(event) {
            self.products.put(row);
            return Ok(());
        }
        let row = self.products.change(&(event.stream.id().into(),))?;
        row.updated_at = event.recorded_at;
        row.revision = revision(event);
        match &event.event {
            ProductEvent::Listed { .. } => {}
            ProductEvent::Described { name, description, category, brand, .. } => {
                row.name = name.as_str().into();
                row.description = description.as_str().into();
                row.category = category.as_str().into();
                row.brand = brand.as_ref().map(|brand| brand.as_str().into());
            }
            ProductEvent::Repriced { price: Money { minor, currency }, .. } => {
                (row.price, row.currency) = (*minor, currency.code().into());
            }
            ProductEvent::Delisted { .. } => row.status = ProductStatus::Delisted,
        }
        Ok(())
    }

    fn buffers(&mut self) -> Vec<&mut dyn Buffer> {
        vec![&mut self.products]
    }
}

/// The row of a product that is offered for the first time, or again.
fn listed(event: &Envelope<ProductEvent>) -> Option<ProductRow> {
    let ProductEvent::Listed { sku, seller, name, description, category, brand, price, at } =
        &event.event
    else {
        return None;
    };
    Some(ProductRow {
        sku: sku.as_str().into(),
        status: ProductStatus::Listed,
        seller: seller.as_str().into(),
        name: name.as_str().into(),
        description: description.as_str().into(),
        category: category.as_str().into(),
        brand: brand.as_ref().map(|brand| brand.as_str().into()),
        currency: price.currency.code().into(),
        price: price.minor,
        listed_at: at.as_micros(),
        updated_at: event.recorded_at,
        revision: revision(event),
    })
}
