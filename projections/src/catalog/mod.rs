//! The catalog's search index: one document per product that is for sale, kept by one worker.
//!
//! It is a projection like any other, except that its rows and its checkpoint live in an index: in
//! a folder (tantivy), where both are of one commit, or on an Elasticsearch, where the checkpoint
//! is written once the documents were taken and can be found. It answers no queries; those ask
//! the same engine.

mod batch;
mod checkpoint;
mod document;
mod embedded;
mod entry;
mod index;
mod known;
mod left_out;
mod rebuild;
mod remote;
mod replay;
mod schema;
mod versions;
mod worker;

pub use index::{CatalogError, CatalogPlace};
pub use rebuild::NAME;
pub(crate) use rebuild::Rebuilder;
pub use versions::{CatalogVersions, RangeDigest};
pub use worker::{Catalog, CatalogOptions};
