//! What search does when its cluster fails. They need a server: see `scripts/with-opensearch`.

use std::time::Duration;

use daybook_query_side::catalog::{CatalogQuery, SearchError};
use daybook_search::testing::{self, Door, Fate};

use crate::shop::{Shop, words};

async fn guarded() -> (Shop, Door) {
    let server = testing::address().expect("needs a search server: scripts/with-opensearch");
    let (door, through) = Door::before(&server).await.unwrap();
    (Shop::on(Some(through)).await.with_products().await, door)
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn a_cluster_that_does_not_answer_is_told_and_old_answers_are_called_stale() {
    let (shop, door) = guarded().await;
    let known = shop.search(words("lantern")).await;
    for fate in [
        Fate::Cut,
        Fate::Answer(503, "{}".into()),
        Fate::Answer(429, "slow down".into()),
        Fate::Answer(500, "<html>".into()),
        Fate::Answer(200, "{\"_shards\":{\"total\":3,\"failed\":1}}".into()),
    ] {
        let given = fate.clone();
        door.judge(move |_, _| given.clone());
        // What is believed of the index may be a moment old.
        tokio::time::sleep(Duration::from_millis(300)).await;

        let stale = shop.search(words("lantern")).await;
        assert_eq!(stale.items, known.items);
        assert!(stale.stale || matches!(fate, Fate::Answer(200, _)), "{fate:?}");
        let unknown = shop.catalog.search(words("heart")).await;
        assert!(matches!(unknown, Err(SearchError::Cluster(_))), "{fate:?}: {unknown:?}");
    }

    door.judge(|_, _| Fate::Forward);
    assert_eq!(shop.finds(words("heart")).await.len(), 2);
    assert!(!shop.search(words("lantern")).await.stale);
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn of_a_red_index_old_answers_are_called_stale_until_it_is_well() {
    let server = testing::address().expect("needs a search server: scripts/with-opensearch");
    let shop = Shop::on(Some(server.clone())).await.with_products().await;
    let known = shop.search(words("lantern")).await;
    assert!(!known.stale);
    assert_eq!(testing::lose_shards(&server, "catalog-v1").await.unwrap(), "red");
    // What is believed of the index may be a moment old.
    tokio::time::sleep(Duration::from_millis(300)).await;

    let stale = shop.search(words("lantern")).await;
    let unknown = shop.catalog.search(words("heart")).await;
    testing::restore_shards(&server).await.unwrap();

    assert_eq!((stale.items, stale.stale), (known.items, true));
    assert!(matches!(unknown, Err(SearchError::Cluster(_))), "{unknown:?}");
    let well = async {
        while !matches!(shop.catalog.search(words("heart")).await, Ok(found) if found.total == 2) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), well).await.unwrap();
    assert!(!shop.search(words("lantern")).await.stale);
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn a_cluster_that_hangs_is_not_waited_for_without_end() {
    let (shop, door) = guarded().await;
    door.judge(|_, _| Fate::Hang);
    tokio::time::sleep(Duration::from_millis(300)).await;

    let searched = shop.catalog.search(CatalogQuery::default());
    let searched = tokio::time::timeout(Duration::from_mins(1), searched).await.unwrap();

    assert!(matches!(searched, Err(SearchError::Cluster(_))), "{searched:?}");
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn an_index_that_is_not_there_is_not_ready() {
    let server = testing::address().expect("needs a search server: scripts/with-opensearch");
    let catalog = daybook_query_side::catalog::Catalog::on(&server).unwrap();

    let searched = catalog.search(words("heart")).await;

    assert!(matches!(searched, Err(SearchError::NotReady)), "{searched:?}");
}
