//! A shop with everything that an order needs, and process managers that can be stopped and
//! started like a program.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use daybook_command_side::orders::{PlaceOrder, RequestedLine, place_order};
use daybook_command_side::payments::{Ledger, Provider, SimulatedProvider};
use daybook_command_side::processes::{
    Clock, Process, ProcessError, ProcessHandle, ProcessOptions, ProcessRuntime, Progress,
};
use daybook_command_side::{CommandContext, Commands};
use daybook_domain::checkout::Checkout;
use daybook_domain::customer::{Customer, CustomerCommand};
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::order::{CancelReason, Order, OrderCommand, OrderStatus, PlacedOrder};
use daybook_domain::product::{Product, ProductCommand};
use daybook_domain::stock::{ReleaseReason, Stock, StockCommand, StockState};
use daybook_domain::values::{CustomerId, Money, OrderId, Quantity, Sku, Timestamp};
use daybook_event_schemas::Actor;
use daybook_event_store::{EventStore, Filter, Position, Recorded, Store};
use futures::TryStreamExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const PRICE: i64 = 250;

pub(crate) struct Shop {
    pub(crate) store: Store,
    pub(crate) commands: Commands,
    pub(crate) provider: SimulatedProvider,
    pub(crate) options: ProcessOptions,
    clock: Arc<AtomicI64>,
}

/// The process managers of one program.
pub(crate) struct Program {
    pub(crate) checkout: ProcessHandle,
    pub(crate) fulfilment: ProcessHandle,
    shutdown: CancellationToken,
}

pub(crate) fn context() -> CommandContext {
    CommandContext::new(Actor("user:alice".into()))
}

pub(crate) fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(number))
}

pub(crate) fn sku(name: &str) -> Sku {
    name.parse().unwrap()
}

pub(crate) fn pence(minor: i64) -> Money {
    Money::new(minor, "GBP".parse().unwrap())
}

fn quantity(n: i64) -> Quantity {
    Quantity::try_from(n).unwrap()
}

impl Shop {
    /// A shop with a customer and so many of each of some SKUs.
    pub(crate) async fn given(stocked: &[(&str, i64)]) -> Self {
        let shop = Self::over(Store::memory());
        shop.stock_up(stocked).await;
        shop
    }

    /// Registers the customer and books the goods.
    pub(crate) async fn stock_up(&self, stocked: &[(&str, i64)]) {
        let (name, at) = ("Alice".parse().unwrap(), self.now());
        let customer = CustomerId(Uuid::nil());
        let register = CustomerCommand::Register { customer, name, email: None, country: None, at };
        self.commands.handle::<Customer>(customer, register, &context()).await.unwrap();
        for &(name, available) in stocked {
            self.stocked(name, available).await;
        }
    }

    /// A shop over a store that is there already.
    pub(crate) fn over(store: Store) -> Self {
        let clock = Arc::new(AtomicI64::new(Clock::system().now().as_micros()));
        let now = Arc::clone(&clock);
        let options = ProcessOptions {
            backoff: Duration::from_millis(1),
            tick: Duration::from_millis(1),
            checkpoint_interval: Duration::ZERO,
            clock: Clock::new(move || Timestamp::from_micros(now.load(SeqCst))),
            ..ProcessOptions::default()
        };
        let (commands, provider) =
            (Commands::new(store.clone()), SimulatedProvider::new(Store::memory()));
        Self { store, commands, provider, options, clock }
    }

    async fn stocked(&self, name: &str, available: i64) {
        let (sku, at) = (sku(name), self.now());
        let list = ProductCommand::List {
            sku: sku.clone(),
            seller: "acme".parse().unwrap(),
            name: name.parse().unwrap(),
            description: String::new(),
            category: "things".parse().unwrap(),
            brand: None,
            price: pence(PRICE),
            at,
        };
        self.commands.handle::<Product>(&sku, list, &context()).await.unwrap();
        if available > 0 {
            let (quantity, receipt) = (quantity(available), "first".into());
            let receive = StockCommand::Receive { quantity, receipt, at };
            self.commands.handle::<Stock>(&sku, receive, &context()).await.unwrap();
        }
    }

    /// Orders one of each of some SKUs.
    pub(crate) async fn order(&self, number: u128, skus: &[&str], token: &str) {
        let line = |name: &&str| RequestedLine {
            sku: sku(name),
            quantity: quantity(1),
            agreed_price: None,
        };
        let request = PlaceOrder {
            order: order(number),
            customer: CustomerId(Uuid::nil()),
            lines: skus.iter().map(line).collect(),
            method: token.parse().unwrap(),
            at: Timestamp::from_micros(1_290_000_000_000_000),
        };
        place_order(&self.commands, request, &context()).await.unwrap();
    }

