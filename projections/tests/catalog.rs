//! The catalog's worker against a real store and a real index.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use daybook_domain::product::ProductEvent;
use daybook_domain::values::{Money, Timestamp};
use daybook_event_schemas::{Actor, Metadata, seal};
use daybook_event_store::{EventStore, Expected, NewEvent, Position, Store, StreamId};
use daybook_projections::catalog::{Catalog, CatalogError, CatalogOptions};
use tantivy::collector::DocSetCollector;
use tantivy::query::AllQuery;
use tantivy::schema::{STRING, SchemaBuilder, Value};
use tantivy::{Index, IndexWriter, TantivyDocument};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_micros(1_300_000_000_000_000);

fn pounds(minor: i64) -> Money {
    Money::new(minor, "GBP".parse().unwrap())
}

fn listed(sku: &str, name: &str, minor: i64) -> ProductEvent {
    ProductEvent::Listed {
        sku: sku.parse().unwrap(),
        seller: "acme".parse().unwrap(),
        name: name.parse().unwrap(),
        description: String::new(),
        category: "Home".parse().unwrap(),
        brand: None,
        price: pounds(minor),
        at: AT,
    }
}

fn repriced(minor: i64) -> ProductEvent {
    ProductEvent::Repriced { price: pounds(minor), at: AT }
}

fn described(name: &str) -> ProductEvent {
    let name = name.parse().unwrap();
    let category = "Garden".parse().unwrap();
    ProductEvent::Described { name, description: "new".into(), category, brand: None, at: AT }
}

fn delisted() -> ProductEvent {
    ProductEvent::Delisted { reason: String::new(), at: AT }
}

fn sealed(event: &ProductEvent) -> NewEvent {
    let metadata = Metadata {
        schema_version: 1,
        correlation_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        actor: Actor("test:catalog".into()),
        traceparent: None,
    };
    seal(Uuid::now_v7(), event, &metadata)
}

/// A store, and a folder for the index.
struct Shop {
    store: Store,
    folder: TempDir,
}

/// A worker that runs.
struct Running {
    catalog: Catalog,
    shutdown: CancellationToken,
}

