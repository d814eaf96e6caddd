//! Parked events, tried again or given up.

use std::time::Duration;

use daybook_domain::stock::StockEvent;
use daybook_domain::values::{OrderId, Quantity};
use daybook_event_store::{NewEvent, Position};
use daybook_projections::{OperateError, Replayed};
use uuid::Uuid;

use crate::support::{World, at, metadata, options};

const FILE: &str = "read.db";

fn quantity(quantity: i64) -> Quantity {
    Quantity::try_from(quantity).unwrap()
}

fn received(pieces: i64) -> StockEvent {
    StockEvent::Received { quantity: quantity(pieces), receipt: "r".into(), at: at(0) }
}

fn committed(pieces: i64) -> StockEvent {
    let order = OrderId(Uuid::from_u128(1));
    StockEvent::Committed { order, quantity: quantity(pieces), at: at(0) }
}

fn reserved(pieces: i64) -> StockEvent {
    let order = OrderId(Uuid::from_u128(1));
    StockEvent::Reserved { order, quantity: quantity(pieces), expires_at: at(9), at: at(0) }
}

/// 5 pieces, of which 1 goes that nobody had reserved; then more come, and some are reserved.
async fn a_stuck_stream() -> World {
    let world = World::new();
    let events = [received(5), committed(1), received(2), reserved(3)];
    world.given("stock", "A", &events).await;
    world.given("stock", "B", &[received(9)]).await;
    world.project(FILE).await;
    world
}

fn outcomes(replayed: &[Replayed]) -> Vec<(u64, Option<&str>)> {
    replayed.iter().map(|r| (r.parked.position.0, r.error.as_deref())).collect()
}

#[tokio::test]
async fn a_parked_event_is_shown_with_what_it_says() {
    let world = a_stuck_stream().await;
    let operator = world.operator(FILE).await;

    let details = operator.details("stock", Position(1)).await.unwrap();

    assert_eq!(details.parked.error, "the reserved stock is out of range");
    assert_eq!((details.parked.attempts, &*details.parked.stream), (1, "stock-A"));
    let wire = details.decoded.unwrap().unwrap();
    assert_eq!(&*details.recorded.unwrap().data, &*wire.data);
    let nothing = operator.details("stock", Position(0)).await.unwrap_err();
    assert!(matches!(nothing, OperateError::NotParked { .. }), "{nothing:?}");
    let unknown = operator.details("shelves", Position(1)).await.unwrap_err();
    assert!(unknown.to_string().contains("there are orders, stock"), "{unknown}");
}

#[tokio::test]
async fn what_fails_again_stays_with_all_that_is_behind_it() {
    let world = a_stuck_stream().await;
    let operator = world.operator(FILE).await;
    let before = world.everything(FILE).await;

    let replayed = operator.replay("stock", "stock-A", None, false).await.unwrap();

    let held = Some("an earlier event of its stream failed");
    let failed = Some("the reserved stock is out of range");
    assert_eq!(outcomes(&replayed), [(1, failed), (2, held), (3, held)]);
    assert_eq!(world.everything(FILE).await, before);
    let attempts = world.columns(FILE, "parked_events", "position, attempts").await;
    assert_eq!(attempts, ["1 2", "2 0", "3 0"]);
}

/// Has somebody mend the rows by hand, so that what is parked fits.
async fn mended(world: &World) {
    world.execute(FILE, "UPDATE stock_v1 SET reserved = 1 WHERE sku = 'A'").await;
    let row = "INSERT INTO reservations_v1 (order_id, sku, quantity, expires_at, status, revision) \
               VALUES ('00000000-0000-0000-0000-000000000001', 'A', 1, 0, 'held', 0)";
    world.execute(FILE, row).await;
}

