//! A shop in this process: no HTTP in between.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use daybook_command_side::orders::{PlaceOrder, RequestedLine, place_order};
use daybook_command_side::{CommandContext, Commands, Loaded};
use daybook_domain::customer::{Customer, CustomerCommand};
use daybook_domain::order::{Order, OrderCommand, OrderStatus, Parcel, PlacedOrder};
use daybook_domain::product::{Product, ProductCommand, ProductState};
use daybook_domain::stock::{Stock, StockCommand};
use daybook_domain::values::{Money, OrderId};
use daybook_event_schemas::Actor;
use daybook_event_store::{EventStore, Filter, Position, Recorded, Revision, Store, Tailed};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::online_retail::Invoice;
use super::shop::{
    PAYMENT_METHOD, Person, Shop, Supply, command_id, customer_id, order_id, pounds, seller,
};
use crate::platform::Platform;

/// The platform of this process as a shop.
pub(crate) struct InProcess<'a> {
    platform: &'a Platform,
    orders: OrderWatch,
}

impl<'a> InProcess<'a> {
    pub(crate) async fn new(platform: &'a Platform) -> anyhow::Result<Self> {
        let orders = OrderWatch::start(platform.commands.clone()).await?;
        Ok(Self { platform, orders })
    }

    fn commands(&self) -> &Commands {
        &self.platform.commands
    }

    async fn place(&self, order: OrderId, invoice: &Invoice) -> anyhow::Result<()> {
        let lines = invoice.lines.iter().map(|line| RequestedLine {
            sku: line.sku.clone(),
            quantity: line.quantity,
            agreed_price: Some(pounds(line.unit_price)),
        });
        let place = PlaceOrder {
            order,
            customer: customer_id(&invoice.customer),
            lines: lines.collect(),
            method: PAYMENT_METHOD.parse()?,
            at: invoice.at,
        };
        place_order(self.commands(), place, &context(&format!("place {order}"))).await?;
        Ok(())
    }

    async fn ship(&self, order: OrderId, invoice: &Invoice) -> anyhow::Result<()> {
        let ship = OrderCommand::Ship { seller: seller(), tracking: String::new(), at: invoice.at };
        self.commands().handle::<Order>(order, ship, &context(&format!("ship {order}"))).await?;
        Ok(())
    }
}

fn is_paid(status: &OrderStatus) -> bool {
    use OrderStatus::{Fulfilled, Paid, PartiallyFulfilled};
    matches!(status, Paid | PartiallyFulfilled | Fulfilled)
}

fn context(what: &str) -> CommandContext {
    let command_id = command_id(what);
    let actor = Actor("import:online-retail".into());
    CommandContext { command_id, correlation_id: command_id, ..CommandContext::new(actor) }
}

impl Shop for InProcess<'_> {
    async fn supply(&self, supply: Supply) -> anyhow::Result<()> {
        let Supply { sku, name, price, quantity, receipt, at } = supply;
        let list = ProductCommand::List {
            sku: sku.clone(),
            seller: seller(),
            name,
            description: String::new(),
            category: "Gifts".parse()?,
            brand: None,
            price,
            at,
        };
        let known = self.commands().load::<Product>(&sku).await?.state;
        if !matches!(*known, ProductState::Listed(_)) {
            self.commands().handle::<Product>(&sku, list, &context(&format!("list {sku}"))).await?;
        }
        let receive = StockCommand::Receive { quantity, receipt, at };
        self.commands().handle::<Stock>(&sku, receive, &context(&format!("receive {sku}"))).await?;
        Ok(())
    }

    async fn register(&self, person: Person) -> anyhow::Result<()> {
        let Person { id, name, country, at } = person;
        let register = CustomerCommand::Register { customer: id, name, email: None, country, at };
        self.commands()
            .handle::<Customer>(id, register, &context(&format!("register {id}")))
            .await?;
        Ok(())
    }

    async fn trade(&self, invoice: Invoice) -> anyhow::Result<Money> {
        let order = order_id(&invoice.number);
        if self.orders.load(order).await?.state.placed().is_none() {
            self.place(order, &invoice).await?;
        }
        let paid = self.orders.until(order, is_paid).await?;
        if paid.parcel(&seller()) == Some(&Parcel::Waiting) {
            self.ship(order, &invoice).await?;
        }
        let done = self.orders.until(order, |status| *status == OrderStatus::Fulfilled).await?;
        Ok(done.total)
    }

    async fn events(&self) -> anyhow::Result<u64> {
        let store = &self.platform.store;
        match store {
            Store::Memory(_) | Store::Embedded(_) => {
                Ok(store.head().await?.map_or(0, |Position(last)| last + 1))
            }
            // What lies between the positions of other stores is not to be counted on.
            _ => {
                let events = store.read_all(None, Filter::all());
                Ok(events.try_fold(0, |count, _| ready(Ok(count + 1))).await?)
            }
        }
    }

    async fn settle(&self) -> anyhow::Result<()> {
        self.platform.settle().await
    }
}

