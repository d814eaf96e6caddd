//! A `PostgreSQL` server that fails under the consumers. Run with one that may be stopped, which
//! `scripts/with-postgres` starts, and one test at a time:
//! `cargo test -p daybook-integration --test it -- --ignored --test-threads=1 faults::`.

use std::process::Command;
use std::time::Duration;

use daybook_database::testing::operate;
use daybook_database::{Executor, query};
use daybook_integration::feed::InProcessFeed;
use daybook_integration::notifications::{Notifications, Sender, SenderOptions};
use daybook_integration::{Analytics, Consumer, ConsumerOptions, dead_letters, run};
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use tokio_util::sync::CancellationToken;

use crate::consumers::options;
use crate::notifications::{now, order, registered};
use crate::support::{Running, Shop, lease, until};

/// Ends the connections of the consumers.
const TERMINATE: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'daybook'";

fn restart() {
    let restart =
        std::env::var("DAYBOOK_TEST_POSTGRES_RESTART").expect("see scripts/with-postgres");
    assert!(Command::new(restart).status().unwrap().success());
}

/// Both consumers and the sender, on what happens in a shop.
struct Consumers {
    shop: Shop,
    metrics: [Registry; 2],
    running: Vec<Running>,
}

impl Consumers {
    async fn start() -> Self {
        let shop = Shop::new().await;
        registered(&shop, Some("ada@example.org")).await;
        let mut this =
            Self { shop, metrics: [Registry::new(), Registry::new()], running: Vec::new() };
        this.run(Analytics, 0);
        this.run(Notifications::default(), 1);
        let usual = SenderOptions::default();
        let interval = Duration::from_millis(10);
        let sending = SenderOptions { interval, metrics: Registry::new(), ..usual };
        let (sender, shutdown) =
            (Sender::new(this.shop.pool.clone(), sending), CancellationToken::new());
        let task = tokio::spawn(sender.unwrap().run(shutdown.clone()));
        this.running.push(Running { task, shutdown });
        this
    }

    fn run<C: Consumer>(&mut self, consumer: C, metrics: usize) {
        let (store, pool) = (self.shop.store.clone(), self.shop.pool.clone());
        let feed = InProcessFeed::new(store, pool.clone(), C::NAME, C::KINDS, lease(C::NAME));
        let metrics = self.metrics[metrics].clone();
        let options = ConsumerOptions { patience: Duration::from_secs(1), metrics, ..options() };
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            run(consumer, feed, pool, options, stop).await.unwrap();
        });
        self.running.push(Running { task, shutdown });
    }

    /// How often each consumer was interrupted.
    fn interruptions(&self) -> [f64; 2] {
        self.metrics.each_ref().map(|metrics| {
            let families = metrics.gather();
            let named = "daybook_consumer_interruptions_total";
            let family = families.iter().find(|family| family.name() == named);
            let counted = family.map(MetricFamily::get_metric).unwrap_or_default();
            counted.iter().map(|metric| metric.get_counter().get_value()).sum()
        })
    }

    /// Orders are placed and paid until both consumers have felt the fault. How many there are then.
    async fn trade_until_felt(&self, mut orders: u128) -> u128 {
        let before = self.interruptions();
        let felt = || self.interruptions().iter().zip(before).all(|(now, before)| *now > before);
        let trading = async {
            while !felt() {
                orders = self.trade(orders, 1).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            orders
        };
        tokio::time::timeout(Duration::from_mins(1), trading).await.unwrap()
    }

    /// So many more orders are placed and paid. How many there are then.
    async fn trade(&self, orders: u128, more: u128) -> u128 {
        for n in orders..orders + more {
            order(&self.shop, n, now()).await;
        }
        orders + more
    }

    async fn numbers(&self, sql: &'static str) -> Vec<i64> {
        let Ok(rows) = self.shop.pool.fetch_all(query(sql)).await else { return Vec::new() };
        let row = rows.first().unwrap();
        (0..row.names().len()).map(|at| row.i64(at).unwrap()).collect()
    }

    /// Every order was counted once and told of once, and nothing was given up.
    async fn then_all_is_there(self, orders: u128) {
        let orders = i64::try_from(orders).unwrap();
        let told = "SELECT count(*) FROM notifications WHERE status = 'sent'";
        let counted = "SELECT CAST(COALESCE(sum(placed), 0) AS BIGINT), \
                       CAST(COALESCE(sum(paid), 0) AS BIGINT), \
                       CAST(COALESCE(sum(revenue), 0) AS BIGINT) FROM analytics_minutes";
        let all = [orders, orders, orders * 500];
        until("all figures", || async { self.numbers(counted).await == all }).await;
        until("all letters", || async { self.numbers(told).await == [orders] }).await;
        // What was for media that nobody wants is forgotten.
        let history = "SELECT count(*), count(DISTINCT order_id) FROM notifications";
        let once = [orders, orders];
        until("nothing else", || async { self.numbers(history).await == once }).await;
        for running in self.running {
            running.stop().await;
        }
        assert_eq!(dead_letters::list(&self.shop.pool).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_that_crashes_again_and_again_loses_and_doubles_nothing() {
    let consumers = Consumers::start().await;
    let mut orders = consumers.trade(0, 20).await;
    for _ in 0..3 {
        // A consumer that had no transaction under way may never know.
        let restarted = tokio::task::spawn_blocking(restart);
        while !restarted.is_finished() {
            orders = consumers.trade(orders, 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        restarted.await.unwrap();
        orders = consumers.trade(orders, 20).await;
    }

    consumers.then_all_is_there(orders).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_without_connections_to_spare_is_waited_out() {
    let consumers = Consumers::start().await;
    let orders = consumers.trade(0, 5).await;
    operate(&["ALTER ROLE daybook CONNECTION LIMIT 0", TERMINATE]).await.unwrap();

    let orders = consumers.trade_until_felt(orders).await;
    operate(&["ALTER ROLE daybook CONNECTION LIMIT -1"]).await.unwrap();

    consumers.then_all_is_there(orders).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
async fn a_server_that_only_reads_is_waited_out() {
    let consumers = Consumers::start().await;
    let orders = consumers.trade(0, 5).await;
    let reload = "SELECT pg_reload_conf()";
    operate(&["ALTER SYSTEM SET default_transaction_read_only = on", reload]).await.unwrap();

    let orders = consumers.trade_until_felt(orders).await;
    operate(&["ALTER SYSTEM RESET default_transaction_read_only", reload]).await.unwrap();

    consumers.then_all_is_there(orders).await;
}
