//! What only an index in a folder is asked.

use std::fs;
use std::path::{Path, PathBuf};

use daybook_event_store::NewEvent;
use daybook_projections::catalog::{Catalog, CatalogError, CatalogOptions};
use tantivy::schema::{STRING, SchemaBuilder};
use tantivy::{Index, IndexWriter};
use tokio_util::sync::CancellationToken;

use crate::shop::{Shop, described, listed, repriced, sealed};

/// The folder of the version that is read.
fn live(shop: &Shop) -> PathBuf {
    shop.root().join("v1")
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_left_out_and_named_in_the_commit() {
    let shop = Shop::in_folder();
    shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    let broken = NewEvent { data: "{".into(), ..sealed(&repriced(1)) };
    let broken = shop.write("product-CUP".parse().unwrap(), broken).await;
    let last = shop.append("CUP", described("Green cup")).await;

    shop.index_up_to(last).await;

    shop.shows(&[("CUP", "Green cup", 250)]).await;
    let payload = Index::open_in_dir(live(&shop)).unwrap().load_metas().unwrap().payload.unwrap();
    let payload: serde_json::Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(payload["parked"], serde_json::json!([broken.0]));
}

#[tokio::test]
async fn a_second_writer_is_told_that_the_index_is_in_use() {
    let shop = Shop::in_folder();
    let running = shop.start().await;

    let second = Catalog::start(shop.store.clone(), shop.options(), CancellationToken::new()).await;

    assert!(matches!(second, Err(CatalogError::Locked { .. })), "{second:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let shop = Shop::in_folder();
    let file = shop.root().join("file");
    fs::write(&file, "").unwrap();

    let options = CatalogOptions::new(file.join("index"));
    let started = Catalog::start(shop.store.clone(), options, CancellationToken::new()).await;

    assert!(matches!(started, Err(CatalogError::Folder { .. })), "{started:?}");
}

/// A file of the index with this extension.
fn segment_file(path: &Path, extension: &str) -> PathBuf {
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
        let shop = Shop::in_folder();
        shop.append("CUP", listed("CUP", "Red cup", 250)).await;
        let last = shop.append("CUP", repriced(199)).await;
        shop.index_up_to(last).await;
        spoil(&live(&shop));
        fs::write(live(&shop).join("notes.txt"), "mine").unwrap();

        let running = shop.start().await;
        assert_eq!(*running.catalog.progress().borrow(), None, "{how}");
        running.reaches(last).await;
        running.stop().await;

        shop.shows(&[("CUP", "Red cup", 199)]).await;
        assert!(live(&shop).join("notes.txt").exists(), "{how}: a file that is not ours is gone");
    }
}

#[tokio::test]
async fn an_index_of_a_release_without_versions_makes_way() {
    let shop = Shop::in_folder();
    let last = shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    change_the_schema(&shop.root());
    fs::write(shop.root().join("notes.txt"), "mine").unwrap();

    shop.index_up_to(last).await;

    shop.shows(&[("CUP", "Red cup", 250)]).await;
    assert!(!shop.root().join("meta.json").exists());
    assert!(shop.root().join("notes.txt").exists());
}

#[tokio::test]
async fn an_index_that_is_deleted_is_built_again() {
    let shop = Shop::in_folder();
    let last = shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    let running = shop.start().await;
    running.reaches(last).await;
    fs::remove_dir_all(live(&shop)).unwrap();

    let mut progress = running.catalog.progress();
    progress.wait_for(Option::is_none).await.unwrap();
    running.reaches(last).await;

    shop.shows(&[("CUP", "Red cup", 250)]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_failure_is_told_until_it_is_over() {
    let shop = Shop::in_folder();
    let last = shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    let running = shop.start().await;
    running.reaches(last).await;
    let mut interrupted = running.catalog.interrupted();
    assert!(!*interrupted.borrow());

    let (before, next) = (live(&shop), shop.root().join("v2"));
    fs::write(&next, "in the way").unwrap();
    fs::write(shop.root().join("live"), "v2\n").unwrap();
    fs::remove_dir_all(before).unwrap();
    interrupted.wait_for(|interrupted| *interrupted).await.unwrap();

    fs::remove_file(next).unwrap();
    interrupted.wait_for(|interrupted| !interrupted).await.unwrap();
    shop.shows(&[("CUP", "Red cup", 250)]).await;
    running.stop().await;
    assert!(interrupted.has_changed().is_err());
}
