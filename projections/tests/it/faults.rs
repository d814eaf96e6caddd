//! `PostgreSQL` servers that fail under load. Run with a server that may be stopped, which
//! `scripts/with-postgres` starts, and one test at a time:
//! `cargo test -p daybook-projections -- --ignored --test-threads=1 faults::`.

use std::process::Command;
use std::time::Duration;

use daybook_database::testing::operate;
use daybook_database::{Pool, query};
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{OrderId, Quantity};
use daybook_projections::{
    Database, Limits, OperateError, Operator, ProjectionOptions, State, Then,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Running, World, at, options, sale};

const SERVER: &str = "read.db";
/// What the same events come to without a fault, in a file.
const FILE: &str = "read.sqlite";

const LIMITS: Limits = Limits {
    connections: 8,
    connect: Duration::from_secs(2),
    statement: Duration::from_millis(500),
};

fn restart() {
    let restart =
        std::env::var("DAYBOOK_TEST_POSTGRES_RESTART").expect("see scripts/with-postgres");
    assert!(Command::new(restart).status().unwrap().success());
}

/// Begins to project onto the server, a few events at a time.
async fn start(world: &World) -> Running {
    let (batch, lease) = (16, Duration::from_secs(2));
    world.start_with(SERVER, ProjectionOptions { batch, lease, ..options() }, LIMITS).await
}

/// Trades: stock comes in, is held, and is sold, so that a lost or doubled event shows in a sum.
async fn trade(world: &World, orders: std::ops::Range<u128>) {
    let one = Quantity::try_from(1).unwrap();
    for n in orders {
        let (order, sku) = (OrderId(Uuid::from_u128(n)), format!("SKU-{}", n % 3));
        let received = StockEvent::Received { quantity: one, receipt: n.to_string(), at: at(0) };
        let reserved = StockEvent::Reserved { order, quantity: one, expires_at: at(9), at: at(0) };
        let committed = StockEvent::Committed { order, quantity: one, at: at(2) };
        world.given("stock", &sku, &[received, reserved]).await;
        world.given("order", order, &sale(n, n % 5, &sku, 7)).await;
        world.given("stock", &sku, &[committed]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until a projection has felt the fault.
async fn interrupted(running: &Running) {
    let mut stock = running.projections.progress()["stock"].clone();
    let felt = stock.wait_for(|progress| progress.state == State::Interrupted);
    tokio::time::timeout(Duration::from_mins(1), felt).await.unwrap().unwrap();
}

/// Everything catches up by itself, and the rows are those of a file that knew no fault.
async fn then_all_is_there(world: &World, running: Running) {
    running.caught_up(&world.store).await;
    running.stop().await;
    world.project(FILE).await;
    assert_eq!(world.everything(SERVER).await, world.everything(FILE).await);
    assert_eq!(world.rows(SERVER, "parked_events").await, [""; 0]);
}

/// Ends the connections of the projections.
const TERMINATE: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'daybook'";

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_that_crashes_again_and_again_loses_and_doubles_nothing() {
    let world = World::new();
    let running = start(&world).await;
    for n in 0..3 {
        trade(&world, n * 100..n * 100 + 50).await;
        let ((), restarted) = tokio::join!(
            trade(&world, n * 100 + 50..n * 100 + 100),
            tokio::task::spawn_blocking(restart),
        );
        restarted.unwrap();
    }

    then_all_is_there(&world, running).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_build_over_crashes_of_the_server_equals_the_live_one() {
    let world = World::new();
    trade(&world, 0..150).await;
    world.project(SERVER).await;
    let database = Database::open(&world.address(SERVER).await, &LIMITS).await.unwrap();
    let operator = Operator::new(world.store.clone(), database).with_batch(8);
    let (stop, then) = (CancellationToken::new(), Then { verify: Some(&[]), cut_over: false });

    for _ in 0..3 {
        let (built, restarted) = tokio::join!(
            operator.rebuild("stock", then, &|_| {}, &stop),
            tokio::task::spawn_blocking(restart),
        );
        restarted.unwrap();
        let fell = matches!(built, Err(OperateError::Sql(_) | OperateError::TakenOver { .. }));
        assert!(fell || built.is_ok(), "{built:?}");
    }
    let built = operator.rebuild("stock", then, &|_| {}, &stop).await.unwrap();

    assert_eq!(built.comparison.unwrap().unexpected(), 0);
    assert!(operator.cut_over("stock").await.unwrap().live);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_that_is_too_slow_is_waited_out() {
    let world = World::new();
    let running = start(&world).await;
    trade(&world, 0..20).await;
    running.caught_up(&world.store).await;
    let blocker = Pool::writer(&world.address(SERVER).await, &Limits::default()).await.unwrap();
    let mut blocking = blocker.begin().await.unwrap();
    let lock = query("LOCK TABLE stock_v1 IN ACCESS EXCLUSIVE MODE");
    blocking.execute(lock).await.unwrap();

    trade(&world, 20..40).await;
    interrupted(&running).await;
    drop(blocking);
    blocker.close().await;

    then_all_is_there(&world, running).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_without_connections_to_spare_is_waited_out() {
    let world = World::new();
    let running = start(&world).await;
    trade(&world, 0..20).await;
    running.caught_up(&world.store).await;
    operate(&["ALTER ROLE daybook CONNECTION LIMIT 0", TERMINATE]).await.unwrap();

    trade(&world, 20..40).await;
    interrupted(&running).await;
    operate(&["ALTER ROLE daybook CONNECTION LIMIT -1"]).await.unwrap();

    then_all_is_there(&world, running).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_that_only_reads_is_waited_out() {
    let world = World::new();
    let running = start(&world).await;
    trade(&world, 0..20).await;
    running.caught_up(&world.store).await;
    let reload = "SELECT pg_reload_conf()";
    operate(&["ALTER SYSTEM SET default_transaction_read_only = on", reload]).await.unwrap();

    trade(&world, 20..40).await;
    interrupted(&running).await;
    operate(&["ALTER SYSTEM RESET default_transaction_read_only", reload]).await.unwrap();

    then_all_is_there(&world, running).await;
}
