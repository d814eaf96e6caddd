use std::io;
use std::path::PathBuf;

use daybook_event_store::ReadError;
use daybook_search::{Address, ClusterError};
use tantivy::TantivyError;
use thiserror::Error;
use tokio::task::spawn_blocking;

use super::checkpoint::Checkpoint;
use super::embedded::{EmbeddedIndex, Folder};
use super::entry::Entry;
use super::remote::{Indices, RemoteIndex};

/// Why the catalog's index cannot be kept.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// Somebody else writes to it.
    #[error(
        "the catalog index at {} is in use by another process: stop that, or use another data folder",
        path.display()
    )]
    Locked {
        /// The index's folder.
        path: PathBuf,
    },
    /// Its folder cannot be used.
    #[error("the folder {} of the catalog index cannot be used", path.display())]
    Folder {
        /// The index's folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The index cannot be read or written.
    #[error("the catalog index cannot be read or written")]
    Index(#[from] TantivyError),
    /// The cluster of the index did not do what it was asked.
    #[error("the cluster of the catalog index cannot be used")]
    Cluster(#[from] ClusterError),
    /// The cluster has too much to do.
    #[error("the search cluster keeps turning {documents} documents away")]
    Busy {
        /// Documents that were not taken.
        documents: usize,
    },
    /// The index is gone.
    #[error("the catalog index is gone: it is built again")]
    Lost,
    /// Somebody else wrote to the index.
    #[error("the catalog index is not where this worker left it: going on from what it says")]
    Changed,
    /// It is not to be written any more: another version is read, or it is paused.
    #[error("another version of the catalog index is live, or it is paused")]
    Turned,
    /// What is read has come further than what is to be read.
    #[error("the live version of the catalog index is further on")]
    Behind,
    /// The version that is read cannot be dropped.
    #[error("version {version} of the catalog index is live: make another one live first")]
    Live {
        /// The version.
        version: u32,
    },
    /// The events cannot be read.
    #[error("the events of the catalog cannot be read")]
    Read(#[from] ReadError),
    /// The store came to its end.
    #[error("the event store was closed")]
    Closed,
    /// The thread that wrote the index panicked.
    #[error("writing the catalog index failed unexpectedly")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Where the index is.
#[derive(Debug, Clone)]
pub enum CatalogPlace {
    /// In a folder, kept by this process.
    Folder(PathBuf),
    /// On an Elasticsearch or `OpenSearch`.
    Cluster(Address),
}

/// A version of the index, open for writing.
pub(crate) enum CatalogIndex {
    Embedded(Box<EmbeddedIndex>),
    Remote(RemoteIndex),
}

impl CatalogIndex {
    /// Opens a version, or the one that is to be kept up to date.
    pub(crate) async fn open(
        place: &CatalogPlace,
        version: Option<u32>,
    ) -> Result<Self, CatalogError> {
        match place {
            CatalogPlace::Folder(path) => {
                let folder = Folder(path.clone());
                let index = spawn_blocking(move || EmbeddedIndex::open(&folder, version)).await??;
                Ok(Self::Embedded(Box::new(index)))
            }
            CatalogPlace::Cluster(address) => {
                let indices = Indices::new(address)?;
                Ok(Self::Remote(RemoteIndex::open(&indices, version).await?))
            }
        }
    }

    /// How far the index has come.
    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        match self {
            Self::Embedded(index) => index.checkpoint(),
            Self::Remote(index) => index.checkpoint(),
        }
    }

    /// Replaces the documents of some products, and moves the checkpoint: with them, or after
    /// them.
    pub(crate) async fn commit(
        self,
        entries: Vec<Entry>,
        checkpoint: Checkpoint,
    ) -> Result<Self, CatalogError> {
        match self {
            Self::Embedded(mut index) => {
                let commit = move || index.commit(&entries, checkpoint).map(|()| index);
                Ok(Self::Embedded(spawn_blocking(commit).await??))
            }
            Self::Remote(mut index) => {
                index.commit(&entries, checkpoint).await?;
                Ok(Self::Remote(index))
            }
        }
    }

    /// Whether it is still there, and as it was left.
    pub(crate) async fn check(&self) -> Result<(), CatalogError> {
        match self {
            Self::Embedded(index) => index.check(),
            Self::Remote(index) => index.check().await,
        }
    }

    /// Has this version, which has caught up, read from now on.
    pub(crate) async fn take_over(&mut self) -> Result<(), CatalogError> {
        match self {
            Self::Remote(index) if !index.is_live() => index.make_live().await,
            // An index in a folder is read from its beginning, and rebuilt in its place.
            Self::Embedded(_) | Self::Remote(_) => Ok(()),
        }
    }
}
