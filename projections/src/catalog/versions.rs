use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::embedded::Folder;
use super::remote::Indices;
use super::{CatalogError, CatalogPlace};

/// The versions of the catalog's index: one is read, others may be built beside it.
///
/// A version is built by a [`Catalog`](super::Catalog) whose options name it; that never makes it
/// live by itself.
#[derive(Debug, Clone)]
pub struct CatalogVersions(Engine);

#[derive(Debug, Clone)]
enum Engine {
    Folder(Folder),
    Cluster(Indices),
}

/// What a range of SKUs holds. Equal documents have equal digests, on one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeDigest {
    /// The first SKU, and the last.
    pub skus: (String, String),
    /// How many documents.
    pub count: usize,
    /// SHA-256 over the documents in the order of their SKUs.
    pub digest: [u8; 32],
}

impl CatalogVersions {
    /// The versions at a place.
    ///
    /// # Errors
    /// The client of the cluster cannot be made.
    pub fn new(place: &CatalogPlace) -> Result<Self, CatalogError> {
        Ok(Self(match place {
            CatalogPlace::Folder(path) => Engine::Folder(Folder(path.clone())),
            CatalogPlace::Cluster(address) => Engine::Cluster(Indices::new(address)?),
        }))
    }

    /// The version that is read, if there is one.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn live(&self) -> Result<Option<u32>, CatalogError> {
        match &self.0 {
            Engine::Folder(folder) => folder.live(),
            Engine::Cluster(indices) => indices.live().await,
        }
    }

    /// All versions, the live one with them.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn list(&self) -> Result<BTreeSet<u32>, CatalogError> {
        match &self.0 {
            Engine::Folder(folder) => folder.versions(),
            Engine::Cluster(indices) => indices.versions().await,
        }
    }

    /// Has a version read from now on, in one step; the one before stays.
    ///
    /// # Errors
    /// The engine cannot be asked, or has no such version.
    pub async fn make_live(&self, version: u32) -> Result<(), CatalogError> {
        if !self.list().await?.contains(&version) {
            return Err(CatalogError::Lost);
        }
        match &self.0 {
            Engine::Folder(folder) => folder.make_live(version),
            Engine::Cluster(indices) => indices.make_live(version).await,
        }
    }

    /// Removes a version that is not read.
    ///
    /// # Errors
    /// It is live, or the engine cannot be asked.
    pub async fn drop(&self, version: u32) -> Result<(), CatalogError> {
        if self.live().await? == Some(version) {
            return Err(CatalogError::Live { version });
        }
        self.remove(version).await
    }

    /// Removes every version, the live one with them, and on a cluster what they are made from.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn clear(&self) -> Result<(), CatalogError> {
        for version in self.list().await? {
            self.remove(version).await?;
        }
        match &self.0 {
            Engine::Folder(_) => Ok(()),
            Engine::Cluster(indices) => indices.drop_template().await,
        }
    }

    async fn remove(&self, version: u32) -> Result<(), CatalogError> {
        match &self.0 {
            Engine::Folder(folder) => folder.drop(version),
            Engine::Cluster(indices) => indices.drop(version).await,
        }
    }

    /// Every document of a version by its SKU, as text that is the same where the documents are,
    /// in the order of the SKUs.
    ///
    /// # Errors
    /// The engine cannot be asked, or has no such version.
    pub async fn documents(&self, version: u32) -> Result<Vec<(String, String)>, CatalogError> {
        match &self.0 {
            Engine::Folder(folder) => {
                let folder = folder.clone();
                spawn_blocking(move || folder.documents(version)).await?
            }
            Engine::Cluster(indices) => indices.documents(version).await,
        }
    }

    /// The digests of a version by ranges of so many SKUs.
    ///
    /// # Errors
    /// The engine cannot be asked, or has no such version.
    pub async fn digests(
        &self,
        version: u32,
        range: usize,
    ) -> Result<Vec<RangeDigest>, CatalogError> {
        let documents = self.documents(version).await?;
        Ok(documents.chunks(range.max(1)).map(digest).collect())
    }
}

fn digest(documents: &[(String, String)]) -> RangeDigest {
    let mut hash = Sha256::new();
    for (sku, document) in documents {
        hash.update(sku.as_bytes());
        hash.update([0]);
        hash.update(document.as_bytes());
        hash.update([0]);
    }
    let sku = |at: Option<&(String, String)>| at.map(|(sku, _)| sku.clone()).unwrap_or_default();
    RangeDigest {
        skus: (sku(documents.first()), sku(documents.last())),
        count: documents.len(),
        digest: hash.finalize().into(),
    }
}
