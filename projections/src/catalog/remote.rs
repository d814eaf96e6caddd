use std::collections::BTreeSet;
use std::time::Duration;

use daybook_event_store::Position;
use daybook_search::{Address, Cluster, ClusterError, Method, Request};
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::{error, warn};
use uuid::Uuid;

use super::CatalogError;
use super::checkpoint::{Checkpoint, Standing};
use super::document::{Document, VERSION};
use super::entry::Entry;
use super::left_out::LeftOut;
use super::versions::{Contents, Roles};

/// Settings and fields of every version.
const TEMPLATE: &str = include_str!("template.json");
/// The id, and the routing, of the document that says how far the index has come.
const CHECKPOINT: &str = "checkpoint";
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the cluster may wait for a shard to be there again.
const PATIENCE: &str = "5s";
/// Most bytes of one bulk request, but for its last document.
const BULK_BYTES: usize = 4 << 20;
/// How often a version is read that is written meanwhile, before that is given up.
const READINGS: usize = 20;
/// Pauses before what was turned away is sent again.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The indices of all versions on a cluster, and the alias that names the one that is read.
#[derive(Debug, Clone)]
pub(crate) struct Indices {
    cluster: Cluster,
    alias: String,
}

impl Indices {
    pub(crate) fn new(address: &Address) -> Result<Self, CatalogError> {
        let cluster = Cluster::new(address, TIMEOUT)?;
        Ok(Self { alias: format!("{}-catalog", cluster.prefix()), cluster })
    }

    fn index(&self, version: u32) -> String {
        format!("{}-v{version}", self.alias)
    }

    /// The alias that writes go to. An index that was lost takes it with it, and no write can
    /// bring back an index without its settings.
    fn writes(&self, version: u32) -> String {
        format!("{}-v{version}-writes", self.alias)
    }

    fn number(&self, index: &str) -> Option<u32> {
        index.strip_prefix(&self.alias)?.strip_prefix("-v")?.parse().ok()
    }

    async fn ask(&self, method: Method, path: String, body: &Value) -> Result<Value, ClusterError> {
        self.cluster.ask(Request::new(method, path).json(body)).await
    }

