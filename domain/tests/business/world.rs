//! A small world in memory: stocks, orders, payments and a provider for real, between which
//! commands and facts travel as slowly, as often and in as odd an order as a script says.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use daybook_domain::checkout::{
    CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutState, CheckoutTimeout,
};
use daybook_domain::fulfilment::{Fulfilment, FulfilmentCommand, FulfilmentFact};
use daybook_domain::order::{CancelReason, Order, OrderCommand, OrderLine};
use daybook_domain::payment::{Payment, PaymentCommand, PaymentState};
use daybook_domain::stock::{Stock, StockCommand, StockEvent, StockState};
use daybook_domain::values::{OrderId, Sku, Timestamp};
use daybook_domain::{Decider, Effect, ProcessManager, Route};

use crate::given::{at, customer_id, gbp, label, method, order_id, quantity, seller, sku};
use crate::provider::{Plan, Provider};
use crate::sale::{Job, Sale, Source};

/// A process manager that speaks Checkout's language, right or wrong.
pub(crate) trait CheckoutLike:
    ProcessManager<
        Id = OrderId,
        Input = CheckoutInput,
        State = CheckoutState,
        Command = CheckoutCommand,
        Timeout = CheckoutTimeout,
    >
{
}

impl<P> CheckoutLike for P where
    P: ProcessManager<
            Id = OrderId,
            Input = CheckoutInput,
            State = CheckoutState,
            Command = CheckoutCommand,
            Timeout = CheckoutTimeout,
        >
{
}

/// What happens next. The number beside it picks which of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A fact reaches the process.
    Deliver,
    /// A fact reaches the process once more.
    DeliverAgain,
    /// A command is carried out.
    CarryOut,
    /// The provider is asked, and then the machine stops: the command is carried out later.
    AskOnly,
    /// A command is carried out once more.
    CarryOutAgain,
    /// Time passes; what is due is woken.
    Wait,
    /// A timer goes off that should not.
    WakeEarly,
    CustomerCancels,
    OperatorCancels,
    OperatorRefunds,
    OperatorVoids,
    OperatorCaptures,
    Ship,
    Fulfil,
}

pub(crate) struct World<P> {
    pub(crate) now: Timestamp,
    pub(crate) stocks: BTreeMap<Sku, StockState>,
    pub(crate) sales: Vec<Sale>,
    process: PhantomData<P>,
}

pub(crate) const SKUS: [(&str, &str, i64); 3] =
    [("A", "acme", 3), ("B", "acme", 1), ("C", "corp", 2)];
pub(crate) const TOTAL: i64 = 600;

/// Six goods of three SKUs and two sellers at 100 each; `A` stands on two lines.
fn lines() -> Vec<OrderLine> {
    [("A", "acme", 2), ("B", "acme", 1), ("A", "acme", 1), ("C", "corp", 2)]
        .map(|(what, from, n)| OrderLine {
            sku: sku(what),
            seller: seller(from),
            name: label("Thing"),
            quantity: quantity(n),
            unit_price: gbp(100),
        })
        .to_vec()
}

fn apply<D: Decider>(state: &mut D::State, command: D::Command) -> Result<Vec<D::Event>, String> {
    let events = D::decide(state, command).map_err(|rejection| rejection.to_string())?;
    for event in &events {
        *state = D::evolve(std::mem::take(state), event);
    }
    Ok(events)
}

impl<P: CheckoutLike> World<P> {
    /// A world with so many of each SKU, in which one order per plan was placed.
    pub(crate) fn new(on_hand: [i64; 3], plans: &[Plan]) -> Self {
        let mut stocks = BTreeMap::new();
        for ((what, ..), n) in SKUS.into_iter().zip(on_hand) {
            let mut stock = StockState::default();
            if n > 0 {
                let (quantity, at) = (quantity(n), at(0));
                let receive = StockCommand::Receive { quantity, receipt: "r".into(), at };
                apply::<Stock>(&mut stock, receive).expect("a receipt");
            }
            stocks.insert(sku(what), stock);
        }
        let sales = plans.iter().zip(1..).map(|(plan, n)| Sale::new(order_id(n), *plan)).collect();
        let mut world = Self { now: at(0), stocks, sales, process: PhantomData };
        for sale in 0..plans.len() {
            world.place(sale);
        }
        world
    }