/// How long nobody asks a store that failed.
const REST: Duration = Duration::from_millis(500);

/// Who waits for which order, and the last revision of it that was seen.
type Waiters = Mutex<HashMap<OrderId, watch::Sender<Option<Revision>>>>;

/// Wakes those who wait for an order to get somewhere.
struct OrderWatch {
    commands: Commands,
    waiters: Arc<Waiters>,
    _tail: AbortOnDropHandle<()>,
}

impl OrderWatch {
    async fn start(commands: Commands) -> anyhow::Result<Self> {
        let after = commands.store().head().await?;
        let waiters = Arc::<Waiters>::default();
        let tail = tokio::spawn(wake(Arc::clone(&waiters), commands.store().clone(), after));
        Ok(Self { commands, waiters, _tail: AbortOnDropHandle::new(tail) })
    }

    async fn load(&self, order: OrderId) -> anyhow::Result<Loaded<Order>> {
        Ok(self.commands.load::<Order>(order).await?)
    }

    /// The order once it has got where it should.
    async fn until(
        &self,
        order: OrderId,
        reached: fn(&OrderStatus) -> bool,
    ) -> anyhow::Result<PlacedOrder> {
        let mut waiter = Waiter::register(&self.waiters, order);
        loop {
            let loaded = self.load(order).await?;
            let placed = loaded.state.placed().context("the order was never placed")?;
            let status = placed.status();
            if reached(&status) {
                return Ok(placed.clone());
            }
            if let OrderStatus::Cancelled(reason) = status {
                bail!("order {order} was cancelled: {reason}");
            }
            // An event can be read a moment before the state that it makes can be loaded.
            if *waiter.seen.borrow_and_update() > loaded.revision {
                tokio::task::yield_now().await;
            } else {
                waiter.seen.changed().await?;
            }
        }
    }
}

/// Follows the orders, through failures of the store, too.
async fn wake(waiters: Arc<Waiters>, store: Store, mut after: Option<Position>) {
    let kinds = Filter::kinds(&["OrderPaid", "OrderFulfilled", "OrderCancelled"]);
    loop {
        let mut tail = std::pin::pin!(store.tail(after, kinds.clone()));
        while let Some(Ok(tailed)) = tail.next().await {
            match tailed {
                Tailed::CaughtUp(position) => after = Some(position),
                Tailed::Event(event) => {
                    after = Some(event.position);
                    notify(&waiters, &event);
                }
            }
        }
        tokio::time::sleep(REST).await;
    }
}

fn notify(waiters: &Waiters, event: &Recorded) {
    let Ok(order) = event.stream.id().parse() else { return };
    let waiters = waiters.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(waiter) = waiters.get(&order) {
        waiter.send_replace(Some(event.revision));
    }
}

/// A place among those who wait; given up when dropped.
struct Waiter<'a> {
    waiters: &'a Waiters,
    order: OrderId,
    seen: watch::Receiver<Option<Revision>>,
}

impl<'a> Waiter<'a> {
    fn register(waiters: &'a Waiters, order: OrderId) -> Self {
        let (sender, seen) = watch::channel(None);
        waiters.lock().unwrap_or_else(PoisonError::into_inner).insert(order, sender);
        Self { waiters, order, seen }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.order);
    }
}