#[tokio::test]
async fn what_can_be_applied_by_now_is_applied_in_order() {
    let world = a_stuck_stream().await;
    let operator = world.operator(FILE).await;
    mended(&world).await;

    let dry = operator.replay("stock", "stock-A", None, true).await.unwrap();
    assert_eq!(outcomes(&dry), [(1, None), (2, None), (3, None)]);
    assert_eq!(world.columns(FILE, "stock", "sku, on_hand, reserved").await, ["A 5 1", "B 9 0"]);
    assert_eq!(world.rows(FILE, "parked_events").await.len(), 3);

    let replayed = operator.replay("stock", "stock-A", Some(Position(2)), false).await.unwrap();
    assert_eq!(outcomes(&replayed), [(1, None), (2, None)]);
    assert_eq!(world.columns(FILE, "stock", "sku, on_hand, reserved").await, ["A 6 0", "B 9 0"]);

    let replayed = operator.replay("stock", "stock-A", None, false).await.unwrap();
    assert_eq!(outcomes(&replayed), [(3, None)]);
    assert_eq!(
        world.columns(FILE, "stock", "sku, on_hand, reserved, revision").await,
        ["A 6 3 3", "B 9 0 0"]
    );
    assert_eq!(world.rows(FILE, "parked_events").await, [""; 0]);
}

#[tokio::test]
async fn a_discarded_event_lets_the_others_go_on_and_stays_away() {
    let world = a_stuck_stream().await;
    let operator = world.operator(FILE).await;

    let replayed =
        operator.discard("stock", Position(1), "counted twice", "operator:ann").await.unwrap();

    assert_eq!(outcomes(&replayed), [(2, None), (3, None)]);
    assert_eq!(world.columns(FILE, "stock", "sku, on_hand, reserved").await, ["A 7 3", "B 9 0"]);
    let discarded = operator.discarded(None).await.remove(0).unwrap().remove(0);
    assert_eq!((&*discarded.projection, discarded.position), ("stock", Position(1)));
    assert_eq!((&*discarded.reason, &*discarded.by), ("counted twice", "operator:ann"));
    let again =
        operator.discard("stock", Position(1), "counted twice", "operator:ann").await.unwrap_err();
    assert!(matches!(again, OperateError::NotParked { .. }), "{again:?}");
}

#[tokio::test]
async fn a_running_worker_goes_on_with_what_was_replayed() {
    let world = World::new();
    let running = world.start(FILE, options()).await;
    world.given("stock", "A", &[received(5), committed(1), received(2)]).await;
    running.caught_up(&world.store).await;
    mended(&world).await;

    let replayed =
        world.operator(FILE).await.replay("stock", "stock-A", None, false).await.unwrap();
    world.given("stock", "A", &[received(10)]).await;
    running.caught_up(&world.store).await;

    assert_eq!(outcomes(&replayed), [(1, None), (2, None)]);
    let rows = world.columns(FILE, "stock", "on_hand, reserved, revision").await;
    assert_eq!(rows, ["16 0 3"]);
    assert_eq!(world.rows(FILE, "parked_events").await, [""; 0]);
    running.stop().await;
}

#[tokio::test]
async fn replays_beside_a_busy_worker_lose_and_double_nothing() {
    let world = World::new();
    let running = world.start(FILE, options()).await;
    world.given("stock", "A", &[received(1), committed(1)]).await;
    running.caught_up(&world.store).await;
    let operator = world.operator(FILE).await;

    for n in 0..10 {
        world.given("stock", "A", &[received(1)]).await;
        world.given("stock", "B", &[received(1)]).await;
        operator.replay("stock", "stock-A", None, n % 2 == 0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(n)).await;
    }
    running.caught_up(&world.store).await;
    assert_eq!(world.columns(FILE, "stock", "sku, on_hand").await, ["A 1", "B 10"]);
    operator.discard("stock", Position(1), "never happened", "operator:ann").await.unwrap();
    world.given("stock", "A", &[received(1)]).await;
    running.caught_up(&world.store).await;

    assert_eq!(world.columns(FILE, "stock", "sku, on_hand").await, ["A 12", "B 10"]);
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_shown_as_it_was_written() {
    let world = World::new();
    let broken = NewEvent {
        id: Uuid::new_v4(),
        kind: "StockReceived".into(),
        data: r#"{"quantity":0}"#.into(),
        metadata: serde_json::to_vec(&metadata()).unwrap().into(),
        is_json: true,
    };
    world.append("stock", "A", broken).await;
    world.project(FILE).await;

    let details = world.operator(FILE).await.details("stock", Position(0)).await.unwrap();

    assert!(details.decoded.unwrap_err().contains("malformed"));
    assert_eq!(&*details.recorded.unwrap().data, br#"{"quantity":0}"#);
}
