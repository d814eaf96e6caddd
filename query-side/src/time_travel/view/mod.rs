//! States as JSON, for people: what events call something is what it is called here.

mod aggregate;
mod order;
mod process;

pub(super) use aggregate::{customer, payment, product, stock};
use daybook_domain::Ledger;
use daybook_domain::values::{Money, Timestamp};
use daybook_event_schemas::format_timestamp;
pub(super) use order::order;
pub(super) use process::{checkout, fulfilment};
use serde_json::{Map, Value, json};

fn text(value: &impl ToString) -> Value {
    Value::String(value.to_string())
}

fn money(money: Money) -> Value {
    json!({ "amount": money.minor, "currency": money.currency.code() })
}

fn instant(at: Timestamp) -> Value {
    Value::String(format_timestamp(at))
}

/// An object of names and amounts.
fn amounts(ledger: &Ledger) -> Value {
    object(ledger.iter().map(|(name, amount)| (name, money(amount))))
}

fn object(entries: impl IntoIterator<Item = (impl ToString, Value)>) -> Value {
    let entries = entries.into_iter().map(|(name, value)| (name.to_string(), value));
    entries.collect::<Map<_, _>>().into()
}

/// The fields of both objects.
fn merged(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut first), Value::Object(second)) => {
            first.extend(second);
            Value::Object(first)
        }
        (first, _) => first,
    }
}
