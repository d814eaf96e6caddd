use std::path::Path;

use serde::Deserialize;
use tantivy::schema::{Field, Value};
use tantivy::{DocAddress, Index, ReloadPolicy, Searcher, TantivyDocument};

use crate::Money;
use crate::catalog::{CatalogItem, Progress};

/// The index as of one commit.
pub(super) struct Snapshot {
    pub(super) searcher: Searcher,
    pub(super) fields: Fields,
    pub(super) progress: Progress,
}

/// What the projection says in its commit.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Committed {
    position: Option<u64>,
    changed: Option<u64>,
    parked: Vec<u64>,
}

impl From<Committed> for Progress {
    fn from(Committed { position, changed, parked }: Committed) -> Self {
        use daybook_event_store::Position;
        let parked = parked.into_iter().map(Position).collect();
        Self { position: position.map(Position), changed: changed.map(Position), parked }
    }
}

/// The fields of a document that are read here.
pub(super) struct Fields {
    pub(super) sku: Field,
    seller: Field,
    name: Field,
    pub(super) name_words: Field,
    description: Field,
    category: Field,
    brand: Field,
    price: Field,
    currency: Field,
    in_stock: Field,
    /// Name, category, brand and description, by words without their endings.
    pub(super) words: [Field; 4],
    /// The words of all these as they are written, in lower case.
    pub(super) spellings: Field,
}

impl Snapshot {
    /// Opens the last commit of the index in a folder.
    pub(super) fn open(path: &Path) -> tantivy::Result<Self> {
        let index = Index::open_in_dir(path)?;
        let payload = index.load_metas()?.payload;
        let committed: Option<Committed> =
            payload.and_then(|payload| serde_json::from_str(&payload).ok());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let schema = index.schema();
        let field = |name| schema.get_field(name);
        let fields = Fields {
            sku: field("sku")?,
            seller: field("seller")?,
            name: field("name")?,
            name_words: field("nameWords")?,
            description: field("description")?,
            category: field("category")?,
            brand: field("brand")?,
            price: field("price")?,
            currency: field("currency")?,
            in_stock: field("inStock")?,
            words: [
                field("name")?,
                field("categoryWords")?,
                field("brandWords")?,
                field("description")?,
            ],
            spellings: field("spellings")?,
        };
        let progress = committed.unwrap_or_default().into();
        Ok(Self { searcher: reader.searcher(), fields, progress })
    }

    /// A product by its place in the index.
    pub(super) fn item(&self, at: DocAddress) -> tantivy::Result<CatalogItem> {
        let document: TantivyDocument = self.searcher.doc(at)?;
        let text = |field: Field| {
            let value = document.get_first(field);
            value.and_then(|value| Some(value.as_str()?.to_owned()))
        };
        let required = |field| text(field).unwrap_or_default();
        let fields = &self.fields;
        let amount = document.get_first(fields.price).and_then(|value| value.as_i64());
        let in_stock = document.get_first(fields.in_stock).and_then(|value| value.as_bool());
        Ok(CatalogItem {
            sku: required(fields.sku),
            seller: required(fields.seller),
            name: required(fields.name),
            description: required(fields.description),
            category: required(fields.category),
            brand: text(fields.brand),
            price: Money {
                amount: amount.unwrap_or_default(),
                currency: required(fields.currency),
            },
            in_stock: in_stock.unwrap_or_default(),
        })
    }
}
