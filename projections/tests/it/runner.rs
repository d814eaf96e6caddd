//! The runner: one worker at a time, checkpoints with the rows, poison set aside.

use std::time::Duration;

use daybook_domain::stock::StockEvent;
use daybook_domain::values::{OrderId, Quantity};
use daybook_event_store::NewEvent;
use daybook_projections::{ProjectionOptions, Projections, StartError, State};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{World, at, metadata, options, received, sale};

const FILE: &str = "read.db";

fn raw(kind: &str, data: &str) -> NewEvent {
    NewEvent {
        id: Uuid::new_v4(),
        kind: kind.into(),
        data: data.to_owned().into(),
        metadata: serde_json::to_vec(&metadata()).unwrap().into(),
        is_json: true,
    }
}

#[tokio::test]
async fn a_projection_goes_on_where_it_stopped() {
    let world = World::new();
    world.given("stock", "A", &[received(1)]).await;
    world.project(FILE).await;

    world.given("stock", "A", &[received(2)]).await;
    world.project(FILE).await;

    assert_eq!(world.columns(FILE, "stock", "on_hand, revision").await, ["3 1"]);
    world.project("fresh.db").await;
    assert_eq!(world.everything(FILE).await, world.everything("fresh.db").await);
}

#[tokio::test]
async fn live_events_are_projected_as_they_come() {
    let world = World::new();
    let running = world.start(FILE, options()).await;
    for n in 1..=5 {
        world.given("stock", "A", &[received(1)]).await;
        running.caught_up(&world.store).await;
        let on_hand = world.columns(FILE, "stock", "on_hand, revision").await;
        assert_eq!(on_hand, [format!("{n} {}", n - 1)]);
    }
    let states = running.projections.progress().values().map(|progress| progress.borrow().state);
    assert!(states.into_iter().all(|state| state == State::Live));
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_holds_back_its_own_stream_alone() {
    let world = World::new();
    world.given("stock", "A", &[received(1)]).await;
    world.append("stock", "A", raw("StockReceived", "{\"quantity\":0}")).await;
    world.given("stock", "A", &[received(2)]).await;
    world.given("stock", "B", &[received(4)]).await;
    world.project(FILE).await;
    world.given("stock", "A", &[received(8)]).await;
    world.given("stock", "B", &[received(16)]).await;

    world.project(FILE).await;

    assert_eq!(world.columns(FILE, "stock", "sku, on_hand").await, ["A 1", "B 20"]);
    let columns = "projection, position, stream, revision, kind, attempts";
    assert_eq!(
        world.columns(FILE, "parked_events", columns).await,
        [
            "stock 1 stock-A 1 StockReceived 1",
            "stock 2 stock-A 2 StockReceived 0",
            "stock 4 stock-A 3 StockReceived 0",
        ]
    );
}

#[tokio::test]
async fn an_event_that_cannot_be_applied_is_parked_and_its_effects_are_left_out() {
    let world = World::new();
    let order = OrderId(Uuid::from_u128(1));
    let committed =
        StockEvent::Committed { order, quantity: Quantity::try_from(1).unwrap(), at: at(0) };
    world.given("stock", "A", &[received(5), committed, received(2)]).await;

    world.project(FILE).await;

    assert_eq!(world.columns(FILE, "stock", "on_hand, reserved").await, ["5 0"]);
    let parked = world.columns(FILE, "parked_events", "kind, error").await;
    assert_eq!(
        parked,
        [
            "StockCommitted the reserved stock is out of range",
            "StockReceived held back: an earlier event of its stream is parked",
        ]
    );
}

#[tokio::test]
async fn events_of_unknown_types_are_passed_over() {
    let world = World::new();
    world.append("stock", "A", raw("StockPainted", "{}")).await;
    world.given("stock", "A", &[received(1)]).await;

    world.project(FILE).await;

    assert_eq!(world.columns(FILE, "stock", "on_hand, revision").await, ["1 1"]);
    assert_eq!(world.rows(FILE, "parked_events").await, [""; 0]);
}

#[tokio::test]
async fn a_projection_that_nothing_concerned_still_moves_its_checkpoint() {
    let world = World::new();
    world.given("stock", "A", &[received(1)]).await;

    world.project(FILE).await;

    let positions = world.columns(FILE, "projections", "name, position").await;
    assert!(positions.iter().all(|row| row.ends_with(" 0")), "{positions:?}");
}

#[tokio::test]
async fn of_two_workers_one_projects_and_the_other_takes_over() {
    let world = World::new();
    let quick = || ProjectionOptions { lease: Duration::from_millis(200), ..options() };
    let first = world.start(FILE, quick()).await;
    world.given("stock", "A", &[received(1)]).await;
    first.caught_up(&world.store).await;
    let second = world.start(FILE, quick()).await;
    world.given("stock", "A", &[received(1)]).await;
    first.caught_up(&world.store).await;
    let waiting = second.projections.progress().values().all(|p| p.borrow().position.is_none());
    assert!(waiting, "the second worker waits");

    drop(first); // as if the process had died: nothing is released
    world.given("stock", "A", &[received(1)]).await;
    second.caught_up(&world.store).await;

    assert_eq!(world.columns(FILE, "stock", "on_hand, revision").await, ["3 2"]);
    second.stop().await;
}

#[tokio::test]
async fn a_projection_that_is_killed_again_and_again_ends_up_like_a_fresh_one() {
    let world = World::new();
    for n in 0..400 {
        world.given("stock", format!("SKU-{}", n % 7), &[received(1)]).await;
    }
    let small = || ProjectionOptions { batch: 16, lease: Duration::from_millis(50), ..options() };
    for position in (0..400).step_by(57) {
        let running = world.start(FILE, small()).await;
        let mut stock = running.projections.progress()["stock"].clone();
        let passed = stock.wait_for(|p| p.position.is_some_and(|reached| reached.0 >= position));
        tokio::time::timeout(Duration::from_mins(1), passed).await.unwrap().unwrap();
        drop(running);
    }

    world.project(FILE).await;
    world.project("fresh.db").await;

    assert_eq!(world.everything(FILE).await, world.everything("fresh.db").await);
}

#[tokio::test]
async fn rows_that_the_database_refuses_are_traced_to_their_event() {
    let world = World::new();
    let sale = |n, amount| sale(n, 7, "A", amount);
    let most = 8_000_000_000_000_000_000;
    for (n, amount) in [(1, most), (2, 100)] {
        world.given("order", Uuid::from_u128(n), &sale(n, amount)).await;
    }
    world.project(FILE).await;

    // The sum of the day does not fit; the sales before and after it do.
    for (n, amount) in [(3, 200), (4, most), (5, 400)] {
        world.given("order", Uuid::from_u128(n), &sale(n, amount)).await;
    }
    world.project(FILE).await;

    let day = world.columns(FILE, "sales_by_day", "day, orders, amount").await;
    assert_eq!(day, [format!("2011-12-09 4 {}", most + 700)]);
    let parked = world.columns(FILE, "parked_events", "projection, stream, kind").await;
    assert_eq!(parked, [format!("sales order-{} OrderPaid", Uuid::from_u128(4))]);
}

#[tokio::test]
async fn a_new_version_is_read_once_it_has_caught_up() {
    let world = World::new();
    world.given("stock", "A", &[received(1)]).await;
    world.database(FILE).await.close().await;
    world
        .execute(
            FILE,
            "INSERT INTO projections (name, generation, declaration, live) \
             VALUES ('stock', 0, '', TRUE)",
        )
        .await;

    world.project(FILE).await;

    let columns = "generation, version, live, retired_at IS NOT NULL";
    let live = world.columns(FILE, "projections WHERE name = 'stock'", columns).await;
    assert_eq!(live, ["0 0 0 1", "1 1 1 0"]);
    assert_eq!(world.columns(FILE, "stock", "on_hand").await, ["1"]);
}

#[tokio::test]
async fn a_database_that_fails_is_waited_out() {
    let world = World::new();
    world.given("stock", "A", &[received(1)]).await;
    world.project(FILE).await;
    world.execute(FILE, "ALTER TABLE stock_v1 RENAME TO elsewhere").await;

    let backoff = Duration::from_millis(5);
    let running = world.start(FILE, ProjectionOptions { backoff, ..options() }).await;
    world.given("stock", "A", &[received(2)]).await;
    let mut stock = running.projections.progress()["stock"].clone();
    stock.wait_for(|progress| progress.state == State::Interrupted).await.unwrap();
    world.execute(FILE, "ALTER TABLE elsewhere RENAME TO stock_v1").await;

    running.caught_up(&world.store).await;
    assert_eq!(world.columns(FILE, "stock", "on_hand").await, ["3"]);
    assert_eq!(world.rows(FILE, "parked_events").await, [""; 0]);
    running.stop().await;
}

#[tokio::test]
async fn a_stopped_projection_says_so() {
    let world = World::new();
    let running = world.start(FILE, options()).await;
    let progress = running.projections.progress()["stock"].clone();

    running.stop().await;

    assert_eq!(progress.borrow().state, State::Stopped);
}

#[tokio::test]
async fn what_is_projected_is_counted() {
    let world = World::new();
    world.given("stock", "A", &[received(1), received(2)]).await;
    world.append("stock", "A", raw("StockReceived", "{}")).await;
    let options = options();
    let metrics = options.metrics.clone();

    let running = world.start(FILE, options).await;
    running.caught_up(&world.store).await;
    running.stop().await;

    let text = prometheus::TextEncoder::new().encode_to_string(&metrics.gather()).unwrap();
    for line in [
        "daybook_projection_events_total{projection=\"stock\"} 2",
        "daybook_projection_parked_total{projection=\"stock\"} 1",
        "daybook_projection_lag_seconds{projection=\"stock\"} 0",
        "daybook_projection_batch_seconds_count{projection=\"stock\"} 1",
    ] {
        assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn tables_that_changed_without_a_new_version_are_refused() {
    let world = World::new();
    world.project(FILE).await;
    world.execute(FILE, "UPDATE projections SET declaration = 'x' WHERE name = 'stock'").await;

    let (database, shutdown) = (world.database(FILE).await, CancellationToken::new());
    let refused = Projections::start(world.store.clone(), database, options(), shutdown).await;

    let error = refused.unwrap_err();
    assert!(matches!(error, StartError::Changed { name: "stock", version: 1 }), "{error:?}");
}
