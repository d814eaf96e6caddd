//! What a cluster does to its index. They need a server: see `scripts/with-opensearch`.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daybook_event_store::Position;
use daybook_projections::catalog::{CatalogOptions, CatalogPlace};
use daybook_search::testing::{self, Door, Fate};
use daybook_search::{Address, Cluster, Method, Request};

use crate::left_out::replay;
use crate::rebuild::operator;
use crate::shop::{Running, Shop, delisted, described, listed, moved, repriced};

const SERVER: &str = "needs a search server: scripts/with-opensearch";

fn server() -> Address {
    testing::address().expect(SERVER)
}

/// A shop whose index is behind a door.
async fn guarded() -> (Shop, Door) {
    let (door, through) = Door::before(&server()).await.unwrap();
    (Shop { place: CatalogPlace::Cluster(through), ..Shop::in_folder() }, door)
}

fn address(shop: &Shop) -> Address {
    match &shop.place {
        CatalogPlace::Cluster(address) => address.clone(),
        CatalogPlace::Folder(_) => unreachable!("{SERVER}"),
    }
}

async fn ask(shop: &Shop, method: Method, path: &str, body: &str) -> serde_json::Value {
    let cluster = Cluster::new(&address(shop), Duration::from_secs(30)).unwrap();
    let path = path.replace("INDEX", &format!("{}-catalog-v1", cluster.prefix()));
    let request = Request::new(method, path);
    let request =
        if body.is_empty() { request } else { request.json(&serde_json::from_str(body).unwrap()) };
    cluster.ask(request).await.unwrap()
}

/// Lists, moves and prices forty products, delists some, and gives the last position.
async fn trade(shop: &Shop) -> Position {
    let mut last = Position(0);
    for (n, category) in (0..40).zip(["Home", "Garden", "Toys"].into_iter().cycle()) {
        let sku = format!("SKU-{n:02}");
        shop.append(&sku, listed(&sku, "Thing", n + 1)).await;
        shop.append(&sku, moved("Thing", category)).await;
        last = shop.append(&sku, repriced(1_000 + n)).await;
        if n % 10 == 9 {
            last = shop.append(&sku, delisted()).await;
        }
    }
    last
}

async fn shows_what_was_traded(shop: &Shop) {
    let names: Vec<_> = (0..40).map(|n| (format!("SKU-{n:02}"), 1_000 + n)).collect();
    let there = names.iter().filter(|(sku, _)| !sku.ends_with('9'));
    let expected: Vec<_> = there.map(|(sku, price)| (sku.as_str(), "Thing", *price)).collect();
    shop.shows(&expected).await;
}

