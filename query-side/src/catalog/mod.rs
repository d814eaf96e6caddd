//! Search in the catalog: what is for sale, by words, price, seller and category.
//!
//! It reads the folder in which the catalog's projection keeps its index, in this process or
//! another, and writes nothing there.

mod query;
mod search;
mod snapshot;

pub use query::{CatalogQuery, CatalogSort, InvalidQuery, PriceRange};
pub use search::{Catalog, CatalogItem, CatalogPage, SearchError};
