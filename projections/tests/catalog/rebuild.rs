//! The index built anew by an operator, beside a worker and without one.

use std::fs;

use daybook_event_store::Position;
use daybook_projections::catalog::NAME;
use daybook_projections::{
    Change, Database, Expected, Limits, OperateError, Operator, Outcome, Role, Then, What,
};
use tokio_util::sync::CancellationToken;

use crate::shop::{Running, Shop, delisted, listed, received, repriced};

pub(crate) async fn operator(shop: &Shop) -> Operator {
    let file = shop.folder.path().join("read-models.sqlite");
    let address = file.to_str().unwrap().into();
    let database = Database::open(&address, &Limits::default()).await.unwrap();
    Operator::new(shop.store.clone(), database).with_catalog(shop.place.clone()).with_batch(7)
}

async fn given_products(shop: &Shop, count: i64) -> Position {
    let mut last = Position(0);
    for n in 0..count {
        let sku = format!("SKU-{n:02}");
        last = shop.append(&sku, listed(&sku, "Thing", n + 1)).await;
    }
    last
}

/// A worker that has indexed so many products, and an operator beside it.
async fn given_a_worker(shop: Shop, products: i64) -> (Shop, Running, Operator) {
    let last = given_products(&shop, products).await;
    let running = shop.start().await;
    running.reaches(last).await;
    assert_eq!(shop.live().await, 1);
    let operator = operator(&shop).await;
    (shop, running, operator)
}

/// The same after the worker has stopped.
async fn given_an_index(shop: Shop, products: i64) -> (Shop, Operator) {
    let (shop, running, operator) = given_a_worker(shop, products).await;
    running.stop().await;
    (shop, operator)
}

async fn rebuild(operator: &Operator, then: Then<'_>) -> Result<Outcome, OperateError> {
    operator.rebuild(NAME, then, &|_| {}, &CancellationToken::new()).await
}

async fn roll_back(operator: &Operator) -> Result<Outcome, OperateError> {
    operator.roll_back(NAME, &|_| {}, &CancellationToken::new()).await
}

async fn roles(operator: &Operator) -> Vec<(u32, Role)> {
    let all = operator.generations().await.unwrap().into_iter();
    let ours = all.filter(|generation| generation.name == NAME);
    ours.map(|generation| (generation.generation, generation.role)).collect()
}

async fn price(shop: &Shop, sku: &str) -> i64 {
    crate::shop::value(&shop.documents().await[sku], "price").as_i64().unwrap()
}

const ALL: Then<'_> = Then { verify: Some(&[]), cut_over: true };

#[tokio::test]
async fn a_running_worker_follows_a_cutover_and_a_rollback() {
    let (shop, running, operator) = given_a_worker(Shop::new(), 25).await;

    let outcome = rebuild(&operator, ALL).await.unwrap();

    let found = outcome.comparison.unwrap();
    assert_eq!((found.live, found.built, found.position), (1, 2, Some(Position(24))));
    assert_eq!((found.unexpected(), found.tables[0].rows), (0, [25, 25]));
    assert_eq!(found.tables[0].checksums[0], found.tables[0].checksums[1]);
    assert_eq!((outcome.live, outcome.built.applied), (true, 25));
    assert_eq!(roles(&operator).await, [(1, Role::Retired), (2, Role::Live)]);
    let last = shop.append("SKU-03", repriced(777)).await;
    running.reaches(last).await;
    assert_eq!((shop.live().await, price(&shop, "SKU-03").await), (2, 777));

    let back = roll_back(&operator).await.unwrap();

    assert_eq!((back.live, back.built.position), (true, Some(last)));
    assert_eq!((shop.live().await, price(&shop, "SKU-03").await), (1, 777));
    assert_eq!(roles(&operator).await, [(1, Role::Live), (2, Role::Retired)]);
    let last = shop.append("SKU-04", delisted()).await;
    running.reaches(last).await;
    assert_eq!(shop.documents().await.len(), 24);

    let outcome = rebuild(&operator, ALL).await.unwrap();

    assert_eq!((outcome.live, outcome.built.generation), (true, 3));
    assert_eq!(roles(&operator).await, [(1, Role::Retired), (3, Role::Live)]);
    running.stop().await;
}