impl Shop {
    fn new() -> Self {
        Self { store: Store::memory(), folder: TempDir::new().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn write(&self, stream: StreamId, event: NewEvent) -> Position {
        self.store.append(&stream, Expected::Any, vec![event]).await.unwrap().position
    }

    async fn append(&self, sku: &str, event: ProductEvent) -> Position {
        self.write(StreamId::new("product", sku).unwrap(), sealed(&event)).await
    }

    fn options(&self) -> CatalogOptions {
        CatalogOptions { linger: Duration::ZERO, ..CatalogOptions::new(self.path()) }
    }

    async fn start_with(&self, options: CatalogOptions) -> Running {
        let shutdown = CancellationToken::new();
        let started = Catalog::start(self.store.clone(), options, shutdown.clone()).await;
        Running { catalog: started.unwrap(), shutdown }
    }

    async fn start(&self) -> Running {
        self.start_with(self.options()).await
    }

    /// Runs a worker until it has come to a position.
    async fn index_up_to(&self, position: Position) {
        let running = self.start().await;
        running.reaches(position).await;
        running.stop().await;
    }

    /// Names and prices of the products in the index.
    fn products(&self) -> BTreeMap<String, (String, i64)> {
        let index = Index::open_in_dir(self.path()).unwrap();
        let searcher = index.reader().unwrap().searcher();
        let field = |name| index.schema().get_field(name).unwrap();
        let product = |at| {
            let document: TantivyDocument = searcher.doc(at).unwrap();
            let value = |name| document.get_first(field(name)).unwrap();
            let text = |name| value(name).as_str().unwrap().to_owned();
            (text("sku"), (text("name"), value("price").as_i64().unwrap()))
        };
        let found = searcher.search(&AllQuery, &DocSetCollector).unwrap();
        assert_eq!(found.len() as u64, searcher.num_docs());
        let products: BTreeMap<_, _> = found.iter().copied().map(product).collect();
        assert_eq!(products.len(), found.len(), "a product has two documents");
        products
    }

    #[track_caller]
    fn shows(&self, expected: &[(&str, &str, i64)]) {
        let expected = expected
            .iter()
            .map(|&(sku, name, price)| (sku.to_owned(), (name.to_owned(), price)))
            .collect();
        assert_eq!(self.products(), expected);
    }
}

impl Running {
    async fn reaches(&self, position: Position) {
        let mut progress = self.catalog.progress();
        let reached = progress.wait_for(|reached| *reached >= Some(position));
        tokio::time::timeout(Duration::from_mins(1), reached).await.unwrap().unwrap();
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.catalog.join().await.unwrap();
    }
}

#[tokio::test]
async fn every_product_for_sale_has_one_document_as_it_stands() {
    let shop = Shop::new();
    shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    shop.append("TIN", listed("TIN", "Cake tin", 800)).await;
    shop.append("BAG", listed("BAG", "Lunch bag", 165)).await;
    shop.append("CUP", repriced(199)).await;
    shop.append("TIN", described("Round cake tin")).await;
    let last = shop.append("BAG", delisted()).await;

    shop.index_up_to(last).await;

    shop.shows(&[("CUP", "Red cup", 199), ("TIN", "Round cake tin", 800)]);
}

#[tokio::test]
async fn changes_show_while_the_worker_runs() {
    let shop = Shop::new();
    let running = shop.start().await;

    running.reaches(shop.append("CUP", listed("CUP", "Red cup", 250)).await).await;
    shop.shows(&[("CUP", "Red cup", 250)]);
    running.reaches(shop.append("CUP", repriced(199)).await).await;
    shop.shows(&[("CUP", "Red cup", 199)]);
    running.reaches(shop.append("CUP", delisted()).await).await;
    shop.shows(&[]);
    running.reaches(shop.append("CUP", listed("CUP", "Blue cup", 99)).await).await;
    shop.shows(&[("CUP", "Blue cup", 99)]);
    running.stop().await;
}

#[tokio::test]
async fn it_goes_on_after_a_restart_where_it_stopped() {
    let shop = Shop::new();
    shop.append("TIN", listed("TIN", "Cake tin", 800)).await;
    let first = shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    shop.index_up_to(first).await;
    let last = shop.append("CUP", repriced(199)).await;

    let running = shop.start().await;
    assert_eq!(*running.catalog.progress().borrow(), Some(first));
    running.reaches(last).await;
    running.stop().await;

    shop.shows(&[("CUP", "Red cup", 199), ("TIN", "Cake tin", 800)]);
}

#[tokio::test]
async fn many_small_commits_come_to_the_same_as_one() {
    let shop = Shop::new();
    for n in 0..40 {
        let sku = format!("SKU-{n}");
        shop.append(&sku, listed(&sku, "Thing", n)).await;
    }
    let mut last = Position(0);
    for n in 0..40 {
        last = shop.append(&format!("SKU-{n}"), repriced(n + 1_000)).await;
    }

    let running = shop.start_with(CatalogOptions { batch: 3, ..shop.options() }).await;
    running.reaches(last).await;
    running.stop().await;

    let prices: Vec<_> = shop.products().values().map(|(_, price)| *price).collect();
    assert_eq!(prices.len(), 40);
    assert_eq!(prices.iter().sum::<i64>(), (1_000..1_040).sum::<i64>());
}

#[tokio::test]
async fn a_graceful_stop_keeps_how_far_it_came_without_products() {
    let shop = Shop::new();
    shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    let options = CatalogOptions { idle: Duration::from_hours(24), ..shop.options() };
    let running = shop.start_with(options).await;
    let other = NewEvent {
        id: Uuid::now_v7(),
        kind: "Other".into(),
        data: "{}".into(),
        metadata: "{}".into(),
        is_json: true,
    };
    let last = shop.write("other-1".parse().unwrap(), other).await;
    running.reaches(last).await;
    running.stop().await;

    let running = shop.start().await;
    assert_eq!(*running.catalog.progress().borrow(), Some(last));
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_left_out_and_named_in_the_commit() {
    let shop = Shop::new();
    shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    let broken = NewEvent { data: "{".into(), ..sealed(&repriced(1)) };
    let broken = shop.write("product-CUP".parse().unwrap(), broken).await;
    let last = shop.append("CUP", described("Green cup")).await;

    shop.index_up_to(last).await;

    shop.shows(&[("CUP", "Green cup", 250)]);
    let payload = Index::open_in_dir(shop.path()).unwrap().load_metas().unwrap().payload.unwrap();
    let payload: serde_json::Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(payload["parked"], serde_json::json!([broken.0]));
}

#[tokio::test]
async fn a_second_writer_is_told_that_the_index_is_in_use() {
    let shop = Shop::new();
    let running = shop.start().await;

    let second = Catalog::start(shop.store.clone(), shop.options(), CancellationToken::new()).await;

    assert!(matches!(second, Err(CatalogError::Locked { .. })), "{second:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let shop = Shop::new();
    let file = shop.path().join("file");
    fs::write(&file, "").unwrap();

    let options = CatalogOptions::new(file.join("index"));
    let started = Catalog::start(shop.store.clone(), options, CancellationToken::new()).await;

    assert!(matches!(started, Err(CatalogError::Folder { .. })), "{started:?}");
}

/// A file of the index with this extension.
fn segment_file(path: &Path, extension: &str) -> std::path::PathBuf {
    let mut files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    files.find(|file| file.extension().is_some_and(|e| e == extension)).unwrap()
}

fn flip_a_byte(path: &Path) {
    let file = segment_file(path, "store");
    let mut bytes = fs::read(&file).unwrap();
    bytes[5] ^= 0xff;
    fs::write(file, bytes).unwrap();
}

fn cut_a_file(path: &Path) {
    let file = segment_file(path, "idx");
    let bytes = fs::read(&file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

fn empty_a_file(path: &Path) {
    fs::write(segment_file(path, "fast"), "").unwrap();
}

fn lose_a_file(path: &Path) {
    fs::remove_file(segment_file(path, "term")).unwrap();
}

fn cut_the_meta(path: &Path) {
    fs::write(path.join("meta.json"), "{\"segments\":").unwrap();
}

fn cut_the_list_of_files(path: &Path) {
    fs::write(path.join(".managed.json"), "[\"").unwrap();
}

fn change_the_schema(path: &Path) {
    fs::remove_dir_all(path).unwrap();
    fs::create_dir(path).unwrap();
    let mut schema = SchemaBuilder::default();
    schema.add_text_field("title", STRING);
    Index::create_in_dir(path, schema.build()).unwrap();
}

fn change_the_version(path: &Path) {
    let index = Index::open_in_dir(path).unwrap();
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 20_000_000).unwrap();
    let mut commit = writer.prepare_commit().unwrap();
    commit.set_payload("{\"version\":0,\"position\":1000,\"parked\":[]}");
    commit.commit().unwrap();
}

type Spoil = fn(&Path);

#[tokio::test]
async fn a_damaged_index_or_one_of_another_version_is_rebuilt() {
    let ways: [(&str, Spoil); 8] = [
        ("flip a byte", flip_a_byte),
        ("cut a file", cut_a_file),
        ("empty a file", empty_a_file),
        ("lose a file", lose_a_file),
        ("cut the meta", cut_the_meta),
        ("cut the list of files", cut_the_list_of_files),
        ("change the schema", change_the_schema),
        ("change the version", change_the_version),
    ];
    for (how, spoil) in ways {
        let shop = Shop::new();
        shop.append("CUP", listed("CUP", "Red cup", 250)).await;
        let last = shop.append("CUP", repriced(199)).await;
        shop.index_up_to(last).await;
        spoil(shop.path());
        fs::write(shop.path().join("notes.txt"), "mine").unwrap();

        let running = shop.start().await;
        assert_eq!(*running.catalog.progress().borrow(), None, "{how}");
        running.reaches(last).await;
        running.stop().await;

        shop.shows(&[("CUP", "Red cup", 199)]);
        assert!(shop.path().join("notes.txt").exists(), "{how}: a file that is not ours is gone");
    }
}
