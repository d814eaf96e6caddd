//! Whole orders: placed, reserved, paid, shipped and fulfilled by the process managers, with 21
//! lines each over 3,000 SKUs. Prints orders and events per second, and processor time per event.
//!
//! `cargo bench -p daybook-command-side --bench orders [-- ORDERS]`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails and prints")]
#![expect(clippy::cast_precision_loss, reason = "rates")]

use std::fs;
use std::time::Instant;

use daybook_command_side::orders::{PlaceOrder, RequestedLine, place_order};
use daybook_command_side::payments::{Provider, SimulatedProvider};
use daybook_command_side::processes::{Clock, ProcessOptions, ProcessRuntime};
use daybook_command_side::{CommandContext, Commands};
use daybook_domain::checkout::Checkout;
use daybook_domain::customer::{Customer, CustomerCommand};
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::order::{Order, OrderCommand};
use daybook_domain::product::{Product, ProductCommand};
use daybook_domain::stock::{Stock, StockCommand};
use daybook_domain::values::{CustomerId, Money, OrderId, Quantity, Sku, Timestamp};
use daybook_event_schemas::Actor;
use daybook_event_store::{EmbeddedOptions, EventStore, Filter, Store, Tailed};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SKUS: usize = 3_000;
const LINES: usize = 21;
const CUSTOMER: CustomerId = CustomerId(Uuid::nil());

fn main() {
    let given = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let orders: usize = given.unwrap_or(2_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    println!("{:10} {:>10} {:>10} {:>12}", "store", "orders/s", "events/s", "CPU µs/event");
    for kind in ["memory", "embedded"] {
        let open = |name: &str| match kind {
            "memory" => Store::memory(),
            _ => Store::embedded(folder.path().join(name), &EmbeddedOptions::default()).unwrap(),
        };
        let (store, ledger) = (open("events"), open("provider"));
        let (seconds, cpu, events) = runtime.block_on(run(&store, &ledger, orders));
        let (orders, events) = (orders as f64 / seconds, events as f64);
        println!(
            "{kind:10} {orders:>10.0} {:>10.0} {:>12.1}",
            events / seconds,
            cpu / events * 1e6
        );
        store.close();
        ledger.close();
    }
}

/// Seconds, seconds of processor time, and events.
async fn run(store: &Store, ledger: &Store, orders: usize) -> (f64, f64, usize) {
    let commands = Commands::new(store.clone());
    stock_up(&commands).await;
    let before = store.read_all(None, Filter::all()).count().await;
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let shutdown = CancellationToken::new();
    let (provider, options) =
        (Provider::Simulated(SimulatedProvider::new(ledger.clone())), ProcessOptions::default());
    let processes = [
        ProcessRuntime::<Checkout>::start(
            commands.clone(),
            provider,
            options.clone(),
            shutdown.clone(),
        ),
        ProcessRuntime::<Fulfilment>::start(commands.clone(), (), options, shutdown.clone()),
    ];
    let shipping = tokio::spawn(ship(commands.clone(), orders));
    let place = |n| place(&commands, n);
    stream::iter(0..orders).for_each_concurrent(64, place).await;
    shipping.await.unwrap();
    follow(store, "OrderFulfilled", orders).for_each(|_| async {}).await;
    let took = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    shutdown.cancel();
    for process in processes {
        process.join().await.unwrap();
    }
    (took.0, took.1, store.read_all(None, Filter::all()).count().await - before)
}

/// The ids of the first so many orders to which something happens.
fn follow(store: &Store, kind: &str, orders: usize) -> BoxStream<'static, OrderId> {
    let events = store.tail(None, Filter::kinds(&[kind])).boxed();
    let order = |item| async move {
        let Tailed::Event(event) = item else { return None };
        Some(event.stream.id().parse().unwrap())
    };
    events.map(Result::unwrap).filter_map(order).take(orders).boxed()
}

async fn ship(commands: Commands, orders: usize) {
    let ship = |order: OrderId| {
        let commands = commands.clone();
        async move {
            let (seller, tracking) = ("acme".parse().unwrap(), String::new());
            let command = OrderCommand::Ship { seller, tracking, at: now() };
            commands.handle::<Order>(order, command, &context()).await.unwrap();
        }
    };
    follow(commands.store(), "OrderPaid", orders).for_each_concurrent(64, ship).await;
}

async fn place(commands: &Commands, number: usize) {
    // Some things sell better than others.
    let line = |n: usize| RequestedLine {
        sku: sku((number * 7 + n * n * 31) % SKUS / (1 + n % 3)),
        quantity: Quantity::try_from(2).unwrap(),
        agreed_price: None,
    };
    let request = PlaceOrder {
        order: OrderId(Uuid::now_v7()),
        customer: CUSTOMER,
        lines: (0..LINES).map(line).collect(),
        method: "tok_approve".parse().unwrap(),
        at: now(),
    };
    place_order(commands, request, &context()).await.unwrap();
}

async fn stock_up(commands: &Commands) {
    let (name, at) = ("Alice".parse().unwrap(), now());
    let register =
        CustomerCommand::Register { customer: CUSTOMER, name, email: None, country: None, at };
    commands.handle::<Customer>(CUSTOMER, register, &context()).await.unwrap();
    let stock = |n| async move {
        let list = ProductCommand::List {
            sku: sku(n),
            seller: "acme".parse().unwrap(),
            name: "a thing".parse().unwrap(),
            description: String::new(),
            category: "things".parse().unwrap(),
            brand: None,
            price: Money::new(250, "GBP".parse().unwrap()),
            at,
        };
        commands.handle::<Product>(sku(n), list, &context()).await.unwrap();
        let (quantity, receipt) = (Quantity::try_from(1_000_000).unwrap(), "first".into());
        let receive = StockCommand::Receive { quantity, receipt, at };
        commands.handle::<Stock>(sku(n), receive, &context()).await.unwrap();
    };
    stream::iter(0..SKUS).for_each_concurrent(256, stock).await;
}

fn sku(n: usize) -> Sku {
    format!("{n:05}").parse().unwrap()
}

fn now() -> Timestamp {
    Clock::system().now()
}

fn context() -> CommandContext {
    CommandContext::new(Actor("bench:orders".into()))
}

/// What the program has used of all processors, by Linux's count in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