#[tokio::test]
async fn a_difference_is_told_by_field_and_is_not_made_live_unless_it_is_expected() {
    let shop = Shop::new();
    let last = given_products(&shop, 5).await;
    // What is read was posted from other events.
    let other = Shop { store: daybook_event_store::Store::memory(), ..Shop::in_folder() };
    let other = Shop { place: shop.place.clone(), ..other };
    given_products(&other, 3).await;
    other.append("SKU-03", listed("SKU-03", "Thing", 99)).await;
    other.append("SKU-99", listed("SKU-99", "Thing", 1)).await;
    other.index_up_to(last).await;
    let operator = operator(&shop).await;

    let outcome = rebuild(&operator, ALL).await.unwrap();

    assert!(!outcome.live);
    let table = &outcome.comparison.unwrap().tables[0];
    let told: Vec<_> = table.differences.iter().map(|found| (&*found.key, &found.what)).collect();
    let text = |minor: &str| Some(minor.to_owned());
    let price = Change { column: "price".into(), live: text("99"), built: text("4") };
    let changed = What::Changed(vec![price]);
    let expected = [("SKU-03", &changed), ("SKU-04", &What::Extra), ("SKU-99", &What::Missing)];
    assert_eq!((told, table.ranges.len()), (expected.to_vec(), 1));
    let pattern = |key: &str, column: &str| {
        let (table, key, column) = (NAME.into(), key.into(), column.into());
        Expected { table, key, column }
    };
    let some = [pattern("SKU-03", "price"), pattern("SKU-9*", "row")];
    assert_eq!(operator.verify(NAME, &some).await.unwrap().unexpected(), 1);
    let all = [pattern("SKU-03", "price"), pattern("*", "row")];
    let outcome = rebuild(&operator, Then { verify: Some(&all), cut_over: true }).await.unwrap();
    assert!(outcome.live);
    assert_eq!(shop.documents().await.len(), 5);
}

#[tokio::test]
async fn what_is_paused_is_not_written_until_it_is_resumed() {
    let (shop, running, operator) = given_a_worker(Shop::new(), 5).await;

    assert!(operator.pause(NAME).await.unwrap());
    assert!(!operator.pause(NAME).await.unwrap());
    let last = shop.append("SKU-00", repriced(777)).await;
    running.catalog.reach(last).await;

    assert_eq!(price(&shop, "SKU-00").await, 1);
    running.stop().await;
    let running = shop.start().await;
    running.catalog.reach(last).await;
    assert_eq!(price(&shop, "SKU-00").await, 1);
    let generations = operator.generations().await.unwrap();
    assert!(generations.iter().any(|found| found.name == NAME && found.paused));
    let behind = rebuild(&operator, ALL).await.map(|_| ());
    assert!(matches!(behind, Err(OperateError::LiveBehind { .. })), "{behind:?}");
    assert!(operator.resume(NAME).await.unwrap());
    assert!(!operator.resume(NAME).await.unwrap());
    running.reaches(last).await;
    assert_eq!(price(&shop, "SKU-00").await, 777);
    running.stop().await;
}

#[tokio::test]
async fn a_pause_outlives_a_cutover() {
    let (shop, running, operator) = given_a_worker(Shop::new(), 5).await;
    operator.pause(NAME).await.unwrap();

    let outcome = rebuild(&operator, ALL).await.unwrap();
    let last = shop.append("SKU-00", repriced(777)).await;
    running.catalog.reach(last).await;

    assert!(outcome.live);
    assert_eq!((shop.live().await, price(&shop, "SKU-00").await), (2, 1));
    operator.resume(NAME).await.unwrap();
    running.reaches(last).await;
    assert_eq!((shop.live().await, price(&shop, "SKU-00").await), (2, 777));
    running.stop().await;
}