    pub(crate) async fn ship(&self, number: u128) {
        let (seller, tracking, at) = ("acme".parse().unwrap(), String::new(), self.now());
        let ship = OrderCommand::Ship { seller, tracking, at };
        self.commands.handle::<Order>(order(number), ship, &context()).await.unwrap();
    }

    pub(crate) async fn cancel(&self, number: u128) {
        let cancel = OrderCommand::Cancel { reason: CancelReason::CustomerRequest, at: self.now() };
        self.commands.handle::<Order>(order(number), cancel, &context()).await.unwrap();
    }

    /// Releases a paid order's reservation, as no process would.
    pub(crate) async fn lose_reservation(&self, number: u128, name: &str) {
        let (order, reason, at) = (order(number), ReleaseReason::Cancelled, self.now());
        let release = StockCommand::Release { order, reason, at };
        self.commands.handle::<Stock>(sku(name), release, &context()).await.unwrap();
    }

    /// Starts the process managers as a new program would: with nothing in memory.
    pub(crate) fn start(&mut self) -> Program {
        self.commands = Commands::new(self.store.clone());
        let shutdown = CancellationToken::new();
        let provider = Provider::Simulated(self.provider.clone());
        Program {
            checkout: self.run::<Checkout>(provider, &shutdown),
            fulfilment: self.run::<Fulfilment>((), &shutdown),
            shutdown,
        }
    }

    pub(crate) fn run<P: Process>(
        &self,
        ports: P::Ports,
        shutdown: &CancellationToken,
    ) -> ProcessHandle {
        let (commands, options) = (self.commands.clone(), self.options.clone());
        ProcessRuntime::<P>::start(commands, ports, options, shutdown.clone())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// Sets the clock forward or back.
    pub(crate) fn turn_clock(&self, minutes: i64) {
        self.clock.fetch_add(minutes * 60_000_000, SeqCst);
    }

    pub(crate) async fn placed(&self, number: u128) -> PlacedOrder {
        let loaded = self.commands.load::<Order>(order(number)).await.unwrap();
        loaded.state.placed().unwrap().clone()
    }

    pub(crate) async fn status(&self, number: u128) -> OrderStatus {
        self.placed(number).await.status()
    }

    pub(crate) async fn stock(&self, name: &str) -> Arc<StockState> {
        self.commands.load::<Stock>(sku(name)).await.unwrap().state
    }

    pub(crate) async fn ledger(&self) -> Ledger {
        self.provider.ledger().await.unwrap()
    }

    pub(crate) async fn head(&self) -> Position {
        self.store.head().await.unwrap().unwrap()
    }

    /// All events of some types.
    pub(crate) async fn events(&self, kinds: &[&str]) -> Vec<Recorded> {
        self.store.read_all(None, Filter::kinds(kinds)).try_collect().await.unwrap()
    }
}

impl Program {
    /// Waits until something is so.
    pub(crate) async fn until(&self, mut is_so: impl AsyncFnMut() -> bool) {
        let wait = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_mins(1), wait).await.is_ok(), "it never was");
    }

    /// Waits until neither process has anything left to do, save waiting for timers.
    pub(crate) async fn idle(&self, shop: &Shop) {
        loop {
            let head = shop.head().await;
            settled(self.checkout.progress(), head).await;
            settled(self.fulfilment.progress(), head).await;
            // What was written meanwhile may be for the other one: only their own notes may be.
            let written = shop.store.read_all(Some(head), Filter::all());
            let written: Vec<_> = written.try_collect().await.unwrap();
            if written.iter().all(|event| event.stream.category() == "checkpoint") {
                return;
            }
        }
    }

    /// Stops as programs should.
    pub(crate) async fn stop(self) -> [Result<(), ProcessError>; 2] {
        self.shutdown.cancel();
        [self.checkout.join().await, self.fulfilment.join().await]
    }

    /// Stops as after a power failure.
    pub(crate) async fn crash(self) {
        self.checkout.abort();
        self.fulfilment.abort();
        let _ = (self.checkout.join().await, self.fulfilment.join().await);
    }
}

/// Waits until a process has dealt with everything up to a position.
pub(crate) async fn settled(mut progress: watch::Receiver<Progress>, position: Position) {
    let reached = progress.wait_for(|progress| progress.settled >= Some(position));
    let waited = tokio::time::timeout(Duration::from_mins(1), reached).await;
    assert!(waited.is_ok(), "the process got stuck before {position}");
}
