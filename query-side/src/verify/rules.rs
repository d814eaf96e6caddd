//! The rules that hold between aggregates. What a checkout is still at work on is given time.

use std::collections::BTreeMap;

use daybook_domain::order::{OrderStatus, PlacedOrder};
use daybook_domain::values::{OrderId, PaymentId, Timestamp};
use daybook_event_schemas::format_timestamp;

use super::Check;
use super::books::Books;
use super::findings::Findings;
use super::orders::OrderEntry;
use super::payments::PaymentEntry;
use super::processes::soon_after;

/// Stock is held for orders that are on their way, and for no others.
pub(super) fn reserved_for_open_orders(books: &Books) -> Check {
    let mut findings = Findings::default();
    let mut held = 0;
    for (stream, id) in books.stock.held() {
        held += 1;
        let order = books.orders.orders.get(&id);
        let wrong = match order.and_then(OrderEntry::placed).map(PlacedOrder::status) {
            None => Some("was never placed"),
            Some(OrderStatus::Fulfilled) => Some("is fulfilled"),
            Some(OrderStatus::Cancelled(_)) => Some("is cancelled"),
            Some(_) => None,
        };
        if let Some(wrong) = wrong.filter(|_| !books.checkouts.is_at_work(id, order)) {
            findings.add(|| format!("{stream} is held for order {id}, which {wrong}"));
        }
    }
    findings.check("nothing is reserved for closed orders", format!("{held} reservations held"))
}

/// Every paid order has one captured payment of its total, and every captured payment a paid
/// order, or it went back.
pub(super) fn paid_is_captured(books: &Books) -> Check {
    let mut findings = Findings::default();
    let mut paid = 0;
    for (id, order) in &books.orders.orders {
        let Some((payment, amount)) = order.paid else { continue };
        paid += 1;
        let total = order.placed().map(|order| order.total);
        let entry = books.payments.payments.get(&payment);
        let captured = entry.filter(|entry| entry.is_of(*id)).and_then(PaymentEntry::taken);
        findings.require(captured.is_some() && captured == total && amount.minor > 0, || {
            let captured = captured.map_or("nothing".into(), |captured| captured.to_string());
            format!("order {id} is paid with {amount}, and {captured} was captured")
        });
    }
    for (id, payment) in &books.payments.payments {
        let wrong = unmatched(books, payment);
        if let Some(wrong) = wrong {
            findings.add(|| format!("payment {id} {wrong}"));
        }
    }
    findings.check("paid orders and captured payments match", format!("{paid} paid orders"))
}

/// What is wrong with a payment of which something was taken, seen from its order.
fn unmatched(books: &Books, payment: &PaymentEntry) -> Option<&'static str> {
    let id = payment.state.request()?.order;
    let order = books.orders.orders.get(&id);
    if payment.captured == 0 || books.checkouts.is_at_work(id, order) {
        return None;
    }
    match order {
        None => Some("was captured for an order that is not there"),
        Some(order) if order.is_cancelled() && payment.kept() != 0 => {
            Some("was captured and is kept although its order is cancelled")
        }
        Some(order) if order.paid.is_none() && payment.kept() != 0 => {
            Some("was captured and its order is not paid")
        }
        Some(_) => None,
    }
}

/// One order, one charge.
pub(super) fn charged_once(books: &Books) -> Check {
    let mut charges: BTreeMap<OrderId, Vec<PaymentId>> = BTreeMap::new();
    for (id, payment) in &books.payments.payments {
        if let Some(request) = payment.state.request().filter(|_| payment.captured != 0) {
            charges.entry(request.order).or_default().push(*id);
        }
    }
    let mut findings = Findings::default();
    for (order, payments) in &charges {
        findings.require(payments.len() == 1, || {
            let payments: Vec<_> = payments.iter().map(ToString::to_string).collect();
            format!("order {order} was charged by payments {}", payments.join(", "))
        });
    }
    findings.check("orders are charged at most once", format!("{} charged orders", charges.len()))
}

/// Every checkout ends, or has time left.
pub(super) fn checkouts_end(books: &Books, now: Timestamp) -> Check {
    let mut ends = Ends::at(now);
    for (id, order) in &books.orders.orders {
        let (stands, deadline) = match books.checkouts.checkouts.get(id) {
            Some(checkout) if checkout.is_behind(order) => {
                ("still to learn of the cancellation", soon_after(order.updated_at))
            }
            Some(checkout) if checkout.state.is_complete() => {
                ends.ended += 1;
                continue;
            }
            Some(checkout) => (checkout.state.name(), checkout.deadline()),
            None => ("not started", soon_after(order.recorded_at)),
        };
        ends.open(deadline, || format!("checkout of order {id} is {stands}"));
    }
    ends.check("every checkout ends")
}

/// Every shipment is fulfilled, or has time left.
pub(super) fn shipments_are_fulfilled(books: &Books, now: Timestamp) -> Check {
    let mut ends = Ends::at(now);
    for (id, order) in &books.orders.orders {
        if order.is_in_transit() {
            let deadline = soon_after(order.updated_at);
            ends.open(deadline, || format!("order {id} is shipped and not fulfilled"));
        } else {
            ends.ended += 1;
        }
    }
    ends.check("every shipment is fulfilled")
}

/// Things that end, and those that have not yet.
struct Ends {
    now: Timestamp,
    ended: u64,
    pending: Findings,
    overdue: Findings,
}

impl Ends {
    fn at(now: Timestamp) -> Self {
        Self { now, ended: 0, pending: Findings::default(), overdue: Findings::default() }
    }

    fn open(&mut self, deadline: Timestamp, what: impl FnOnce() -> String) {
        let of = if deadline < self.now { &mut self.overdue } else { &mut self.pending };
        of.add(|| format!("{}, due by {}", what(), format_timestamp(deadline)));
    }

    fn check(&self, name: &str) -> Check {
        let mut summary = format!("{} ended", self.ended);
        if self.pending.count() > 0 {
            summary =
                format!("{summary}, {} under way: {}", self.pending.count(), self.pending.told());
        }
        self.overdue.check(name, summary)
    }
}
