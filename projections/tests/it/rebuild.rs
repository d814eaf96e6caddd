//! Generations built beside the live one: compared with it, made live, and gone back from.

use std::sync::Mutex;
use std::time::Duration;

use daybook_domain::stock::StockEvent;
use daybook_domain::values::{OrderId, Quantity};
use daybook_event_store::{EventStore, Expected as ExpectedRevision, NewEvent, StreamId};
use daybook_projections::{
    Built, Change, Comparison, Database, Expected, Limits, OperateError, Operator,
    ProjectionOptions, Role, State, Then, What,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{World, at, metadata, options, received, sale};

const FILE: &str = "read.db";

/// Orders that are placed and paid, of stock that comes in.
async fn trade(world: &World, orders: std::ops::Range<u128>) {
    for n in orders {
        let sku = format!("SKU-{}", n % 5);
        world.given("stock", &sku, &[received(2)]).await;
        world.given("order", Uuid::from_u128(n), &sale(n, n % 3, &sku, 7)).await;
    }
}

async fn build(operator: &Operator, name: &str) -> Built {
    let stop = CancellationToken::new();
    operator.rebuild(name, Then::default(), &|_| {}, &stop).await.unwrap().built
}

/// The generations of a read model with what they are to queries.
async fn roles(operator: &Operator, name: &str) -> Vec<(u32, Role)> {
    let all = operator.generations().await.unwrap();
    all.iter().filter(|g| g.name == name).map(|g| (g.generation, g.role)).collect()
}

#[track_caller]
fn then_they_are_equal(comparison: &Comparison) {
    assert_eq!(comparison.unexpected(), 0, "{comparison:#?}");
    for table in &comparison.tables {
        assert_eq!(table.rows[0], table.rows[1], "{table:?}");
        assert_eq!(table.checksums[0], table.checksums[1], "{table:?}");
        assert!(table.ranges.is_empty() && table.differences.is_empty(), "{table:?}");
    }
}

#[tokio::test]
async fn every_read_model_is_built_anew_and_equals_the_live_one() {
    let world = World::new();
    trade(&world, 0..60).await;
    world.project(FILE).await;
    let (operator, before) = (world.operator(FILE).await, world.everything(FILE).await);

    for name in Operator::names() {
        let built = build(&operator, name).await;
        assert_eq!((built.generation, built.position), (2, world.head().await), "{name}");
        assert_eq!(roles(&operator, name).await, [(1, Role::Live), (2, Role::Building)]);
        then_they_are_equal(&operator.verify(name, &[]).await.unwrap());
        assert!(operator.cut_over(name).await.unwrap().live);
        assert_eq!(roles(&operator, name).await, [(1, Role::Retired), (2, Role::Live)]);
    }

    assert_eq!(world.everything(FILE).await, before);
}

#[tokio::test]
async fn readers_see_the_live_one_until_the_cutover() {
    let world = World::new();
    trade(&world, 0..5).await;
    world.project(FILE).await;
    world.execute(FILE, "UPDATE stock_v1 SET on_hand = 77").await;
    let operator = world.operator(FILE).await;

    build(&operator, "stock").await;
    let live = world.columns(FILE, "stock", "on_hand").await;
    operator.cut_over("stock").await.unwrap();

    assert_eq!(live, ["77"; 5]);
    assert_eq!(world.columns(FILE, "stock", "on_hand").await, ["2"; 5]);
}

#[tokio::test]
async fn a_running_worker_goes_on_with_whichever_is_live() {
    let world = World::new();
    let running = world.start(FILE, options()).await;
    trade(&world, 0..20).await;
    running.caught_up(&world.store).await;
    let operator = world.operator(FILE).await;

    build(&operator, "orders").await;
    operator.cut_over("orders").await.unwrap();
    trade(&world, 20..30).await;
    running.caught_up(&world.store).await;
    assert_eq!(world.rows(FILE, "orders").await.len(), 30);
    assert_eq!(world.rows(FILE, "orders_v1").await.len(), 20, "a retired one is left as it was");

    // Going back brings it up to date first.
    let stop = CancellationToken::new();
    let back = operator.roll_back("orders", &|_| {}, &stop).await.unwrap();
    assert_eq!((back.built.generation, back.live), (1, true));
    assert_eq!(world.rows(FILE, "orders").await.len(), 30);
    trade(&world, 30..35).await;
    running.caught_up(&world.store).await;
    assert_eq!(roles(&operator, "orders").await, [(1, Role::Live), (2, Role::Retired)]);
    assert_eq!(world.rows(FILE, "orders_v1").await.len(), 35);
    running.stop().await;

    world.project("fresh.db").await;
    assert_eq!(world.everything(FILE).await, world.everything("fresh.db").await);
}

#[tokio::test]
async fn only_one_earlier_generation_is_kept() {
    let world = World::new();
    trade(&world, 0..5).await;
    world.project(FILE).await;
    let operator = world.operator(FILE).await;

    for _ in 0..2 {
        build(&operator, "stock").await;
        operator.cut_over("stock").await.unwrap();
    }

    assert_eq!(roles(&operator, "stock").await, [(2, Role::Retired), (3, Role::Live)]);
    let nothing = operator.cut_over("stock").await.unwrap_err();
    assert!(matches!(nothing, OperateError::NothingBuilt { .. }), "{nothing:?}");
    let nothing = operator.roll_back("sales", &|_| {}, &CancellationToken::new()).await;
    assert!(matches!(nothing, Err(OperateError::NothingRetired { .. })), "{nothing:?}");
}

#[tokio::test]
async fn cutovers_beside_a_busy_worker_lose_and_double_nothing() {
    let world = World::new();
    let running = world.start(FILE, ProjectionOptions { batch: 4, ..options() }).await;
    let operator = world.operator(FILE).await;
    let trading = trade(&world, 0..300);
    let operating = async {
        for _ in 0..4 {
            build(&operator, "stock").await;
            then_they_are_equal(&operator.verify("stock", &[]).await.unwrap());
            operator.cut_over("stock").await.unwrap();
            let stop = CancellationToken::new();
            operator.roll_back("stock", &|_| {}, &stop).await.unwrap();
        }
    };

    tokio::join!(trading, operating);
    running.caught_up(&world.store).await;
    running.stop().await;

    world.project("fresh.db").await;
    assert_eq!(world.everything(FILE).await, world.everything("fresh.db").await);
}

#[tokio::test]
async fn a_build_that_was_stopped_again_and_again_goes_on_where_it_was() {
    let world = World::new();
    // More than one range.
    let events: Vec<_> = (0..40_000).map(|_| received(1)).collect();
    let stream = StreamId::new("stock", "A").unwrap();
    for part in events.chunks(5_000) {
        let sealed = |event| daybook_event_schemas::seal(Uuid::new_v4(), event, &metadata());
        let part = part.iter().map(sealed).collect();
        world.store.append(&stream, ExpectedRevision::Any, part).await.unwrap();
    }
    let operator = world.operator(FILE).await.with_batch(2_000);
    let seen = Mutex::new(Vec::new());

    for _ in 0..2 {
        let stop = CancellationToken::new();
        let report = |built: Built| {
            seen.lock().unwrap().push(built.position);
            stop.cancel();
        };
        let stopped = operator.rebuild("stock", Then::default(), &report, &stop).await;
        assert!(matches!(stopped, Err(OperateError::Interrupted)), "{stopped:?}");
    }
    let built = build(&operator, "stock").await;

    let seen = seen.into_inner().unwrap();
    assert!(seen.len() == 2 && seen[0] < seen[1] && seen[1] < built.position, "{seen:?}");
    assert!(built.applied < 40_000);
    operator.cut_over("stock").await.unwrap();
    assert_eq!(world.columns(FILE, "stock", "on_hand, revision").await, ["40000 39999"]);
}

#[tokio::test]
async fn a_row_that_is_put_again_after_a_stop_is_not_taken_for_new() {
    let world = World::new();
    let (order, quantity) = (OrderId(Uuid::from_u128(1)), Quantity::try_from(1).unwrap());
    let reserved = || StockEvent::Reserved { order, quantity, expires_at: at(9), at: at(0) };
    world.given("stock", "A", &[received(20), reserved()]).await;
    let more: Vec<_> = (0..8).map(|_| received(1)).collect();
    world.given("stock", "A", &more).await;
    world.given("stock", "A", &[reserved()]).await;
    world.project(FILE).await;
    let stop = CancellationToken::new();
    let operator = world.operator(FILE).await.with_batch(1);
    let stopped = operator.rebuild("stock", Then::default(), &|_| stop.cancel(), &stop).await;
    assert!(matches!(stopped, Err(OperateError::Interrupted)), "{stopped:?}");

    build(&operator, "stock").await;

    then_they_are_equal(&operator.verify("stock", &[]).await.unwrap());
    operator.cut_over("stock").await.unwrap();
    assert_eq!(world.columns(FILE, "reservations", "status, revision").await, ["held 10"]);
}

#[tokio::test]
async fn whatever_is_killed_in_the_middle_is_done_whole_or_not_at_all() {
    let world = World::new();
    trade(&world, 0..40).await;
    let running = world.start(FILE, options()).await;
    running.caught_up(&world.store).await;
    let operator = world.operator(FILE).await.with_batch(16);
    let (mut orders, mut cutovers, mut patience) = (40.., 0, Duration::ZERO);
    while cutovers < 3 {
        let stop = CancellationToken::new();
        let then = Then { verify: Some(&[]), cut_over: true };
        let rebuild = operator.rebuild("orders", then, &|_| {}, &stop);
        // Dropped wherever it is: between statements, batches, or in the middle of the cutover.
        let done = tokio::time::timeout(patience, rebuild).await;
        patience = if let Ok(done) = done {
            cutovers += u32::from(done.unwrap().live);
            Duration::ZERO
        } else {
            patience + Duration::from_millis(2)
        };
        let order = orders.next().unwrap();
        trade(&world, order..order + 1).await;

        let roles = roles(&operator, "orders").await;
        let live = roles.iter().filter(|(_, role)| *role == Role::Live).count();
        assert!(live == 1 && roles.len() <= 3, "{roles:?}");
    }
    running.caught_up(&world.store).await;
    running.stop().await;

    world.project("fresh.db").await;
    assert_eq!(world.everything(FILE).await, world.everything("fresh.db").await);
    build(&operator, "orders").await;
    then_they_are_equal(&operator.verify("orders", &[]).await.unwrap());
}

#[tokio::test]
async fn two_builds_of_one_read_model_do_not_mix() {
    let world = World::new();
    trade(&world, 0..50).await;
    world.project(FILE).await;
    let (first, second) = (world.operator(FILE).await, world.operator(FILE).await);

    tokio::join!(build(&first, "orders"), build(&second, "orders"));

    assert_eq!(roles(&first, "orders").await, [(1, Role::Live), (2, Role::Building)]);
    then_they_are_equal(&first.verify("orders", &[]).await.unwrap());
}

#[tokio::test]
async fn the_engine_loads_the_same_rows_by_itself() {
    let world = World::new();
    trade(&world, 0..12).await;
    world.project(FILE).await;
    let operator = world.operator(FILE).await;

    let loaded = operator.load_copy("orders").await.unwrap();

    // A head, a line, a shipment and two entries of the timeline for each.
    assert_eq!(loaded.rows, 12 * 5);
    assert_eq!(roles(&operator, "orders").await, [(1, Role::Live)]);
}

#[tokio::test]
async fn a_build_can_be_given_up() {
    let world = World::new();
    trade(&world, 0..5).await;
    world.project(FILE).await;
    let operator = world.operator(FILE).await;
    build(&operator, "sales").await;

    assert_eq!(operator.discard_build("sales").await.unwrap(), 2);

    assert_eq!(roles(&operator, "sales").await, [(1, Role::Live)]);
    assert_eq!(build(&operator, "sales").await.generation, 2);
}

#[tokio::test]
async fn a_cutover_is_refused_while_the_built_one_is_far_behind() {
    let world = World::new();
    trade(&world, 0..2).await;
    world.project(FILE).await;
    let operator = world.operator(FILE).await;
    build(&operator, "stock").await;
    world.execute(FILE, "UPDATE projections SET position = 20000 WHERE generation = 1").await;

    let refused = operator.cut_over("stock").await.unwrap_err();

    assert!(matches!(refused, OperateError::Behind { behind: 19_995, .. }), "{refused:?}");
    assert_eq!(roles(&operator, "stock").await, [(1, Role::Live), (2, Role::Building)]);
}

/// What is planted in the live rows of a table, and how it is found.
async fn planted(table: &str, model: &str, sql: &'static str) -> (u64, Vec<(String, What)>) {
    let world = World::new();
    trade(&world, 0..12).await;
    world.project(FILE).await;
    let operator = world.operator(FILE).await;
    build(&operator, model).await;
    world.execute(FILE, sql).await;

    let comparison = operator.verify(model, &[]).await.unwrap();

    let found = comparison.tables.iter().find(|found| found.table == table).unwrap();
    assert_eq!(comparison.unexpected(), found.unexpected, "only there");
    assert_ne!(found.checksums[0], found.checksums[1]);
    assert_eq!(found.ranges.len(), 1);
    let differences = found.differences.iter().map(|d| (d.key.clone(), d.what.clone()));
    (found.unexpected, differences.collect())
}

fn changed(column: &str, live: &str, built: &str) -> What {
    let (live, built) = (Some(live.to_owned()), Some(built.to_owned()));
    What::Changed(vec![Change { column: column.to_owned(), live, built }])
}

#[tokio::test]
async fn a_changed_row_is_found_with_its_columns() {
    // Rows that are put whole, and sums.
    let sql = "UPDATE stock_v1 SET on_hand = 5 WHERE sku = 'SKU-2'";
    let found = planted("stock", "stock", sql).await;
    assert_eq!(found, (1, vec![("SKU-2".into(), changed("on_hand", "5", "4"))]));

    let sql = "UPDATE sales_by_day_v1 SET amount = amount + 1";
    let found = planted("sales_by_day", "sales", sql).await;
    assert_eq!(found, (1, vec![("2011-12-09/GBP".into(), changed("amount", "85", "84"))]));

    let order = "00000000-0000-0000-0000-000000000003";
    let sql = "UPDATE orders_v1 SET method = 'x', cancel_reason = 'operator' \
               WHERE id = '00000000-0000-0000-0000-000000000003'";
    let (count, found) = planted("orders", "orders", sql).await;
    let What::Changed(changes) = &found[0].1 else { panic!("{found:?}") };
    let columns: Vec<_> = changes.iter().map(|change| &*change.column).collect();
    assert_eq!((count, &*found[0].0, columns), (1, order, ["cancel_reason", "method"].to_vec()));
    assert_eq!(changes[0].built.as_deref(), Some("null"));
}

#[tokio::test]
async fn a_missing_and_an_extra_row_are_found() {
    let sql = "DELETE FROM order_timeline_v1 WHERE revision = 1 AND order_id LIKE '%5'";
    let found = planted("order_timeline", "orders", sql).await;
    let key = "00000000-0000-0000-0000-000000000005/1".to_owned();
    assert_eq!(found, (1, vec![(key, What::Extra)]));

    let sql = "INSERT INTO sales_by_product_v1 VALUES ('SKU-1b', 'GBP', 1, 1, 1, 1)";
    let found = planted("sales_by_product", "sales", sql).await;
    assert_eq!(found, (1, vec![("SKU-1b/GBP".into(), What::Missing)]));

    let sql = "DELETE FROM stock_v1";
    let (count, found) = planted("stock", "stock", sql).await;
    assert!(count == 5 && found.iter().all(|(_, what)| *what == What::Extra), "{found:?}");
}

#[tokio::test]
async fn comparisons_at_the_same_time_need_few_connections() {
    let world = World::new();
    trade(&world, 0..5).await;
    world.project(FILE).await;
    let limits = Limits { connections: 2, ..Limits::default() };
    let database = Database::open(&world.address(FILE).await, &limits).await.unwrap();
    let operator = Operator::new(world.store.clone(), database);
    for name in ["orders", "stock", "sales"] {
        build(&operator, name).await;
    }

    let (orders, stock, sales) = tokio::join!(
        operator.verify("orders", &[]),
        operator.verify("stock", &[]),
        operator.verify("sales", &[]),
    );

    for comparison in [orders, stock, sales] {
        then_they_are_equal(&comparison.unwrap());
    }
}

#[tokio::test]
async fn what_is_expected_does_not_count() {
    let world = World::new();
    trade(&world, 0..12).await;
    world.project(FILE).await;
    let operator = world.operator(FILE).await;
    build(&operator, "stock").await;
    world.execute(FILE, "UPDATE stock_v1 SET on_hand = 5 WHERE sku IN ('SKU-2', 'SKU-3')").await;
    let expected = |key: &str, column: &str| {
        [Expected { table: "stock".into(), key: key.into(), column: column.into() }]
    };
    let counts = async |expected: &[Expected]| {
        let comparison = operator.verify("stock", expected).await.unwrap();
        (comparison.tables[0].expected, comparison.tables[0].unexpected)
    };

    assert_eq!(counts(&expected("SKU-*", "on_hand")).await, (2, 0));
    assert_eq!(counts(&expected("SKU-2", "*")).await, (1, 1));
    assert_eq!(counts(&expected("*", "reserved")).await, (0, 2));

    let stop = CancellationToken::new();
    let then = |verify| Then { verify: Some(verify), cut_over: true };
    let refused = operator.rebuild("stock", then(&[]), &|_| {}, &stop).await.unwrap();
    assert!(!refused.live && refused.comparison.unwrap().unexpected() == 2);
    assert_eq!(roles(&operator, "stock").await[0], (1, Role::Live));
    let expected = expected("SKU-*", "on_hand");
    assert!(operator.rebuild("stock", then(&expected), &|_| {}, &stop).await.unwrap().live);
}

#[tokio::test]
async fn a_poison_event_is_parked_by_a_build_as_it_was_by_the_live_one() {
    let world = World::new();
    trade(&world, 0..3).await;
    let broken = NewEvent {
        id: Uuid::new_v4(),
        kind: "StockReceived".into(),
        data: "{}".into(),
        metadata: serde_json::to_vec(&metadata()).unwrap().into(),
        is_json: true,
    };
    world.append("stock", "SKU-1", broken).await;
    trade(&world, 3..9).await;
    world.project(FILE).await;
    let operator = world.operator(FILE).await;

    let built = build(&operator, "stock").await;

    assert_eq!(built.parked, 2, "it, and what comes after it in its stream");
    then_they_are_equal(&operator.verify("stock", &[]).await.unwrap());
    let discarded = operator.parked(None).await.remove(0).unwrap()[0].position;
    operator.discard("stock", discarded, "never happened", "operator:ann").await.unwrap();
    operator.discard_build("stock").await.unwrap();
    let built = build(&operator, "stock").await;
    assert_eq!(built.parked, 0, "what was given up stays away");
    then_they_are_equal(&operator.verify("stock", &[]).await.unwrap());
}

#[tokio::test]
async fn a_paused_read_model_stays_where_it_is() {
    let world = World::new();
    let running = world.start(FILE, options()).await;
    trade(&world, 0..5).await;
    running.caught_up(&world.store).await;
    let operator = world.operator(FILE).await;
    assert!(operator.pause("stock").await.unwrap());
    assert!(!operator.pause("stock").await.unwrap(), "it was paused already");

    trade(&world, 5..10).await;
    let mut stock = running.projections.progress()["stock"].clone();
    let paused = stock.wait_for(|progress| progress.state == State::Paused);
    tokio::time::timeout(Duration::from_mins(1), paused).await.unwrap().unwrap();
    let hands = world.columns(FILE, "stock", "on_hand").await;
    let sold = async || world.columns(FILE, "sales_by_day", "orders").await;
    while sold().await != ["10"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(hands, ["2"; 5]);
    let status = operator.generations().await.unwrap();
    assert!(status.iter().all(|g| g.paused == (g.name == "stock")));
    build(&operator, "stock").await;
    let behind = operator.verify("stock", &[]).await.unwrap_err();
    assert!(matches!(behind, OperateError::LiveBehind { .. }), "{behind:?}");

    assert!(operator.resume("stock").await.unwrap());
    running.caught_up(&world.store).await;
    assert_eq!(world.columns(FILE, "stock", "on_hand").await, ["4"; 5]);
    then_they_are_equal(&operator.verify("stock", &[]).await.unwrap());
    running.stop().await;
}

#[tokio::test]
async fn rows_of_another_version_are_left_to_the_release_that_filled_them() {
    let world = World::new();
    trade(&world, 0..5).await;
    world.project(FILE).await;
    let operator = world.operator(FILE).await;
    build(&operator, "stock").await;
    operator.cut_over("stock").await.unwrap();
    world.execute(FILE, "UPDATE projections SET version = 9 WHERE generation = 1").await;

    let refused = operator.roll_back("stock", &|_| {}, &CancellationToken::new()).await;

    assert!(matches!(refused, Err(OperateError::OtherVersion { theirs: 9, .. })), "{refused:?}");
    assert_eq!(roles(&operator, "stock").await, [(1, Role::Retired), (2, Role::Live)]);
}
