//! How fast a retailer's trade is projected. Run it with
//! `cargo test --release -p daybook-projections -- --ignored --nocapture measure`.

use std::time::{Duration, Instant};

use daybook_domain::ProcessManager;
use daybook_domain::checkout::{Checkout, CheckoutFact, CheckoutInput, CheckoutState};
use daybook_domain::order::{OrderEvent, OrderLine};
use daybook_domain::payment::PaymentEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{
    CustomerId, Money, OrderId, PaymentId, PaymentMethod, Quantity, SellerId, Timestamp,
};
use daybook_event_schemas::{Advanced, Contract};
use uuid::Uuid;

use crate::support::{World, at, gbp, options};

const ORDERS: u32 = 4_000;
const LINES: u32 = 21;
const SKUS: u32 = 3_665;

/// The lines of an order, each of another SKU; some SKUs sell far more than others.
fn lines(order: u32) -> Vec<OrderLine> {
    let line = |line: u32| {
        let random = u64::from(order.wrapping_mul(2_654_435_761).wrapping_add(line * 40_503) >> 12);
        let sku = (random * random / (1 << 20) + u64::from(line)) % u64::from(SKUS);
        OrderLine {
            sku: format!("SKU-{sku}").parse().unwrap(),
            seller: "shop".parse().unwrap(),
            name: "A thing of some sort".parse().unwrap(),
            quantity: Quantity::try_from(3).unwrap(),
            unit_price: gbp(125),
        }
    };
    let mut lines: Vec<_> = (0..LINES).map(line).collect();
    lines.sort_by(|a, b| a.sku.cmp(&b.sku));
    lines.dedup_by(|a, b| a.sku == b.sku);
    lines
}

/// An order on its way from the customer to the customer.
struct Trade<'w> {
    world: &'w World,
    order: OrderId,
    customer: CustomerId,
    lines: Vec<OrderLine>,
    total: Money,
    method: PaymentMethod,
    at: Timestamp,
    checkout: CheckoutState,
    events: u32,
}

impl<'w> Trade<'w> {
    fn new(world: &'w World, n: u32) -> Self {
        let lines = lines(n);
        Self {
            world,
            order: OrderId(Uuid::new_v4()),
            customer: CustomerId(Uuid::from_u128(u128::from(n % 1_000))),
            total: gbp(375 * i64::try_from(lines.len()).unwrap()),
            lines,
            method: "card-ok".parse().unwrap(),
            at: at(i64::from(n) * 1_000),
            checkout: CheckoutState::default(),
            events: 0,
        }
    }

    async fn event<E: Contract>(&mut self, category: &str, id: impl ToString, event: E) {
        self.world.given(category, id, &[event]).await;
        self.events += 1;
    }

    async fn order(&mut self, event: OrderEvent) {
        self.event("order", self.order, event).await;
    }

    /// Writes the record that the process manager's runtime would write.
    async fn checkout(&mut self, facts: Vec<CheckoutFact>) {
        let (order, at) = (self.order, self.at);
        let inputs: Vec<_> =
            facts.into_iter().map(|what| CheckoutInput { order, at, what }).collect();
        let mut effects = Vec::new();
        for input in &inputs {
            effects.extend(Checkout::react(&self.checkout, input));
            self.checkout = Checkout::evolve(std::mem::take(&mut self.checkout), input);
        }
        self.event("checkout", order, Advanced::<Checkout> { inputs, effects, upto: 0 }).await;
    }

    async fn place(&mut self) {
        let Self { order, customer, total, at, .. } = *self;
        let (lines, method) = (self.lines.clone(), self.method.clone());
        let items = lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect();
        self.order(OrderEvent::Placed { order, customer, lines, total, method, at }).await;
        let method = self.method.clone();
        self.checkout(vec![CheckoutFact::OrderPlaced { items, total, method }]).await;
    }

