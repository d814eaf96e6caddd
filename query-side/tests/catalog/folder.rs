//! What only an index in a folder does.

use daybook_query_side::catalog::{Catalog, SearchError};
use tempfile::TempDir;

use crate::shop::{Shop, words};

#[tokio::test]
async fn before_the_projection_has_started_the_catalog_is_not_ready() {
    let folder = TempDir::new().unwrap();

    let searched = Catalog::new(folder.path().join("index")).search(words("heart")).await;

    assert!(matches!(searched, Err(SearchError::NotReady)), "{searched:?}");
}

#[tokio::test]
async fn a_damaged_index_is_an_error_and_not_a_panic() {
    let shop = Shop::on(None).await.with_products().await;
    shop.shutdown.cancel();
    shop.running.join().await.unwrap();
    let folder = shop.folder.path();
    std::fs::write(folder.join("v1/meta.json"), "{}").unwrap();

    let searched = Catalog::new(folder).search(words("heart")).await;

    assert!(matches!(searched, Err(SearchError::Index(_))), "{searched:?}");
}