#[tokio::test]
async fn a_build_that_is_stopped_goes_on_and_nobody_reads_it_before() {
    let (shop, operator) = given_an_index(Shop::new(), 25).await;
    let interrupted = CancellationToken::new();
    interrupted.cancel();

    let stopped = operator.rebuild(NAME, Then::default(), &|_| {}, &interrupted).await.map(|_| ());

    assert!(matches!(stopped, Err(OperateError::Interrupted)), "{stopped:?}");
    let found = operator.generations().await.unwrap();
    let built = found.iter().find(|found| found.role == Role::Building).unwrap();
    assert_eq!((built.generation, built.position), (2, Some(Position(6))));
    // A server that starts now goes on with what is read.
    let last = shop.append("SKU-00", repriced(777)).await;
    shop.index_up_to(last).await;
    assert_eq!((shop.live().await, price(&shop, "SKU-00").await), (1, 777));
    let outcome = rebuild(&operator, Then::default()).await.unwrap();
    assert_eq!((outcome.built.generation, outcome.built.applied), (2, 19));
    assert!(!outcome.live);

    assert_eq!(operator.discard_build(NAME).await.unwrap(), 2);
    assert_eq!(roles(&operator).await, [(1, Role::Live)]);
}

#[tokio::test]
async fn what_is_behind_is_brought_on_or_refused() {
    let (shop, operator) = given_an_index(Shop::new(), 5).await;
    rebuild(&operator, Then::default()).await.unwrap();
    let last = shop.append("SKU-00", repriced(777)).await;
    shop.index_up_to(last).await;

    assert!(operator.cut_over(NAME).await.unwrap().live);

    assert_eq!((shop.live().await, price(&shop, "SKU-00").await), (2, 777));
    rebuild(&operator, Then::default()).await.unwrap();
    let stock = daybook_event_store::StreamId::new("stock", "SKU-00").unwrap();
    let mut last = last;
    // The store takes at most 10,000 events at a time.
    for count in [10_000, 1] {
        let many = (0..count).map(|_| crate::shop::sealed(&received(1))).collect();
        last = shop.append_all(&stock, many).await;
    }
    shop.index_up_to(last).await;
    let refused = operator.cut_over(NAME).await.map(|_| ());
    assert!(matches!(refused, Err(OperateError::Behind { behind: 10_001, .. })), "{refused:?}");
    assert_eq!(shop.live().await, 2);
}

#[tokio::test]
async fn what_cannot_be_done_to_the_index_is_told() {
    let shop = Shop::new();
    given_products(&shop, 2).await;
    let operator = operator(&shop).await;

    let verified = operator.verify(NAME, &[]).await.map(|_| ());
    let cut_over = operator.cut_over(NAME).await.map(|_| ());
    let rolled_back = roll_back(&operator).await.map(|_| ());
    let discarded = operator.discard_build(NAME).await;
    let paused = operator.pause(NAME).await;

    assert!(matches!(verified, Err(OperateError::NothingBuilt { .. })), "{verified:?}");
    assert!(matches!(cut_over, Err(OperateError::NothingBuilt { .. })), "{cut_over:?}");
    assert!(matches!(rolled_back, Err(OperateError::NothingRetired { .. })), "{rolled_back:?}");
    assert!(matches!(discarded, Err(OperateError::NothingBuilt { .. })), "{discarded:?}");
    assert!(matches!(paused, Err(OperateError::Absent { .. })), "{paused:?}");
    // Where nothing is read yet, what was built can be.
    assert!(rebuild(&operator, Then { cut_over: true, ..Then::default() }).await.unwrap().live);
    assert_eq!(shop.documents().await.len(), 2);
}

#[tokio::test]
async fn two_builds_of_one_folder_cannot_be() {
    let (shop, operator) = given_an_index(Shop::in_folder(), 5).await;
    rebuild(&operator, Then::default()).await.unwrap();
    let lock = shop.root().join("v2/.tantivy-writer.lock");
    let held = fs::File::options().create(true).truncate(false).write(true).open(lock).unwrap();
    held.try_lock().unwrap();

    let refused = rebuild(&operator, Then::default()).await.map(|_| ());

    assert!(matches!(refused, Err(OperateError::InUse { .. })), "{refused:?}");
}
