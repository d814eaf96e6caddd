//! Search in the catalog: what is for sale, by words, price, seller, category, brand and stock.
//!
//! It asks the index that the catalog's projection keeps, in a folder or on an Elasticsearch, and
//! writes nothing there. Both engines are asked the same and answer the same: what a query may be
//! ([`CatalogQuery`]), how a text falls into words, what is highlighted and how pages follow each
//! other stands here once.

mod cache;
mod cluster;
mod embedded;
mod page;
mod query;
mod search;
mod words;

pub use cache::CacheCounts;
pub use page::{
    CatalogHit, CatalogItem, CatalogPage, FacetPrice, FacetValue, Facets, Highlights, Suggestion,
};
pub use query::{CatalogQuery, CatalogSort, InvalidQuery, PriceRange};
pub use search::{Catalog, Progress, SearchError};

pub(crate) use search::Found;

/// How much a word counts in name, category, brand and description.
pub(crate) const WEIGHTS: [f32; 4] = [4.0, 2.0, 2.0, 1.0];
/// How much of a word's other fields is added to its best one.
pub(crate) const TIE_BREAKER: f32 = 0.3;
/// How much more a whole SKU counts than words.
pub(crate) const SKU_SCORE: f32 = 100.0;
/// Most words of the index that one word of a query may stand for.
pub(crate) const MAX_LIKE: usize = 50;
