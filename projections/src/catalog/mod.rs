//! The catalog's search index: one document per product that is for sale, kept by one worker.
//!
//! It is a projection like any other, except that its rows and its checkpoint live in a tantivy
//! index and are committed together there. It answers no queries; those read the same folder.

mod index;
mod schema;
mod worker;

pub use index::CatalogError;
pub use worker::{Catalog, CatalogOptions};
