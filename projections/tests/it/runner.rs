//! The runner: one worker at a time, checkpoints with the rows, poison set aside.

use std::time::Duration;

use daybook_domain::stock::StockEvent;
use daybook_domain::values::Quantity;
use daybook_event_store::NewEvent;
use daybook_projections::{ProjectionOptions, State};
use uuid::Uuid;

use crate::support::{World, at, metadata, options};

const FILE: &str = "read.db";

fn received(quantity: i64) -> StockEvent {
    let quantity = Quantity::try_from(quantity).unwrap();
    StockEvent::Received { quantity, receipt: Uuid::new_v4().to_string(), at: at(0) }
}

fn raw(kind: &str, data: &str) -> NewEvent {
    NewEvent {
        id: Uuid::new_v4(),
        kind: kind.into(),
        data: data.to_owned().into(),
        metadata: serde_json::to_vec(&metadata()).unwrap().into(),
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
async fn an_event_that_cannot_be_read_is_parked_and_the_others_go_on() {
    let world = World::new();
    world.given("stock", "A", &[received(1)]).await;
    let broken = world.append("stock", "A", raw("StockReceived", "{\"quantity\":0}")).await;
    world.given("stock", "A", &[received(2)]).await;
    world.given("stock", "B", &[received(4)]).await;

    world.project(FILE).await;

    assert_eq!(world.columns(FILE, "stock", "sku, on_hand").await, ["A 3", "B 4"]);
    let columns = "projection, position, stream, revision, kind, attempts";
    let parked = world.columns(FILE, "parked_events", columns).await;
    assert_eq!(parked, [format!("stock {} stock-A 1 StockReceived 1", broken.position)]);
}

#[tokio::test]
async fn an_event_that_cannot_be_applied_is_parked_and_its_effects_are_left_out() {
    let world = World::new();
    let order = daybook_domain::values::OrderId(Uuid::from_u128(1));
    let committed =
        StockEvent::Committed { order, quantity: Quantity::try_from(1).unwrap(), at: at(0) };
    world.given("stock", "A", &[received(5), committed, received(2)]).await;

    world.project(FILE).await;

    assert_eq!(world.columns(FILE, "stock", "on_hand, reserved").await, ["7 0"]);
    let parked = world.columns(FILE, "parked_events", "kind, error").await;
    assert_eq!(parked, ["StockCommitted the reserved stock is out of range"]);
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
