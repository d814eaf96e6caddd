//! What every index does.

use std::time::Duration;

use daybook_domain::values::OrderId;
use daybook_event_store::{NewEvent, Position};
use daybook_projections::catalog::{CatalogOptions, CatalogPlace};
use uuid::Uuid;

use crate::shop::{
    Shop, delisted, described, listed, moved, received, released, repriced, reserved, sealed, value,
};

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

    shop.shows(&[("CUP", "Red cup", 199), ("TIN", "Round cake tin", 800)]).await;
}

#[tokio::test]
async fn changes_show_while_the_worker_runs() {
    let shop = Shop::new();
    let running = shop.start().await;

    running.reaches(shop.append("CUP", listed("CUP", "Red cup", 250)).await).await;
    shop.shows(&[("CUP", "Red cup", 250)]).await;
    running.reaches(shop.append("CUP", repriced(199)).await).await;
    shop.shows(&[("CUP", "Red cup", 199)]).await;
    running.reaches(shop.append("CUP", delisted()).await).await;
    shop.shows(&[]).await;
    running.reaches(shop.append("CUP", listed("CUP", "Blue cup", 99)).await).await;
    shop.shows(&[("CUP", "Blue cup", 99)]).await;
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

    shop.shows(&[("CUP", "Red cup", 199), ("TIN", "Cake tin", 800)]).await;
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

    let documents = shop.documents().await;
    let prices: Vec<_> =
        documents.values().map(|document| value(document, "price").as_i64().unwrap()).collect();
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
async fn an_event_that_cannot_be_read_is_left_out() {
    let shop = Shop::new();
    shop.append("CUP", listed("CUP", "Red cup", 250)).await;
    let broken = NewEvent { data: "{".into(), ..sealed(&repriced(1)) };
    shop.write("product-CUP".parse().unwrap(), broken).await;
    let last = shop.append("CUP", described("Green cup")).await;

    shop.index_up_to(last).await;

    shop.shows(&[("CUP", "Green cup", 250)]).await;
}

#[tokio::test]
async fn a_document_has_what_readers_look_for() {
    let shop = Shop::new();
    shop.stock("CUP", received(3)).await;
    let last = shop.append("CUP", listed("CUP", "Red cup", 250)).await;

    shop.index_up_to(last).await;

    let document = &shop.documents().await["CUP"];
    let shown = ["sku", "seller", "name", "category", "currency"]
        .map(|field| value(document, field).as_str().unwrap().to_owned());
    assert_eq!(shown, ["CUP", "acme", "Red cup", "Home", "GBP"]);
    assert_eq!(value(document, "inStock"), true);
    assert_eq!(value(document, "listedAt"), 1_300_000_000_000_000_i64);
}

#[tokio::test]
async fn a_product_is_in_stock_while_one_can_be_reserved() {
    let shop = Shop::new();
    let order = OrderId(Uuid::now_v7());
    let running = shop.start().await;

    running.reaches(shop.append("CUP", listed("CUP", "Red cup", 250)).await).await;
    assert!(!shop.in_stock("CUP").await);
    running.reaches(shop.stock("CUP", received(2)).await).await;
    assert!(shop.in_stock("CUP").await);
    running.reaches(shop.stock("CUP", reserved(order, 2)).await).await;
    assert!(!shop.in_stock("CUP").await);
    running.stop().await;

    // A worker that has not seen the stock's beginning reads it.
    let last = shop.stock("CUP", released(order, 1)).await;
    shop.index_up_to(last).await;
    assert!(shop.in_stock("CUP").await);
    shop.shows(&[("CUP", "Red cup", 250)]).await;
}

#[tokio::test]
async fn stock_of_what_is_not_for_sale_makes_no_document() {
    let shop = Shop::new();
    shop.stock("CUP", received(2)).await;
    shop.append("TIN", listed("TIN", "Cake tin", 800)).await;
    shop.append("TIN", delisted()).await;
    let last = shop.stock("TIN", received(2)).await;

    shop.index_up_to(last).await;

    shop.shows(&[]).await;
}

#[tokio::test]
async fn a_product_that_changes_its_category_is_there_once() {
    let shop = Shop::new();
    for sku in ["CUP", "TIN", "BAG", "PEN", "MUG", "POT"] {
        shop.append(sku, listed(sku, "Thing", 250)).await;
    }
    let running = shop.start().await;
    for category in ["Garden", "Lights", "Office", "Home", "Toys"] {
        let mut last = Position(0);
        for sku in ["CUP", "TIN", "BAG", "PEN", "MUG", "POT"] {
            last = shop.append(sku, moved("Thing", category)).await;
        }
        running.reaches(last).await;

        let documents = shop.documents().await;
        assert_eq!(documents.len(), 6);
        assert!(documents.values().all(|document| value(document, "category") == category));
    }
    running.stop().await;
}

#[tokio::test]
async fn two_workers_on_a_cluster_come_to_what_one_does() {
    let shop = Shop::new();
    if matches!(shop.place, CatalogPlace::Folder(_)) {
        return;
    }
    let other = Shop { store: shop.store.clone(), place: shop.place.clone(), ..Shop::in_folder() };
    let (first, second) = (shop.start().await, other.start().await);
    let mut last = Position(0);
    for (n, category) in (0..30).zip(["Home", "Garden", "Toys"].into_iter().cycle()) {
        shop.append("CUP", listed("CUP", "Red cup", n + 1)).await;
        shop.append("CUP", moved("Red cup", category)).await;
        last = shop.append("CUP", repriced(n + 1_000)).await;
    }
    first.reaches(last).await;
    second.reaches(last).await;
    first.stop().await;
    second.stop().await;

    shop.shows(&[("CUP", "Red cup", 1_029)]).await;
}