    fn place(&mut self, sale: usize) {
        let (order, customer, lines) = (self.sales[sale].id, customer_id(), lines());
        let place = OrderCommand::Place { order, customer, lines, method: method(), at: self.now };
        self.order(sale, place).expect("an order");
    }

    /// Lets one thing happen, if it can.
    pub(crate) fn act(&mut self, act: Act, pick: u16) -> Result<(), String> {
        let pick = usize::from(pick);
        let (s, pick) = (pick % self.sales.len(), pick / self.sales.len());
        match act {
            Act::Deliver => self.deliver_next(s, pick),
            Act::DeliverAgain => {
                let delivered = &self.sales[s].delivered;
                if !delivered.is_empty() {
                    let input = delivered[pick % delivered.len()].clone();
                    self.deliver(s, &input);
                }
            }
            Act::CarryOut => {
                let jobs = &mut self.sales[s].jobs;
                if !jobs.is_empty() {
                    let job = jobs.remove(pick % jobs.len());
                    self.carry_out(s, &job);
                    self.sales[s].carried_out.push(job);
                }
            }
            Act::AskOnly => {
                let jobs = &self.sales[s].jobs;
                if !jobs.is_empty() {
                    let job = jobs[pick % jobs.len()].clone();
                    let _ = self.ask_provider(s, &job);
                }
            }
            Act::CarryOutAgain => {
                let jobs = &self.sales[s].carried_out;
                if !jobs.is_empty() {
                    let job = jobs[pick % jobs.len()].clone();
                    self.carry_out(s, &job);
                }
            }
            Act::Wait => self.wait(i64::try_from(pick % 40).unwrap_or(0)),
            Act::WakeEarly => self.wake(s),
            Act::CustomerCancels => self.cancel(s, CancelReason::CustomerRequest),
            Act::OperatorCancels => self.cancel(s, CancelReason::Operator { note: "no".into() }),
            Act::OperatorRefunds => self.operator_refunds(s, pick)?,
            Act::OperatorVoids => self.operator_voids(s)?,
            Act::OperatorCaptures => self.operator_captures(s, pick)?,
            Act::Ship => self.ship(s, pick),
            Act::Fulfil => self.fulfil_next(s)?,
        }
        self.check()
    }

