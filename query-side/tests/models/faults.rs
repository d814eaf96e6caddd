//! A `PostgreSQL` server that fails: questions are answered with an error in time, and with an
//! answer once it is well. `scripts/with-postgres` starts one that may be stopped; one test at a
//! time: `cargo test -p daybook-query-side -- --ignored --test-threads=1 faults::`.

use std::process::Command;
use std::time::Duration;

use daybook_database::testing::{on_the_standby, operate, standby};
use daybook_database::{Address, Executor, Limits, Pool, query};
use daybook_query_side::{Limit, Queries, QueryError};
use uuid::Uuid;

use crate::shop::{Shop, received};

const LIMITS: Limits = Limits {
    connections: 2,
    connect: Duration::from_secs(1),
    statement: Duration::from_millis(300),
};

async fn shop() -> Shop {
    let shop = Shop::open_with(&LIMITS).await;
    shop.given("stock", "stock", "A", &[received(3)]).await;
    then_it_answers(&shop).await;
    shop
}

/// The answer comes back by itself. What a crash undid is not there until it is posted again.
async fn then_it_answers(shop: &Shop) {
    let answered = async {
        loop {
            match shop.queries.stock("A").await {
                Ok(Some(stock)) => return stock.on_hand,
                Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_mins(1), answered).await.unwrap(), 3);
}

#[track_caller]
fn then_it_is_unavailable<T: std::fmt::Debug>(answer: Result<T, QueryError>, why: &str) {
    let error = answer.unwrap_err();
    let QueryError::Unavailable(cause) = &error else { panic!("{error:?}") };
    assert!(cause.to_string().contains(why), "{cause}");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_question_that_takes_too_long_is_given_up() {
    let shop = shop().await;
    let blocker = Pool::writer(&shop.address, &Limits::default()).await.unwrap();
    let mut blocking = blocker.begin().await.unwrap();
    blocking.execute(query("LOCK TABLE stock_v1 IN ACCESS EXCLUSIVE MODE")).await.unwrap();

    then_it_is_unavailable(shop.queries.stock("A").await, "statement timeout");
    let other = shop.queries.customer(Uuid::nil()).await.unwrap();
    assert_eq!(other, None, "what is up answers");
    drop(blocking);

    then_it_answers(&shop).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_without_connections_to_spare_is_unavailable_in_time() {
    let shop = shop().await;
    let terminate =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'daybook'";
    operate(&["ALTER ROLE daybook CONNECTION LIMIT 0", terminate]).await.unwrap();

    then_it_is_unavailable(shop.queries.stock("A").await, "timed out");
    operate(&["ALTER ROLE daybook CONNECTION LIMIT -1"]).await.unwrap();

    then_it_answers(&shop).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_that_crashed_answers_again() {
    let shop = shop().await;
    let restart = std::env::var("DAYBOOK_TEST_POSTGRES_RESTART").unwrap();
    let restarted = tokio::task::spawn_blocking(move || Command::new(restart).status());

    assert!(restarted.await.unwrap().unwrap().success());

    then_it_answers(&shop).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn questions_cannot_write() {
    let shop = shop().await;
    let reader = Pool::reader(&shop.address, &Limits::default()).unwrap();

    let refused = reader.fetch_all(query("DELETE FROM stock_v1 RETURNING sku")).await;

    assert!(refused.unwrap_err().to_string().contains("read-only"));
    assert!(shop.queries.projections().await.is_ok());
    assert_eq!(shop.queries.parked_events(Limit::default()).await.unwrap(), []);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_view_that_is_turned_to_other_columns_is_read_at_once() {
    let shop = shop().await;
    for _ in 0..8 {
        then_it_answers(&shop).await;
    }
    let pool = Pool::writer(&shop.address, &Limits::default()).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let turned = "ALTER TABLE stock_v1 ADD COLUMN shelf TEXT; DROP VIEW stock; \
                  CREATE VIEW stock AS SELECT s.shelf, s.sku, s.on_hand, s.reserved, \
                  s.updated_at, s.revision FROM stock_v1 s";
    tx.script(turned.to_owned()).await.unwrap();
    tx.commit().await.unwrap();

    for _ in 0..8 {
        assert_eq!(shop.queries.stock("A").await.unwrap().unwrap().on_hand, 3);
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_question_that_the_standby_cancels_is_unavailable_and_then_answered() {
    let shop = shop().await;
    standby(&["start", "-c", "max_standby_streaming_delay=100ms"]);
    let there = on_the_standby(shop.address.reveal());
    let asking = Queries::open(&Address::from(&*there), &Limits::default()).unwrap();
    let known = async |position| {
        assert!(asking.wait_for("stock", position, Duration::from_mins(1)).await.unwrap());
        asking.stock("A").await.unwrap().unwrap().on_hand
    };
    assert_eq!(known(shop.given("stock", "stock", "A", &[received(2)]).await).await, 5);
    let server = Pool::writer(&shop.address, &Limits::default()).await.unwrap();
    let script = async |statements: &str| {
        let mut tx = server.begin().await.unwrap();
        tx.script(statements.to_owned()).await.unwrap();
        tx.commit().await.unwrap();
    };
    script("DROP VIEW stock; CREATE VIEW stock AS SELECT s.* FROM stock_v1 s, pg_sleep(3)").await;
    let position = shop.given("stock", "stock", "A", &[received(2)]).await;
    assert!(asking.wait_for("stock", position, Duration::from_mins(1)).await.unwrap());

    let question = asking.stock("A");
    let obstacle = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        script("LOCK TABLE stock_v1 IN ACCESS EXCLUSIVE MODE").await;
    };
    let (cancelled, ()) = tokio::join!(question, obstacle);

    then_it_is_unavailable(cancelled, "conflict with recovery");
    script("DROP VIEW stock; CREATE VIEW stock AS SELECT * FROM stock_v1").await;
    assert_eq!(known(shop.given("stock", "stock", "A", &[received(2)]).await).await, 9);
    standby(&["stop"]);
}
