//! Versions that are built beside the one that is read.

use std::collections::BTreeSet;

use daybook_projections::catalog::{CatalogError, CatalogOptions};

use crate::shop::{Shop, listed, repriced};

#[tokio::test]
async fn a_version_is_built_beside_the_live_one_and_takes_its_place() {
    let shop = Shop::new();
    for n in 0..25 {
        let sku = format!("SKU-{n:02}");
        shop.append(&sku, listed(&sku, "Thing", n + 1)).await;
    }
    let last = shop.append("SKU-07", repriced(9_999)).await;
    shop.index_up_to(last).await;
    assert_eq!(shop.live().await, 1);
    let versions = shop.versions();

    let built = shop.start_with(CatalogOptions { version: Some(2), ..shop.options() }).await;
    built.reaches(last).await;
    built.stop().await;
    assert_eq!(versions.live().await.unwrap(), Some(1));
    assert_eq!(versions.list().await.unwrap(), BTreeSet::from([1, 2]));
    let digests = versions.digests(1, 10).await.unwrap();
    assert_eq!(versions.digests(2, 10).await.unwrap(), digests);
    let counts: Vec<_> = digests.iter().map(|range| range.count).collect();
    assert_eq!(counts, [10, 10, 5]);
    assert_eq!(digests[1].skus, ("SKU-10".into(), "SKU-19".into()));

    versions.make_live(2).await.unwrap();
    assert_eq!(versions.live().await.unwrap(), Some(2));
    versions.make_live(1).await.unwrap();
    versions.make_live(2).await.unwrap();
    let refused = versions.drop(2).await;
    assert!(matches!(refused, Err(CatalogError::Live { version: 2 })), "{refused:?}");
    versions.drop(1).await.unwrap();
    assert_eq!(versions.list().await.unwrap(), BTreeSet::from([2]));
    let gone = versions.make_live(1).await;
    assert!(matches!(gone, Err(CatalogError::Lost)), "{gone:?}");

    let last = shop.append("SKU-08", repriced(1)).await;
    shop.index_up_to(last).await;
    assert_eq!(shop.documents().await.len(), 25);
}

#[tokio::test]
async fn all_versions_are_removed_and_one_can_be_built_again() {
    let shop = Shop::new();
    let last = shop.append("CUP", listed("CUP", "Cup", 1)).await;
    shop.index_up_to(last).await;
    assert_eq!(shop.live().await, 1);
    let versions = shop.versions();

    versions.clear().await.unwrap();
    assert_eq!(versions.list().await.unwrap(), BTreeSet::new());
    versions.clear().await.unwrap();

    shop.index_up_to(last).await;
    shop.shows(&[("CUP", "Cup", 1)]).await;
}

#[tokio::test]
async fn a_difference_shows_in_the_range_that_it_is_in() {
    let shop = Shop::new();
    for n in 0..20 {
        let sku = format!("SKU-{n:02}");
        shop.append(&sku, listed(&sku, "Thing", n + 1)).await;
    }
    let first = shop.append("SKU-19", repriced(2)).await;
    shop.index_up_to(first).await;
    assert_eq!(shop.live().await, 1);
    let last = shop.append("SKU-03", repriced(77)).await;
    let built = shop.start_with(CatalogOptions { version: Some(2), ..shop.options() }).await;
    built.reaches(last).await;
    built.stop().await;

    let versions = shop.versions();
    let [before, after] =
        [versions.digests(1, 5).await.unwrap(), versions.digests(2, 5).await.unwrap()];

    let differ: Vec<_> = (0..4).filter(|&at| before[at] != after[at]).collect();
    assert_eq!(differ, [0]);
}