async fn small_steps(shop: &Shop) -> Running {
    shop.start_with(CatalogOptions { batch: 10, ..shop.options() }).await
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn the_server_is_killed_while_documents_are_written() {
    let shop = Shop::new();
    let running = small_steps(&shop).await;
    running.reaches(shop.append("CUP", listed("CUP", "Cup", 1)).await).await;
    let restarting = tokio::task::spawn_blocking(|| {
        let restart = std::env::var("DAYBOOK_TEST_SEARCH_RESTART").expect(SERVER);
        assert!(Command::new(restart).status().unwrap().success());
    });
    shop.append("CUP", delisted()).await;
    let last = trade(&shop).await;
    restarting.await.unwrap();

    running.reaches(last).await;

    shows_what_was_traded(&shop).await;
    running.stop().await;
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn an_index_that_is_lost_is_built_again() {
    let shop = Shop::new();
    let last = trade(&shop).await;
    let running = shop.start().await;
    running.reaches(last).await;
    ask(&shop, Method::Delete, "INDEX", "").await;

    // Nothing is written: it finds out by itself.
    let mut progress = running.catalog.progress();
    let gone = progress.wait_for(Option::is_none);
    tokio::time::timeout(Duration::from_mins(1), gone).await.unwrap().unwrap();
    running.reaches(last).await;

    shows_what_was_traded(&shop).await;
    running.stop().await;
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn bulk_requests_that_are_turned_away_are_sent_again() {
    for (status, reason) in [(429, "es_rejected_execution_exception"), (503, "unavailable")] {
        let (shop, door) = guarded().await;
        let left = Arc::new(AtomicUsize::new(4));
        door.judge(move |line, _| {
            let refuse = line.contains("_bulk")
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                    .is_ok();
            let error = format!("{{\"error\":{{\"type\":\"{reason}\",\"reason\":\"full\"}}}}");
            if refuse { Fate::Answer(status, error) } else { Fate::Forward }
        });
        let last = trade(&shop).await;
        shop.index_up_to(last).await;
        shows_what_was_traded(&shop).await;
    }
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn answers_that_are_lost_lead_to_nothing_twice() {
    let (shop, door) = guarded().await;
    let (bulks, checkpoints) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let every_other = |count: &AtomicUsize| count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
    door.judge(move |line, _| {
        if line.contains("_bulk") && every_other(&bulks) {
            Fate::LoseAnswer
        } else if line.contains("_doc") && line.starts_with("PUT") && every_other(&checkpoints) {
            Fate::Cut
        } else {
            Fate::Forward
        }
    });
    let last = trade(&shop).await;
    let running = small_steps(&shop).await;
    running.reaches(last).await;
    running.stop().await;

    door.judge(|_, _| Fate::Forward);
    shows_what_was_traded(&shop).await;
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn only_the_items_that_were_turned_away_are_sent_again() {
    let (shop, door) = guarded().await;
    shop.append("CUP", listed("CUP", "Cup", 1)).await;
    let last = shop.append("TIN", listed("TIN", "Tin", 2)).await;
    let bulks = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = bulks.clone();
    door.judge(move |line, body| {
        if !line.contains("_bulk") {
            return Fate::Forward;
        }
        let mut seen = seen.lock().unwrap();
        seen.push(body.lines().count() / 2);
        // The first is taken by nobody, the second is said to be too much.
        let item = |status| format!("{{\"index\":{{\"status\":{status},\"error\":{{}}}}}}");
        match seen.len() {
            1 => Fate::Answer(200, format!("{{\"items\":[{},{}]}}", item(201), item(429))),
            _ => Fate::Forward,
        }
    });

    shop.index_up_to(last).await;

    assert_eq!(*bulks.lock().unwrap(), [2, 1]);
    shop.shows(&[("TIN", "Tin", 2)]).await;
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn a_document_that_is_refused_is_parked_and_the_others_go_on() {
    let (shop, door) = guarded().await;
    let refused = shop.append("CUP", listed("CUP", "Cup", 1)).await;
    door.judge(|line, body| {
        let item = "{\"items\":[{\"index\":{\"status\":400,\"error\":{\"type\":\"mapper_parsing_exception\"}}}]}";
        let bad = line.contains("_bulk") && body.contains("\"Cup\"");
        if bad { Fate::Answer(200, item.into()) } else { Fate::Forward }
    });
    let running = shop.start().await;
    running.reaches(refused).await;
    running.reaches(shop.append("TIN", listed("TIN", "Tin", 2)).await).await;
    running.stop().await;

    shop.shows(&[("TIN", "Tin", 2)]).await;
    let found = ask(&shop, Method::Get, "INDEX/_doc/checkpoint?routing=checkpoint", "").await;
    assert_eq!(found["_source"]["checkpoint"]["parked"], serde_json::json!([refused.0]));
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn a_document_that_was_refused_is_sent_again_with_the_next_change_and_by_a_replay() {
    let (shop, door) = guarded().await;
    let operator = operator(&shop).await;
    let left_out = async || {
        let all = operator.left_out().await.unwrap().into_iter();
        all.map(|parked| (parked.position, parked.stream)).collect::<Vec<_>>()
    };
    door.judge(|line, body| {
        let is_odd = |text: &str| text.contains("Odd");
        if !(line.contains("_bulk") && is_odd(body)) {
            return Fate::Forward;
        }
        let refused = r#"{"index":{"status":400,"error":{"reason":"too odd"}}}"#;
        let item = |of| if is_odd(of) { refused } else { r#"{"index":{"status":201}}"# };
        let items: Vec<_> = body.lines().skip(1).step_by(2).map(item).collect();
        Fate::Answer(200, format!("{{\"items\":[{}]}}", items.join(",")))
    });
    let running = shop.start().await;
    let first = shop.append("CUP", listed("CUP", "Odd cup", 1)).await;
    running.reaches(first).await;
    assert_eq!(left_out().await, [(first, "product-CUP".to_owned())]);
    assert!(operator.left_out().await.unwrap()[0].error.contains("too odd"));
    let second = shop.append("CUP", repriced(2)).await;
    running.reaches(second).await;
    assert_eq!(left_out().await, [(second, "product-CUP".to_owned())]);
    running.reaches(shop.append("CUP", moved("Cup", "Home")).await).await;
    assert_eq!(left_out().await, []);

    let last = shop.append("TIN", listed("TIN", "Odd tin", 3)).await;
    running.reaches(last).await;
    assert!(replay(&operator, false).await[0].error.is_some());
    assert_eq!(left_out().await, [(last, "product-TIN".to_owned())]);
    door.judge(|_, _| Fate::Forward);
    assert_eq!(replay(&operator, false).await[0].error, None);

    assert_eq!(left_out().await, []);
    shop.shows(&[("CUP", "Cup", 2), ("TIN", "Odd tin", 3)]).await;
    running.stop().await;
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn an_index_that_takes_no_writes_is_caught_up_with_later() {
    let shop = Shop::new();
    let running = shop.start().await;
    running.reaches(shop.append("CUP", listed("CUP", "Cup", 1)).await).await;
    ask(&shop, Method::Put, "INDEX/_settings", r#"{"index.blocks.write": true}"#).await;
    let last = shop.append("CUP", described("Green cup")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    shop.shows(&[("CUP", "Cup", 1)]).await;
    ask(&shop, Method::Put, "INDEX/_settings", r#"{"index.blocks.write": false}"#).await;

    running.reaches(last).await;

    shop.shows(&[("CUP", "Green cup", 1)]).await;
    running.stop().await;
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn a_red_index_is_waited_for_and_caught_up_with() {
    let shop = Shop::new();
    let running = shop.start().await;
    running.reaches(shop.append("CUP", listed("CUP", "Cup", 1)).await).await;
    shop.live().await;
    assert_eq!(testing::lose_shards(&address(&shop), "catalog-v1").await.unwrap(), "red");

    let last = shop.append("CUP", described("Green cup")).await;
    let mut interrupted = running.catalog.interrupted();
    let felt = interrupted.wait_for(|interrupted| *interrupted);
    tokio::time::timeout(Duration::from_mins(1), felt).await.unwrap().unwrap();
    testing::restore_shards(&address(&shop)).await.unwrap();
    running.reaches(last).await;

    shop.shows(&[("CUP", "Green cup", 1)]).await;
    assert!(!*running.catalog.interrupted().borrow());
    assert_eq!(operator(&shop).await.left_out().await.unwrap(), []);
    running.stop().await;
}

#[tokio::test]
#[ignore = "needs a search server"]
async fn a_writer_that_is_behind_undoes_nothing() {
    let shop = Shop::new();
    let early = shop.append("CUP", listed("CUP", "Cup", 1)).await;
    let (door, through) = Door::before(&address(&shop)).await.unwrap();
    door.judge(|line, _| if line.contains("_bulk") { Fate::Hang } else { Fate::Forward });
    let late = Shop {
        store: shop.store.clone(),
        place: CatalogPlace::Cluster(through),
        ..Shop::in_folder()
    };
    let stale = late.start().await;
    shop.append("CUP", moved("Green cup", "Garden")).await;
    let last = shop.append("CUP", delisted()).await;
    shop.index_up_to(last).await;

    // The late one wakes up with what it read long ago.
    let wanted = serde_json::json!({ "early": early.0 });
    assert!(wanted["early"].as_u64() < Some(last.0));
    door.judge(|_, _| Fate::Forward);
    stale.stop().await;

    shop.shows(&[]).await;
}