    /// Delivers and carries out all that is on its way until nothing is. No time passes.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            let mut idle = true;
            for s in 0..self.sales.len() {
                while !self.sales[s].facts.is_empty() {
                    self.deliver_next(s, 0);
                    idle = false;
                }
                while !self.sales[s].jobs.is_empty() {
                    let job = self.sales[s].jobs.remove(0);
                    self.carry_out(s, &job);
                    idle = false;
                }
                while !self.sales[s].fulfilment_facts.is_empty()
                    || !self.sales[s].fulfilment_jobs.is_empty()
                {
                    self.fulfil_next(s)?;
                    idle = false;
                }
            }
            self.check()?;
            if idle {
                return Ok(());
            }
        }
        Err("commands and facts chase one another for ever".into())
    }

    fn deliver_next(&mut self, s: usize, pick: usize) {
        let facts = &mut self.sales[s].facts;
        let Some(source) = facts.keys().nth(pick % facts.len().max(1)).cloned() else { return };
        let Some(queue) = facts.get_mut(&source) else { return };
        let input = queue.pop_front();
        if queue.is_empty() {
            facts.remove(&source);
        }
        if let Some(input) = input {
            self.deliver(s, &input);
            self.sales[s].delivered.push(input);
        }
    }

    fn deliver(&mut self, s: usize, input: &CheckoutInput) {
        let sale = &mut self.sales[s];
        let starts = matches!(P::route(input), Route::Start(_));
        if sale.checkout == CheckoutState::NotStarted && !starts {
            return;
        }
        let effects = P::react(&sale.checkout, input);
        sale.checkout = P::evolve(std::mem::take(&mut sale.checkout), input);
        for effect in effects {
            match effect {
                Effect::Dispatch(command) => {
                    sale.jobs.push(Job { number: sale.next_job, command });
                    sale.next_job += 1;
                }
                Effect::Schedule { due, .. } => sale.due = Some(due),
                Effect::Complete => sale.due = None,
            }
        }
    }

    fn wait(&mut self, minutes: i64) {
        self.now = Timestamp::from_micros(self.now.as_micros() + at(minutes).as_micros());
        for s in 0..self.sales.len() {
            if self.sales[s].due.is_some_and(|due| due <= self.now) {
                self.sales[s].due = None;
                self.wake(s);
            }
        }
    }

    fn wake(&mut self, s: usize) {
        let sale = &mut self.sales[s];
        let input = P::timed_out(sale.id, &CheckoutTimeout::ReservationExpiry, self.now);
        sale.tell(Source::Runtime, input);
    }

    fn carry_out(&mut self, s: usize, job: &Job) {
        if let Err(reason) = self.try_to_carry_out(s, job) {
            let input = P::rejected(self.sales[s].id, &job.command, &reason, self.now);
            if let Some(input) = input {
                self.sales[s].tell(Source::Runtime, input);
            }
        }
    }

    /// Asks the provider, if the command is one for it.
    fn ask_provider(&mut self, s: usize, job: &Job) -> Option<Result<(), String>> {
        let (provider, key) = (&mut self.sales[s].provider, job.number.to_string());
        match job.command {
            CheckoutCommand::Authorize { amount, .. } => Some(provider.authorize(&key, amount)),
            CheckoutCommand::Capture { amount, .. } => Some(provider.capture(&key, amount)),
            CheckoutCommand::Void { .. } => Some(provider.void(&key)),
            CheckoutCommand::Refund { amount, .. } => Some(provider.refund(&key, amount)),
            _ => None,
        }
    }

    fn try_to_carry_out(&mut self, s: usize, job: &Job) -> Result<(), String> {
        let (at, order) = (self.now, self.sales[s].id);
        match job.command.clone() {
            CheckoutCommand::Reserve { sku, quantity, expires_at } => {
                self.stock(&sku, StockCommand::Reserve { order, quantity, expires_at, at })
            }
            CheckoutCommand::Extend { sku, expires_at } => {
                self.stock(&sku, StockCommand::Extend { order, expires_at, at })
            }
            CheckoutCommand::Release { sku, reason } => {
                self.stock(&sku, StockCommand::Release { order, reason, at })
            }
            CheckoutCommand::ConfirmOrder => self.order(s, OrderCommand::Confirm { at }),
            CheckoutCommand::MarkPaid { payment, amount } => {
                self.order(s, OrderCommand::MarkPaid { payment, amount, at })
            }
            CheckoutCommand::CancelOrder { reason } => {
                self.order(s, OrderCommand::Cancel { reason, at })
            }
            CheckoutCommand::RecordRefund { refund, amount } => {
                self.order(s, OrderCommand::RecordRefund { refund, amount, at })
            }
            CheckoutCommand::Authorize { payment, amount, method } => {
                self.payment(s, PaymentCommand::Request { payment, order, amount, method, at })?;
                let reference = format!("auth-{payment}");
                match self.ask_provider(s, job) {
                    Some(Err(reason)) => self.payment(s, PaymentCommand::Decline { reason, at }),
                    _ => self.payment(s, PaymentCommand::Authorize { reference, at }),
                }
            }
            CheckoutCommand::Capture { amount, .. } => {
                match (self.ask_provider(s, job), self.sales[s].provider.plan) {
                    (Some(Err(reason)), Plan::DeclineCapture) => {
                        self.sales[s].provider.held = 0;
                        return self.payment(s, PaymentCommand::Decline { reason, at });
                    }
                    (Some(answer), _) => answer?,
                    (None, _) => {}
                }
                let capture = job.number.to_string();
                self.payment(s, PaymentCommand::Capture { capture, amount, at })
            }
            CheckoutCommand::Void { .. } => {
                self.ask_provider(s, job).unwrap_or(Ok(()))?;
                self.payment(s, PaymentCommand::Void { at })
            }
            CheckoutCommand::Refund { amount, .. } => {
                self.ask_provider(s, job).unwrap_or(Ok(()))?;
                let refund = job.number.to_string();
                self.payment(s, PaymentCommand::Refund { refund, amount, at })
            }
        }
    }

    fn cancel(&mut self, s: usize, reason: CancelReason) {
        // Refused once the order is cancelled or shipped.
        let _ = self.order(s, OrderCommand::Cancel { reason, at: self.now });
    }

    fn ship(&mut self, s: usize, pick: usize) {
        let seller = seller(if pick.is_multiple_of(2) { "acme" } else { "corp" });
        // Refused unless the order is paid.
        let _ = self.order(s, OrderCommand::Ship { seller, tracking: "T".into(), at: self.now });
    }

    fn operator_refunds(&mut self, s: usize, pick: usize) -> Result<(), String> {
        let (amount, refund) = (gbp(i64::try_from(pick % 700).unwrap_or(0)), format!("op-{pick}"));
        let known = matches!(self.sales[s].payment, PaymentState::Captured(_)) && amount.minor > 0;
        let before = self.sales[s].provider.refunded;
        if known && self.sales[s].provider.refund(&refund, amount).is_ok() {
            self.sales[s].operator_refunded += self.sales[s].provider.refunded - before;
            self.payment(s, PaymentCommand::Refund { refund, amount, at: self.now })?;
        }
        Ok(())
    }

    fn operator_voids(&mut self, s: usize) -> Result<(), String> {
        let known = matches!(self.sales[s].payment, PaymentState::Authorized { .. });
        if known && self.sales[s].provider.void("op-void").is_ok() {
            self.payment(s, PaymentCommand::Void { at: self.now })?;
        }
        Ok(())
    }

    fn operator_captures(&mut self, s: usize, pick: usize) -> Result<(), String> {
        let (amount, capture) =
            (gbp(1 + i64::try_from(pick % 600).unwrap_or(0)), format!("op-{pick}"));
        let known = matches!(self.sales[s].payment, PaymentState::Authorized { .. });
        if known && self.sales[s].provider.capture(&capture, amount).is_ok() {
            self.payment(s, PaymentCommand::Capture { capture, amount, at: self.now })?;
        }
        Ok(())
    }

    fn fulfil_next(&mut self, s: usize) -> Result<(), String> {
        let (at, order) = (self.now, self.sales[s].id);
        let sale = &mut self.sales[s];
        if let Some(input) = sale.fulfilment_facts.pop_front() {
            for effect in Fulfilment::react(&sale.fulfilment, &input) {
                if let Effect::Dispatch(command) = effect {
                    sale.fulfilment_jobs.push_back(command);
                }
            }
            sale.fulfilment = Fulfilment::evolve(std::mem::take(&mut sale.fulfilment), &input);
        }
        match sale.fulfilment_jobs.pop_front() {
            Some(FulfilmentCommand::Commit { sku }) => {
                self.stock(&sku, StockCommand::Commit { order, at })
            }
            Some(FulfilmentCommand::Fulfil { seller }) => {
                self.order(s, OrderCommand::Fulfil { seller, at })
            }
            None => Ok(()),
        }
    }

    fn order(&mut self, s: usize, command: OrderCommand) -> Result<(), String> {
        for event in apply::<Order>(&mut self.sales[s].order, command)? {
            self.sales[s].order_happened(self.now, event);
        }
        Ok(())
    }

    fn payment(&mut self, s: usize, command: PaymentCommand) -> Result<(), String> {
        for event in apply::<Payment>(&mut self.sales[s].payment, command)? {
            self.sales[s].payment_happened(self.now, event);
        }
        Ok(())
    }

    fn stock(&mut self, sku: &Sku, command: StockCommand) -> Result<(), String> {
        let stock = self.stocks.get_mut(sku).ok_or("no such stock")?;
        for event in apply::<Stock>(stock, command)? {
            let (order, what) = match event {
                StockEvent::Reserved { order, .. } => {
                    (order, CheckoutFact::Reserved { sku: sku.clone() })
                }
                StockEvent::Released { order, .. } => {
                    (order, CheckoutFact::Released { sku: sku.clone() })
                }
                StockEvent::Committed { order, .. } => {
                    if let Some(sale) = self.sales.iter_mut().find(|sale| sale.id == order) {
                        sale.tell_fulfilment(
                            self.now,
                            FulfilmentFact::Committed { sku: sku.clone() },
                        );
                    }
                    continue;
                }
                _ => continue,
            };
            if let Some(sale) = self.sales.iter_mut().find(|sale| sale.id == order) {
                sale.tell_of(Source::Stock(sku.clone()), self.now, what);
            }
        }
        Ok(())
    }

    /// What must hold at any time.
    fn check(&self) -> Result<(), String> {
        for (sku, stock) in &self.stocks {
            if stock.on_hand() < 0 || stock.available() < 0 {
                return Err(format!("{sku} is oversold"));
            }
        }
        for sale in &self.sales {
            let Provider { captured, refunded, held, .. } = sale.provider;
            if captured + held > TOTAL || refunded > captured {
                return Err(format!("{captured} taken, {held} held, {refunded} given back"));
            }
        }
        Ok(())
    }
}
