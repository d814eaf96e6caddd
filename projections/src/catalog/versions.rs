use std::collections::BTreeSet;

use daybook_event_store::Position;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::checkpoint::Standing;
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

/// What the versions are to queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    /// The one that is read.
    pub(crate) live: Option<u32>,
    /// The one that was read before, kept to go back to.
    pub(crate) retired: Option<u32>,
    /// Whether nobody writes to the one that is read.
    pub(crate) paused: bool,
}

impl Roles {
    /// Once this version is read.
    pub(crate) fn with_live(self, version: u32) -> Self {
        if self.live == Some(version) {
            return self;
        }
        Self { live: Some(version), retired: self.live, ..self }
    }

    /// Reads what [`Self::to_text`] has written.
    pub(crate) fn from_text(text: &str) -> Self {
        let number = |word: &str| word.strip_prefix('v')?.parse().ok();
        let mut lines = text.lines();
        let mut roles =
            Self { live: lines.next().and_then(|line| number(line.trim())), ..Self::default() };
        for line in lines {
            match line.strip_prefix("retired ") {
                Some(version) => roles.retired = number(version),
                None => roles.paused |= line == "paused",
            }
        }
        roles
    }

    /// A line for each of what there is, the version that is read first.
    pub(crate) fn to_text(self) -> String {
        let live = self.live.map_or_else(String::new, |live| format!("v{live}"));
        let retired = self.retired.map_or_else(String::new, |it| format!("retired v{it}\n"));
        format!("{live}\n{retired}{}", if self.paused { "paused\n" } else { "" })
    }
}

/// A version as of one commit.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) standing: Standing,
    /// Every document by its SKU, as text that is the same where the documents are, in the order of
    /// the SKUs.
    pub(crate) documents: Vec<(String, String)>,
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
        Ok(self.roles().await?.live)
    }

    /// What the versions are to queries.
    pub(crate) async fn roles(&self) -> Result<Roles, CatalogError> {
        match &self.0 {
            Engine::Folder(folder) => folder.roles(),
            Engine::Cluster(indices) => indices.roles().await,
        }
    }

    /// How far a version has come.
    pub(crate) async fn standing(&self, version: u32) -> Result<Standing, CatalogError> {
        match &self.0 {
            Engine::Folder(folder) => folder.standing(version),
            Engine::Cluster(indices) => indices.standing(version).await,
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
            Engine::Folder(folder) => folder.turn(|roles| Ok(roles.with_live(version))),
            Engine::Cluster(indices) => indices.make_live(version).await,
        }
    }

    /// Has a version that has come to a position read from now on, unless the one that is read has
    /// come further. In a folder nobody can write to that in between.
    pub(crate) async fn cut_over(
        &self,
        version: u32,
        reached: Option<Position>,
    ) -> Result<(), CatalogError> {
        let not_ahead = |live: &Standing| match live.position {
            ahead if ahead > reached => Err(CatalogError::Behind),
            _ => Ok(()),
        };
        match &self.0 {
            Engine::Folder(folder) => folder.turn(|roles| {
                roles.live.map_or(Ok(()), |live| not_ahead(&folder.standing(live)?))?;
                Ok(roles.with_live(version))
            }),
            Engine::Cluster(indices) => {
                if let Some(live) = indices.live().await? {
                    not_ahead(&indices.standing(live).await?)?;
                }
                indices.make_live(version).await
            }
        }
    }

    /// Keeps the version that is read as it is, or lets it go on. `false`: that was so already.
    pub(crate) async fn pause(&self, paused: bool) -> Result<bool, CatalogError> {
        let before = self.roles().await?;
        if before.paused != paused {
            match &self.0 {
                Engine::Folder(folder) => folder.turn(|roles| Ok(Roles { paused, ..roles }))?,
                Engine::Cluster(indices) => {
                    indices.turn(before, Roles { paused, ..before }).await?;
                }
            }
        }
        Ok(before.paused != paused)
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
        Ok(self.contents(version).await?.documents)
    }

    /// A version as of one commit.
    pub(crate) async fn contents(&self, version: u32) -> Result<Contents, CatalogError> {
        match &self.0 {
            Engine::Folder(folder) => {
                let folder = folder.clone();
                spawn_blocking(move || folder.contents(version)).await?
            }
            Engine::Cluster(indices) => indices.contents(version).await,
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