    async fn reserve(&mut self) {
        let Self { order, at, .. } = *self;
        for OrderLine { sku, quantity, .. } in self.lines.clone() {
            self.event("stock", sku, StockEvent::Reserved { order, quantity, expires_at: at, at })
                .await;
        }
        let reserved = |line: &OrderLine| CheckoutFact::Reserved { sku: line.sku.clone() };
        self.checkout(self.lines.iter().map(reserved).collect()).await;
        self.order(OrderEvent::Confirmed { at }).await;
        self.checkout(vec![CheckoutFact::OrderConfirmed]).await;
    }

    async fn pay(&mut self) {
        let Self { order, total, at, .. } = *self;
        let (payment, method) = (PaymentId(Uuid::new_v4()), self.method.clone());
        let (reference, capture) = ("auth-1".to_owned(), "capture-1".to_owned());
        let requested = PaymentEvent::Requested { payment, order, amount: total, method, at };
        self.event("payment", payment, requested).await;
        let authorized = PaymentEvent::Authorized { order, amount: total, reference, at };
        self.event("payment", payment, authorized).await;
        self.checkout(vec![CheckoutFact::PaymentAuthorized]).await;
        let captured =
            PaymentEvent::Captured { order, capture, amount: total, captured: total, at };
        self.event("payment", payment, captured).await;
        self.checkout(vec![CheckoutFact::PaymentCaptured { captured: total }]).await;
        self.order(OrderEvent::Paid { payment, amount: total, at }).await;
        self.checkout(vec![CheckoutFact::OrderPaid]).await;
    }

    async fn ship(&mut self) {
        let Self { order, at, .. } = *self;
        let seller: SellerId = "shop".parse().unwrap();
        let (items, tracking) = (Vec::new(), "T1".to_owned());
        self.order(OrderEvent::Shipped { seller: seller.clone(), items, tracking, at }).await;
        self.checkout(vec![CheckoutFact::OrderShipped]).await;
        for OrderLine { sku, quantity, .. } in self.lines.clone() {
            self.event("stock", sku, StockEvent::Committed { order, quantity, at }).await;
        }
        self.order(OrderEvent::Fulfilled { seller, at }).await;
    }
}

/// Fills a world with stock and orders, and counts the events.
async fn trade(world: &World) -> u32 {
    for sku in 0..SKUS {
        let quantity = Quantity::try_from(1_000_000).unwrap();
        let received = StockEvent::Received { quantity, receipt: "r".into(), at: at(0) };
        world.given("stock", format!("SKU-{sku}"), &[received]).await;
    }
    let mut events = SKUS;
    for n in 0..ORDERS {
        let mut trade = Trade::new(world, n);
        trade.place().await;
        trade.reserve().await;
        trade.pay().await;
        trade.ship().await;
        events += trade.events;
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn measure_a_retailers_trade() {
    let world = World::new();
    let trading = Measured::begin();
    let events = trade(&world).await;
    let trading = trading.end();

    let past = Measured::begin();
    let running = world.start("past.db", options()).await;
    running.caught_up(&world.store).await;
    past.end().print("from the past", events);
    running.stop().await;

    let world = World::new();
    let live = Measured::begin();
    let running = world.start("live.db", options()).await;
    let events = trade(&world).await;
    running.caught_up(&world.store).await;
    live.end().print("live, with the trade itself", events);
    running.stop().await;
    trading.print("the trade itself", events);
    assert_eq!(world.rows("live.db", "parked_events").await, [""; 0]);
}

/// Time that something took, by the clock and of the CPU.
#[derive(Clone, Copy)]
struct Measured {
    begun: Instant,
    time: Duration,
    cpu: Duration,
}

impl Measured {
    fn begin() -> Self {
        Self { begun: Instant::now(), time: Duration::ZERO, cpu: cpu_time() }
    }

    fn end(self) -> Self {
        Self { time: self.begun.elapsed(), cpu: cpu_time().saturating_sub(self.cpu), ..self }
    }

    fn print(self, what: &str, events: u32) {
        let Self { time, cpu, .. } = self;
        let (rate, each) = (f64::from(events) / time.as_secs_f64(), cpu / events);
        println!(
            "{what}: {events} events in {time:.2?} ({rate:.0}/s), {cpu:.2?} of CPU ({each:.2?} each)"
        );
    }
}

/// CPU time of this process so far, in the clock ticks of Linux; zero elsewhere.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
