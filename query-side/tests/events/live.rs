//! Verification of a platform that is at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use daybook_command_side::orders::{PlaceOrder, RequestedLine, place_order};
use daybook_command_side::payments::{Provider, SimulatedProvider};
use daybook_command_side::processes::{Clock, Process, ProcessOptions, ProcessRuntime};
use daybook_command_side::{CommandContext, Commands};
use daybook_domain::checkout::Checkout;
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::order::{CancelReason, Order, OrderCommand, OrderStatus};
use daybook_event_schemas::Actor;
use daybook_event_store::Store;
use daybook_query_side::verify::{Check, ReadModels, verify};
use tokio_util::sync::CancellationToken;

use crate::models::Posted;
use crate::story::{AT, CUSTOMER, Story, order_id, quantity, seller, sku};

const ORDERS: u128 = 40;

fn context() -> CommandContext {
    CommandContext::new(Actor("test:live".into()))
}

fn run<P: Process>(commands: &Commands, ports: P::Ports, shutdown: &CancellationToken) {
    let options = ProcessOptions { backoff: Duration::from_millis(1), ..ProcessOptions::default() };
    ProcessRuntime::<P>::start(commands.clone(), ports, options, shutdown.clone());
}

/// Orders of all fates: some cannot be had, some cannot be paid, some are called off after they
/// were paid, and the others are shipped.
async fn trade(commands: &Commands) {
    for n in 0..ORDERS {
        let line = |of, count| RequestedLine {
            sku: sku(of),
            quantity: quantity(count),
            agreed_price: None,
        };
        let request = PlaceOrder {
            order: order_id(n),
            customer: CUSTOMER,
            lines: vec![line("CUP", 1), line("TIN", if n % 5 == 0 { 7 } else { 1 })],
            method: if n % 7 == 0 { "tok_decline" } else { "tok_approve" }.parse().unwrap(),
            at: AT,
        };
        place_order(commands, request, &context()).await.unwrap();
    }
    for n in 0..ORDERS {
        if decided(commands, n).await == OrderStatus::Paid {
            let (seller, tracking) = (seller(), String::new());
            let command = match n % 3 {
                0 => OrderCommand::Cancel { reason: CancelReason::CustomerRequest, at: AT },
                _ => OrderCommand::Ship { seller, tracking, at: AT },
            };
            commands.handle::<Order>(order_id(n), command, &context()).await.unwrap();
        }
    }
}

/// The order's status once it is paid or cancelled.
async fn decided(commands: &Commands, n: u128) -> OrderStatus {
    loop {
        let order = commands.load::<Order>(order_id(n)).await.unwrap();
        let status = order.state.placed().unwrap().status();
        if !matches!(status, OrderStatus::Pending | OrderStatus::Confirmed) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn checks(store: &Store, models: &ReadModels) -> Vec<Check> {
    verify(store, Some(models), Clock::system().now()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_at_work_passes_at_any_time() {
    let mut posted = Posted::of(Story::opened().await).await;
    posted.models.patience = Duration::from_mins(1);
    let (store, shutdown) = (posted.story.store.clone(), CancellationToken::new());
    let _projections = posted.start(&shutdown).await;
    let commands = Commands::new(store.clone());
    let provider = Provider::Simulated(SimulatedProvider::new(Store::memory()));
    run::<Checkout>(&commands, provider, &shutdown);
    run::<Fulfilment>(&commands, (), &shutdown);
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, trading) = (is_over.clone(), commands.clone());
    let traded = tokio::spawn(async move {
        trade(&trading).await;
        over.store(true, SeqCst);
    });

    let over_and_done = async {
        loop {
            let over = is_over.load(SeqCst);
            let checks = checks(&store, &posted.models).await;
            assert!(checks.iter().all(|check| check.ok), "{checks:#?}");
            let ended = |check: &Check| check.detail == format!("{ORDERS} ended");
            if over && checks.iter().filter(|check| ended(check)).count() == 2 {
                break checks;
            }
        }
    };
    let checks = tokio::time::timeout(Duration::from_mins(2), over_and_done).await.unwrap();

    traded.await.unwrap();
    shutdown.cancel();
    let held = checks.iter().find(|check| check.name == "nothing is reserved for closed orders");
    assert_eq!(held.unwrap().detail, "0 reservations held");
}
