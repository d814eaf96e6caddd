//! An Elasticsearch or an `OpenSearch` behind one face.
//!
//! [`Address`] says where it is, [`Cluster`] asks it, and [`ClusterError`] tells whether asking
//! again can help. This crate knows nothing of commerce, nor what is in an index.
//!
//! Requests go through the transport of the official client. It asks for plain JSON and does not
//! insist on one brand of server, so both understand it.

mod address;
mod cluster;
mod error;
#[cfg(feature = "testing")]
pub mod testing;

pub use address::{Address, InvalidAddress};
pub use cluster::{Cluster, Request};
pub use elasticsearch::http::Method;
pub use error::ClusterError;
