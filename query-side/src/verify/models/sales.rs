use std::collections::{BTreeMap, BTreeSet};

use daybook_domain::order::PlacedOrder;
use daybook_event_schemas::format_timestamp;

use super::table::{Model, Rows, Table};
use crate::verify::books::Books;
use crate::verify::orders::{OrderEntry, SoldLine};

pub(super) const SALES: Model = Model {
    name: "sales",
    tables: &[
        Table {
            name: "sales_by_day",
            key: &["day", "currency"],
            columns: &["orders", "lines", "quantity", "amount"],
            digested: false,
            expected: by_day,
        },
        Table {
            name: "sales_by_product",
            key: &["sku", "currency"],
            columns: &["orders", "lines", "quantity", "amount"],
            digested: false,
            expected: by_product,
        },
    ],
};

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    orders: i64,
    lines: i64,
    quantity: i64,
    amount: i64,
}

impl Sum {
    fn add(&mut self, line: SoldLine, refunded: i64) {
        self.lines += 1;
        self.quantity += i64::from(line.quantity);
        self.amount = self.amount.saturating_add(line.amount - refunded);
    }
}

fn rows(sums: BTreeMap<String, Sum>) -> Rows<'static> {
    let cells = |Sum { orders, lines, quantity, amount }| {
        vec![orders.into(), lines.into(), quantity.into(), amount.into()]
    };
    sums.into_iter().map(|(key, sum)| (key, cells(sum))).collect()
}

fn by_day(books: &Books) -> Rows<'_> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (entry, order) in sold(books) {
        let day = &format_timestamp(order.placed_at)[..10];
        let sum = sums.entry(format!("{day} {}", order.total.currency)).or_default();
        sum.orders += 1;
        for (line, refunded) in refunded_lines(entry, order) {
            sum.add(line, refunded);
        }
    }
    rows(sums)
}

fn by_product(books: &Books) -> Rows<'_> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (entry, order) in sold(books) {
        let mut seen = BTreeSet::new();
        for (line, refunded) in refunded_lines(entry, order) {
            let sku = books.orders.sku(line);
            let sum = sums.entry(format!("{sku} {}", order.total.currency)).or_default();
            sum.orders += i64::from(seen.insert(sku));
            sum.add(line, refunded);
        }
    }
    rows(sums)
}

/// The orders that count: paid, and neither cancelled nor given back whole.
fn sold(books: &Books) -> impl Iterator<Item = (&OrderEntry, &PlacedOrder)> {
    books.orders.orders.values().filter_map(|entry| {
        let order = entry.placed()?;
        let kept = entry.paid.is_some() && !entry.is_cancelled();
        (kept && order.refunds.total().minor < order.total.minor).then_some((entry, order))
    })
}

/// The lines, each with its share of what was refunded: what has gone to it and those before it
/// is rounded down, so that the shares add up to the refund.
fn refunded_lines(
    entry: &OrderEntry,
    order: &PlacedOrder,
) -> impl Iterator<Item = (SoldLine, i64)> {
    let refund = i128::from(order.refunds.total().minor);
    let total = i128::from(order.total.minor).max(1);
    let mut sold = 0_i128;
    let mut given = 0_i128;
    entry.sold.iter().map(move |line| {
        sold += i128::from(line.amount);
        let share = refund * sold / total - given;
        given += share;
        (*line, i64::try_from(share).unwrap_or(i64::MAX))
    })
}
