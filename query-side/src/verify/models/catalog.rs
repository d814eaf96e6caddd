use daybook_domain::Decider;
use daybook_domain::product::ProductState;
use daybook_domain::stock::Stock;
use daybook_domain::values::Label;
use daybook_event_store::StreamId;

use super::table::{Comparison, Rows};
use crate::catalog::CatalogItem;
use crate::verify::books::Books;
use crate::verify::findings::Findings;
use crate::verify::row::Cell;

const COLUMNS: &[&str] =
    &["seller", "name", "description", "category", "brand", "price", "currency", "in_stock"];

/// Compares what can be found with what is for sale.
pub(super) fn compare(books: &Books, items: &[CatalogItem], findings: &mut Findings) {
    let mut comparison = Comparison::new("catalog", COLUMNS, listed(books), findings);
    for item in items {
        comparison.row(&item.sku, &found(item));
    }
    comparison.finish();
}

fn listed(books: &Books) -> Rows<'_> {
    let products = books.parties.products.iter();
    products
        .filter_map(|(stream, entry)| {
            let ProductState::Listed(listing) = &entry.state else { return None };
            let stock = StreamId::new(Stock::CATEGORY, stream.id()).ok();
            let shelf = stock.and_then(|stock| books.stock.shelves.get(&stock));
            let in_stock = shelf.is_some_and(|shelf| shelf.on_hand > shelf.reserved);
            let cells = vec![
                listing.seller.as_str().into(),
                listing.name.as_str().into(),
                listing.description.as_str().into(),
                listing.category.as_str().into(),
                listing.brand.as_ref().map(Label::as_str).into(),
                listing.price.minor.into(),
                listing.price.currency.code().into(),
                i64::from(in_stock).into(),
            ];
            Some((stream.id().to_owned(), cells))
        })
        .collect()
}

fn found(item: &CatalogItem) -> Vec<Cell<'_>> {
    vec![
        item.seller.as_str().into(),
        item.name.as_str().into(),
        item.description.as_str().into(),
        item.category.as_str().into(),
        item.brand.as_deref().into(),
        item.price.amount.into(),
        item.price.currency.as_str().into(),
        i64::from(item.in_stock).into(),
    ]
}
