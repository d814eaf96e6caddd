//! What the consumers have made, on standard output.

use std::io::Write as _;

use daybook_query_side::Money;
use daybook_query_side::outcomes::{Cancellations, Figures, Notification, ProductDemand, Report};

use crate::cli::Output;

/// The history of notifications.
pub(super) fn notifications(list: &[Notification], output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output == Output::Json {
        writeln!(out, "{}", serde_json::to_string(list)?)?;
        return Ok(());
    }
    for notification in list {
        if output == Output::Jsonl {
            writeln!(out, "{}", serde_json::to_string(notification)?)?;
            continue;
        }
        let Notification { id, order, kind, channel, status, via, address, error, .. } =
            notification;
        let to = address.as_deref().unwrap_or("nobody yet");
        let via = via.as_ref().map_or(String::new(), |via| format!(" via {via}"));
        let error = error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        writeln!(out, "{id}  {kind} of order {order}, {channel} to {to}, {status}{via}{error}")?;
    }
    Ok(())
}

/// The figures of some days.
pub(super) fn figures(report: &Report, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    let money = |Money { amount, currency }: &Money| format!("{amount} {currency} minor");
    for Figures { from, placed, paid, conversion, revenue, refunded } in &report.figures {
        let conversion = conversion.as_deref().unwrap_or("-");
        let (revenue, refunded) = (money(revenue), money(refunded));
        writeln!(
            out,
            "{from}  placed {placed}, paid {paid} ({conversion}), revenue {revenue}, refunded {refunded}"
        )?;
    }
    for Cancellations { reason, orders } in &report.cancellations {
        writeln!(out, "cancelled, {reason}: {orders}")?;
    }
    for ProductDemand { sku, quantity, amount } in &report.top_products {
        writeln!(out, "ordered {sku}: {quantity} for {}", money(amount))?;
    }
    Ok(())
}