    /// What the cluster says of something; `None` where there is no such thing.
    async fn get(&self, path: String) -> Result<Option<Value>, ClusterError> {
        match self.cluster.ask(Request::new(Method::Get, path)).await {
            Err(error) if error.is_missing() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The version that is read, if there is one.
    pub(crate) async fn live(&self) -> Result<Option<u32>, CatalogError> {
        Ok(self.roles().await?.live)
    }

    /// The alias of the version that was read before.
    fn retired(&self) -> String {
        format!("{}-retired", self.alias)
    }

    /// The alias that the version has which is read and not written. It lacks the other then.
    fn paused(&self) -> String {
        format!("{}-paused", self.alias)
    }

    /// What the versions are to queries.
    pub(crate) async fn roles(&self) -> Result<Roles, CatalogError> {
        let indices = self.get(format!("{}-v*/_alias", self.alias)).await?;
        let indices = indices.as_ref().and_then(Value::as_object);
        let with = |alias: &str| {
            let mut named = indices.into_iter().flatten().filter_map(|(index, found)| {
                found["aliases"].get(alias).and_then(|_| self.number(index))
            });
            named.next()
        };
        let live = with(&self.alias);
        let paused = live.is_some() && with(&self.paused()) == live;
        Ok(Roles { live, retired: with(&self.retired()), paused })
    }

    /// Changes what the versions are to queries, in one step.
    pub(crate) async fn turn(&self, before: Roles, after: Roles) -> Result<(), CatalogError> {
        let mut actions = Vec::new();
        let mut give = |alias: String, from: Option<u32>, to: Option<u32>| {
            let action = |version| json!({ "index": self.index(version), "alias": alias });
            if from != to {
                actions.extend(to.map(|version| json!({ "add": action(version) })));
                actions.extend(from.map(|version| json!({ "remove": action(version) })));
            }
        };
        let paused = |roles: Roles| roles.live.filter(|_| roles.paused);
        give(self.alias.clone(), before.live, after.live);
        give(self.retired(), before.retired, after.retired);
        let (was, is) = (paused(before), paused(after));
        give(self.paused(), was, is);
        if was != is {
            let of =
                |version| json!({ "index": self.index(version), "alias": self.writes(version) });
            actions.extend(was.map(|version| {
                let mut add = of(version);
                add["is_write_index"] = true.into();
                json!({ "add": add })
            }));
            actions.extend(is.map(|version| json!({ "remove": of(version) })));
        }
        if !actions.is_empty() {
            self.ask(Method::Post, "_aliases".into(), &json!({ "actions": actions })).await?;
        }
        Ok(())
    }

    /// All versions, the live one with them.
    pub(crate) async fn versions(&self) -> Result<BTreeSet<u32>, CatalogError> {
        let indices = self.get(format!("{}-v*/_alias", self.alias)).await?;
        let names = indices.as_ref().and_then(Value::as_object).into_iter().flatten();
        Ok(names.filter_map(|(index, _)| self.number(index)).collect())
    }

    /// Whether a version's documents are such as this release writes.
    async fn is_current(&self, version: u32) -> Result<bool, CatalogError> {
        let index = self.index(version);
        let mapping = self.get(format!("{index}/_mapping")).await?.unwrap_or_default();
        Ok(mapping[&index]["mappings"]["_meta"]["documents"] == json!(VERSION))
    }

    /// The version to write to: the live one if this release can, or else one beside it.
    async fn usable(&self) -> Result<u32, CatalogError> {
        let live = self.live().await?;
        if let Some(live) = live
            && self.is_current(live).await?
        {
            return Ok(live);
        }
        let versions = self.versions().await?;
        for version in versions.iter().rev().copied().filter(|version| Some(*version) >= live) {
            if self.is_current(version).await? {
                return Ok(version);
            }
        }
        Ok(versions.last().map_or(1, |last| last + 1))
    }

    async fn create(&self, version: u32) -> Result<(), CatalogError> {
        let mut template: Value = serde_json::from_str(TEMPLATE).map_err(ClusterError::from)?;
        template["mappings"]["_meta"] = json!({ "documents": VERSION });
        let body =
            json!({ "index_patterns": [format!("{}-v*", self.alias)], "template": template });
        self.ask(Method::Put, format!("_index_template/{}", self.alias), &body).await?;
        let aliases = json!({ self.writes(version): { "is_write_index": true } });
        let made = self.ask(Method::Put, self.index(version), &json!({ "aliases": aliases })).await;
        match made {
            Err(ClusterError::Refused { kind, .. })
                if kind == "resource_already_exists_exception" =>
            {
                Ok(())
            }
            made => Ok(made.map(drop)?),
        }
    }

    /// How far a version has come.
    pub(crate) async fn standing(&self, version: u32) -> Result<Standing, CatalogError> {
        Ok(Standing::from_json(&self.written(version).await?.unwrap_or_default()))
    }

    /// How far a version has come; `None` where there is no such index.
    async fn checkpoint(&self, version: u32) -> Result<Option<Checkpoint>, CatalogError> {
        Ok(self.written(version).await?.map(|written| match written {
            Value::Null => Checkpoint::default(),
            written => Checkpoint::from_json(&written).unwrap_or_default(),
        }))
    }

    /// What the checkpoint of a version says: nothing before the first; `None` where there is no
    /// such index.
    async fn written(&self, version: u32) -> Result<Option<Value>, CatalogError> {
        let index = self.index(version);
        let path = format!("{index}/_doc/{CHECKPOINT}");
        let request = Request::new(Method::Get, path).query("routing", CHECKPOINT);
        match self.cluster.ask(request).await {
            Ok(mut answer) => Ok(Some(answer["_source"]["checkpoint"].take())),
            Err(ClusterError::Refused { status: 404, kind, .. }) if kind.is_empty() => {
                Ok(Some(Value::Null))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Has a version read from now on, in one step.
    pub(crate) async fn make_live(&self, version: u32) -> Result<(), CatalogError> {
        let before = self.roles().await?;
        self.turn(before, before.with_live(version)).await
    }

    /// Removes a version.
    pub(crate) async fn drop(&self, version: u32) -> Result<(), CatalogError> {
        self.delete(self.index(version)).await
    }

    /// Removes what versions are made from.
    pub(crate) async fn drop_template(&self) -> Result<(), CatalogError> {
        self.delete(format!("_index_template/{}", self.alias)).await
    }

    async fn delete(&self, path: String) -> Result<(), CatalogError> {
        match self.cluster.ask(Request::new(Method::Delete, path)).await {
            Err(error) if !error.is_missing() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A version as it was between two of its checkpoints.
    pub(crate) async fn contents(&self, version: u32) -> Result<Contents, CatalogError> {
        for _ in 0..READINGS {
            let standing = self.standing(version).await?;
            let documents = self.documents(version).await?;
            if self.standing(version).await? == standing {
                return Ok(Contents { standing, documents });
            }
        }
        Err(CatalogError::Changed)
    }

    async fn documents(&self, version: u32) -> Result<Vec<(String, String)>, CatalogError> {
        let mut documents: Vec<(String, String)> = Vec::new();
        loop {
            let mut body = json!({
                "size": 1_000, "sort": ["sku"], "query": { "term": { "live": true } },
            });
            if let Some((last, _)) = documents.last() {
                body["search_after"] = json!([last]);
            }
            let path = format!("{}/_search", self.index(version));
            let answer = self.cluster.search(Request::new(Method::Post, path).json(&body)).await?;
            let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
            if hits.is_empty() {
                return Ok(documents);
            }
            documents.extend(hits.iter().map(|hit| {
                let sku = hit["_source"]["sku"].as_str().unwrap_or_default();
                (sku.to_owned(), hit["_source"].to_string())
            }));
        }
    }
}

/// A version of the index on a cluster, for writing.
///
/// There may be several writers. Every document carries the position of the event that it is of
/// as its version, and the cluster refuses an older one, so that whoever is behind undoes nothing.
pub(crate) struct RemoteIndex {
    indices: Indices,
    version: u32,
    live: bool,
    /// Whether it is written no more once another takes its place.
    follows: bool,
    checkpoint: Checkpoint,
}

/// One document to write, or to put in the place of one that is no longer found there.
struct Operation {
    sku: String,
    position: Position,
    lines: String,
}

impl RemoteIndex {
    /// Opens a version, or the live one. Where there is none an empty one is made, which is not
    /// read before it has caught up.
    pub(crate) async fn open(
        indices: &Indices,
        version: Option<u32>,
    ) -> Result<Self, CatalogError> {
        let follows = version.is_none();
        let version = match version {
            Some(version) => version,
            None => indices.usable().await?,
        };
        let live = indices.live().await?;
        let found = indices.checkpoint(version).await?;
        if found.is_none() {
            indices.create(version).await?;
        }
        let checkpoint = found.unwrap_or_default();
        let indices = indices.clone();
        let live = live == Some(version);
        Ok(Self { indices, version, live, follows, checkpoint })
    }

    /// How far the index has come.
    pub(crate) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whether it is the version that is read.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Has this version read from now on.
    pub(crate) async fn make_live(&mut self) -> Result<(), CatalogError> {
        self.indices.make_live(self.version).await?;
        self.live = true;
        Ok(())
    }

    /// Replaces the documents of some products, has them found, and then moves the checkpoint.
    pub(crate) async fn commit(
        &mut self,
        entries: &[Entry],
        mut checkpoint: Checkpoint,
    ) -> Result<(), CatalogError> {
        self.must_be_read().await?;
        for sku in entries.iter().filter_map(Entry::sku) {
            checkpoint.send_again(sku.as_str());
        }
        let mut operations = entries.iter().flat_map(operations).peekable();
        let wrote = operations.peek().is_some();
        while operations.peek().is_some() {
            let mut bytes = 0;
            let mut bulk = Vec::new();
            while bytes < BULK_BYTES {
                let Some(operation) = operations.next() else { break };
                bytes += operation.lines.len();
                bulk.push(operation);
            }
            self.write(bulk, &mut checkpoint).await?;
        }
        if wrote {
            let path = format!("{}/_refresh", self.indices.index(self.version));
            self.indices.cluster.search(Request::new(Method::Post, path)).await?;
        }
        self.save(checkpoint).await
    }

    /// Sends documents until each was taken, or refused for good.
    async fn write(
        &self,
        mut bulk: Vec<Operation>,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), CatalogError> {
        let mut pauses = PAUSES.iter();
        loop {
            let failed = match self.send(&bulk, checkpoint).await {
                Ok(again) if again.is_empty() => return Ok(()),
                Ok(again) => {
                    bulk = again.into_iter().rev().map(|at| bulk.swap_remove(at)).collect();
                    None
                }
                Err(error) if error.is_transient() => Some(error),
                Err(error) => return Err(error.into()),
            };
            let documents = bulk.len();
            let Some(pause) = pauses.next() else {
                return Err(failed.map_or(CatalogError::Busy { documents }, Into::into));
            };
            warn!(documents, "the search cluster turned documents away, sending them again");
            sleep(*pause).await;
        }
    }

    /// Sends documents once, and tells which to send again, in their order.
    async fn send(
        &self,
        bulk: &[Operation],
        checkpoint: &mut Checkpoint,
    ) -> Result<Vec<usize>, ClusterError> {
        let path = format!("{}/_bulk", self.indices.writes(self.version));
        let request = Request::new(Method::Post, path)
            .query("require_alias", "true")
            .query("timeout", PATIENCE)
            .lines(bulk.iter().map(|operation| operation.lines.as_str()).collect());
        let answer = self.indices.cluster.ask(request).await?;
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut again = Vec::new();
        for (at, operation) in bulk.iter().enumerate() {
            let outcome = &items.get(at).unwrap_or(&Value::Null)["index"];
            match outcome["status"].as_u64() {
                // A later version of it is there already.
                Some(200..=299 | 409) => {}
                Some(400) => {
                    let Operation { sku, position, .. } = operation;
                    let reason = outcome["error"].to_string();
                    error!(sku, %position, reason, "a product is left out of the catalog index");
                    checkpoint.leave_out(LeftOut::refused(*position, sku, &reason));
                }
                Some(404) => return Err(ClusterError::missing(&outcome["error"])),
                _ => again.push(at),
            }
        }
        Ok(again)
    }

    async fn save(&mut self, checkpoint: Checkpoint) -> Result<(), CatalogError> {
        let Some(position) = checkpoint.position else { return Ok(()) };
        let path = format!("{}/_doc/{CHECKPOINT}", self.indices.writes(self.version));
        let body = json!({ "live": false, "checkpoint": checkpoint.to_json() });
        let request = Request::new(Method::Put, path)
            .query("routing", CHECKPOINT)
            .query("version", position.0.to_string())
            .query("version_type", "external_gte")
            .query("require_alias", "true")
            .query("timeout", PATIENCE)
            .json(&body);
        self.indices.cluster.ask(request).await.map_err(|error| match error {
            ClusterError::Refused { status: 409, .. } => CatalogError::Changed,
            error => error.into(),
        })?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    /// Whether it is there, and as it was left.
    pub(crate) async fn check(&self) -> Result<(), CatalogError> {
        self.must_be_read().await?;
        match self.indices.checkpoint(self.version).await? {
            None => Err(CatalogError::Lost),
            Some(found) if found.position != self.checkpoint.position => Err(CatalogError::Changed),
            Some(_) => Ok(()),
        }
    }

    async fn must_be_read(&self) -> Result<(), CatalogError> {
        if !(self.follows && self.live) {
            return Ok(());
        }
        let Roles { live, paused, .. } = self.indices.roles().await?;
        // An index that is gone is live no more, and is found to be gone.
        let turned = paused || live.is_some_and(|live| live != self.version);
        if turned { Err(CatalogError::Turned) } else { Ok(()) }
    }
}

/// What to write for a product: its document where its category routes it, and one that is never
/// found wherever it stood before. Those stay, since the cluster forgets in a minute what was
/// deleted, and a late writer could bring it back.
fn operations(entry: &Entry) -> Vec<Operation> {
    let (Some(sku), Some(position)) = (entry.sku(), entry.version()) else { return Vec::new() };
    let product = Document::of(entry);
    let operation = |category: &daybook_domain::values::Label| {
        let here = product.as_ref().filter(|product| product.category == category.as_str());
        let source = match here {
            Some(product) => serde_json::to_string(product).unwrap_or_default(),
            None => json!({ "live": false, "sku": sku.as_str() }).to_string(),
        };
        let action = json!({ "index": {
            "_id": id(sku.as_str(), category.as_str()),
            "routing": category.as_str(),
            "version": position.0,
            "version_type": "external_gte",
        } });
        Operation { sku: sku.to_string(), position, lines: format!("{action}\n{source}\n") }
    };
    entry.categories().iter().map(operation).collect()
}

/// The id of a product's document in a category. Categories may share a shard, so the SKU alone
/// would not do.
fn id(sku: &str, category: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{sku}\n{category}").as_bytes())
}
