//! Whatever happens to a business, and however its events are split into batches and runs, the
//! rows are those of one go.

use daybook_domain::order::{CancelReason, OrderEvent, OrderLine};
use daybook_domain::stock::{ReleaseReason, StockEvent};
use daybook_domain::values::{CustomerId, OrderId, PaymentId, Quantity};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use daybook_projections::{OperateError, Operator, ProjectionOptions, Then};
use proptest::prelude::*;
use proptest::test_runner::Config;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{World, at, gbp, options};

/// Something that happens to one of a few orders and SKUs, sensible or not.
#[derive(Debug, Clone, Copy)]
struct Happening {
    what: u8,
    order: u128,
    sku: u8,
    quantity: i64,
}

fn happening() -> impl Strategy<Value = Happening> {
    (0..12_u8, 0..4_u128, 0..3_u8, 1..6_i64).prop_map(|(what, order, sku, quantity)| Happening {
        what,
        order,
        sku,
        quantity,
    })
}

fn line(sku: u8, quantity: Quantity) -> OrderLine {
    OrderLine {
        sku: format!("SKU-{sku}").parse().unwrap(),
        seller: format!("seller-{}", sku % 2).parse().unwrap(),
        name: "Mug".parse().unwrap(),
        quantity,
        unit_price: gbp(37),
    }
}

impl Happening {
    async fn happen(self, world: &World) {
        match self.stock() {
            Some(event) => world.given("stock", format!("SKU-{}", self.sku), &[event]).await,
            None => world.given("order", Uuid::from_u128(self.order), &[self.order()]).await,
        }
    }

    fn stock(self) -> Option<StockEvent> {
        let order = OrderId(Uuid::from_u128(self.order));
        let quantity = Quantity::try_from(self.quantity).unwrap();
        let at = at(0);
        Some(match self.what {
            0 => StockEvent::Received { quantity, receipt: "r".into(), at },
            1 => StockEvent::Reserved { order, quantity, expires_at: at, at },
            2 => StockEvent::Extended { order, expires_at: at, at },
            3 => StockEvent::Committed { order, quantity, at },
            4 => StockEvent::Released { order, quantity, reason: ReleaseReason::Expired, at },
            _ => return None,
        })
    }

    fn order(self) -> OrderEvent {
        let order = OrderId(Uuid::from_u128(self.order));
        let quantity = Quantity::try_from(self.quantity).unwrap();
        let lines: Vec<_> = (0..=self.sku).map(|sku| line(sku, quantity)).collect();
        let total = gbp(37 * self.quantity * i64::from(self.sku + 1));
        let seller = format!("seller-{}", self.sku % 2).parse().unwrap();
        let payment = PaymentId(Uuid::from_u128(self.order));
        let at = at(i64::from(self.sku) * 86_400);
        match self.what {
            5 | 6 => OrderEvent::Placed {
                order,
                customer: CustomerId(Uuid::nil()),
                lines,
                total,
                method: "card-ok".parse().unwrap(),
                at,
            },
            7 => OrderEvent::Paid { payment, amount: total, at },
            8 => {
                let (items, tracking) = (Vec::new(), "T".into());
                OrderEvent::Shipped { seller, items, tracking, at }
            }
            9 => OrderEvent::Fulfilled { seller, at },
            10 => OrderEvent::Cancelled { reason: CancelReason::CustomerRequest, at },
            _ => {
                let refunded = gbp(10 * self.quantity);
                OrderEvent::Refunded { refund: "r".into(), amount: gbp(10), refunded, at }
            }
        }
    }
}

/// The rows, and what was parked, after projecting in runs of batches of a size.
async fn in_parts(happenings: &[Happening], runs: usize, batch: usize) -> String {
    let world = World::new();
    for run in happenings.chunks(happenings.len().div_ceil(runs).max(1)) {
        for happening in run {
            happening.happen(&world).await;
        }
        let running = world.start("a.db", ProjectionOptions { batch, ..options() }).await;
        running.caught_up(&world.store).await;
        running.stop().await;
    }
    let parked = world.columns("a.db", "parked_events", "projection, position, error").await;
    let rows = world.everything("a.db").await;
    // When the store took an event differs from run to run.
    let timeless = |line: &str| {
        let words = line.split(' ').filter(|word| !word.contains("ed_at="));
        words.collect::<Vec<_>>().join(" ")
    };
    rows.lines().map(timeless).chain(parked).collect::<Vec<_>>().join("\n")
}

/// Builds every read model anew by batches of a size, killed after each `kill`th, and compares.
async fn rebuilt(happenings: &[Happening], batch: usize, kill: usize) -> u64 {
    let world = World::new();
    for happening in happenings {
        happening.happen(&world).await;
    }
    world.project("a.db").await;
    let mut unexpected = 0;
    for name in Operator::names() {
        loop {
            // A process of its own each time, of which nothing is left but the database.
            let database = world.database("a.db").await;
            let operator = Operator::new(world.store.clone(), database).with_batch(batch);
            let (stop, batches) = (CancellationToken::new(), AtomicUsize::new(0));
            let report = |_| {
                if batches.fetch_add(1, Relaxed) + 1 == kill {
                    stop.cancel();
                }
            };
            let built = operator.rebuild(name, Then::default(), &report, &stop).await;
            assert!(matches!(built, Ok(_) | Err(OperateError::Interrupted)), "{built:?}");
            if built.is_ok() {
                unexpected += operator.verify(name, &[]).await.unwrap().unexpected();
                break;
            }
        }
    }
    unexpected
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn rows_do_not_depend_on_batches(
        happenings in prop::collection::vec(happening(), 1..60),
        runs in 1..4_usize,
        batch in 1..9_usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (whole, parts) = runtime.block_on(async {
            (in_parts(&happenings, 1, 1_000).await, in_parts(&happenings, runs, batch).await)
        });
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn what_is_built_anew_equals_the_live_one(
        happenings in prop::collection::vec(happening(), 1..60),
        batch in 1..9_usize,
        kill in 1..4_usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        prop_assert_eq!(runtime.block_on(rebuilt(&happenings, batch, kill)), 0);
    }
}
