//! From recorded events to a state in JSON, whatever the category.

use daybook_domain::checkout::Checkout;
use daybook_domain::customer::Customer;
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::order::Order;
use daybook_domain::payment::Payment;
use daybook_domain::product::Product;
use daybook_domain::stock::Stock;
use daybook_domain::{Decider, ProcessManager};
use daybook_event_schemas::{Advanced, Contract, DecodeError, ProcessForm, open};
use daybook_event_store::{Recorded, Revision};
use serde_json::Value;

use super::view;

/// The categories that have a state.
pub(super) const CATEGORIES: [&str; 7] = [
    Product::CATEGORY,
    Stock::CATEGORY,
    Order::CATEGORY,
    Payment::CATEGORY,
    Customer::CATEGORY,
    Checkout::NAME,
    Fulfilment::NAME,
];

/// An event that cannot be understood, by its revision.
pub(super) type Failed = (Revision, DecodeError);

/// What the events of a stream add up to. `null` where the category has no state.
pub(super) fn state(category: &str, events: &[Recorded]) -> Result<Value, Failed> {
    match category {
        Product::CATEGORY => Ok(view::product(&aggregate::<Product>(events)?)),
        Stock::CATEGORY => Ok(view::stock(&aggregate::<Stock>(events)?)),
        Order::CATEGORY => Ok(view::order(&aggregate::<Order>(events)?)),
        Payment::CATEGORY => Ok(view::payment(&aggregate::<Payment>(events)?)),
        Customer::CATEGORY => Ok(view::customer(&aggregate::<Customer>(events)?)),
        Checkout::NAME => Ok(view::checkout(&process::<Checkout>(events)?)),
        Fulfilment::NAME => Ok(view::fulfilment(&process::<Fulfilment>(events)?)),
        _ => Ok(Value::Null),
    }
}

fn aggregate<D: Decider<Event: Contract>>(events: &[Recorded]) -> Result<D::State, Failed> {
    fold(events, D::evolve)
}

fn process<P: ProcessForm>(records: &[Recorded]) -> Result<P::State, Failed> {
    fold(records, |state, record: &Advanced<P>| record.inputs.iter().fold(state, P::evolve))
}

fn fold<E: Contract, S: Default>(
    events: &[Recorded],
    evolve: impl Fn(S, &E) -> S,
) -> Result<S, Failed> {
    events.iter().try_fold(S::default(), |state, recorded| {
        let event = open::<E>(recorded).map_err(|error| (recorded.revision, error))?;
        Ok(event.iter().fold(state, |state, event| evolve(state, &event.event)))
    })
}
