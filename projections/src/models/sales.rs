use std::collections::HashSet;
use std::sync::Arc;

use daybook_domain::order::{OrderEvent, OrderLine};
use daybook_event_schemas::{Envelope, format_timestamp};
use daybook_event_store::Filter;
use uuid::Uuid;

use super::{KEEP, id};
use crate::projection::{ApplyError, Projection};
use crate::row::{row, words};
use crate::rows::{Buffer, Rows, Sums};

row! {
    /// What an order adds to the sums.
    OrderRow in "sales_orders" {
        key { order_id: Uuid }
        day: Arc<str>,
        currency: Arc<str>,
        lines: Arc<str>,
        refunded: i64,
        stage: Stage,
    }
}

row! {
    /// The sums of a day.
    DayRow in "sales_by_day" {
        key { day: Arc<str>, currency: Arc<str> }
        orders: i64,
        lines: i64,
        quantity: i64,
        amount: i64,
    }
}

row! {
    /// The sums of a product.
    ProductRow in "sales_by_product" {
        key { sku: Arc<str>, currency: Arc<str> }
        orders: i64,
        lines: i64,
        quantity: i64,
        amount: i64,
    }
}

words! {
    /// Whether an order counts.
    Stage { Unpaid = "unpaid", Paid = "paid", Cancelled = "cancelled" }
}

/// Paid orders by day and by product, less what was cancelled or refunded.
///
/// An order counts from its payment on, on the day on which it was placed. A refund lowers the
/// amount; a cancellation, or a refund of everything, takes the order out again.
pub(crate) struct Sales {
    orders: Rows<OrderRow>,
    days: Sums<DayRow>,
    products: Sums<ProductRow>,
}

/// A line as it is kept: SKU, quantity, amount.
type Line = (String, i64, i64);

impl Projection for Sales {
    const NAME: &'static str = "sales";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = include_str!("../../migrations/models/sales.sql");
    const TABLES: &'static [&'static str] = &["sales_orders", "sales_by_day", "sales_by_product"];
    type Event = OrderEvent;

    fn new(generation: u32) -> Self {
        let (days, products) = (Sums::new(generation), Sums::new(generation));
        Self { orders: Rows::new(generation, KEEP), days, products }
    }

    fn filter() -> Filter {
        Filter::kinds(&["OrderPlaced", "OrderPaid", "OrderCancelled", "OrderRefunded"])
    }

    fn prepare(&mut self, event: &Envelope<OrderEvent>) {
        if let Ok(id) = id(event) {
            self.orders.want_at(event.revision, (id,));
        }
    }

    fn apply(&mut self, event: &Envelope<OrderEvent>) -> Result<(), ApplyError> {
        let order_id = id(event)?;
        if let OrderEvent::Placed { lines, total, at, .. } = &event.event {
            self.orders.put(OrderRow {
                order_id,
                day: format_timestamp(*at)[..10].into(),
                currency: total.currency.code().into(),
                lines: to_json(lines)?.into(),
                refunded: 0,
                stage: Stage::Unpaid,
            });
            return Ok(());
        }
        let order = self.orders.change(&(order_id,))?;
        let before = Share::of(order)?;
        match &event.event {
            OrderEvent::Paid { .. } if order.stage == Stage::Unpaid => order.stage = Stage::Paid,
            OrderEvent::Cancelled { .. } => order.stage = Stage::Cancelled,
            OrderEvent::Refunded { refunded, .. } => order.refunded = refunded.minor,
            _ => {}
        }
        let after = Share::of(order)?;
        let (day, currency) = (order.day.clone(), order.currency.clone());
        self.add(&day, &currency, &before, -1)?;
        self.add(&day, &currency, &after, 1)
    }

    fn buffers(&mut self) -> Vec<&mut dyn Buffer> {
        vec![&mut self.orders, &mut self.days, &mut self.products]
    }
}

impl Sales {
    /// Adds an order's share to the sums, or takes it out with a sign of -1.
    fn add(
        &mut self,
        day: &Arc<str>,
        currency: &Arc<str>,
        share: &Share,
        sign: i64,
    ) -> Result<(), ApplyError> {
        let Some(lines) = &share.lines else { return Ok(()) };
        let mut skus = HashSet::new();
        for (n, (sku, quantity, amount)) in lines.iter().enumerate() {
            let (quantity, amount) = (sign * quantity, sign * amount);
            self.days.add(&DayRow {
                day: day.clone(),
                currency: currency.clone(),
                orders: if n == 0 { sign } else { 0 },
                lines: sign,
                quantity,
                amount,
            })?;
            self.products.add(&ProductRow {
                sku: sku.clone(),
                currency: currency.clone(),
                orders: if skus.insert(sku) { sign } else { 0 },
                lines: sign,
                quantity,
                amount,
            })?;
        }
        Ok(())
    }
}

/// What an order adds to the sums: its lines with what is left of their amounts. `None`: nothing.
struct Share {
    lines: Option<Vec<(Arc<str>, i64, i64)>>,
}

impl Share {
    fn of(order: &OrderRow) -> Result<Self, ApplyError> {
        if order.stage != Stage::Paid {
            return Ok(Self { lines: None });
        }
        let lines: Vec<Line> = serde_json::from_str(&order.lines)
            .map_err(|_| ApplyError::Range { what: "the stored form of an order's lines" })?;
        let total = lines.iter().map(|line| i128::from(line.2)).sum();
        if order.refunded > 0 && i128::from(order.refunded) >= total {
            return Ok(Self { lines: None });
        }
        let amounts: Vec<_> = lines.iter().map(|line| line.2).collect();
        let refunds = spread(order.refunded, amounts, total);
        let left = lines
            .into_iter()
            .zip(refunds)
            .map(|((sku, quantity, amount), back)| (sku.into(), quantity, amount - back));
        Ok(Self { lines: Some(left.collect()) })
    }
}

/// Spreads a refund over amounts by their share of the total, to the penny: the parts add up to
/// the refund, whatever is rounded.
fn spread(refund: i64, amounts: Vec<i64>, total: i128) -> impl Iterator<Item = i64> {
    let upto = move |sum: i128| i64::try_from(i128::from(refund) * sum / total.max(1)).unwrap_or(0);
    amounts.into_iter().scan(0_i128, move |sum, amount| {
        let before = upto(*sum);
        *sum += i128::from(amount);
        Some(upto(*sum) - before)
    })
}

fn to_json(lines: &[OrderLine]) -> Result<String, ApplyError> {
    let line = |line: &OrderLine| -> Result<Line, ApplyError> {
        let amount = line.unit_price.times(line.quantity);
        let amount = amount.map_err(|_| ApplyError::Range { what: "the amount of a line" })?;
        Ok((line.sku.to_string(), i64::from(line.quantity), amount.minor))
    };
    let lines = lines.iter().map(line).collect::<Result<Vec<_>, _>>()?;
    Ok(serde_json::to_string(&lines).unwrap_or_default())
}
