use daybook_domain::checkout::Checkout;
use daybook_domain::customer::Customer;
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::order::Order;
use daybook_domain::payment::Payment;
use daybook_domain::product::Product;
use daybook_domain::stock::Stock;
use daybook_domain::values::InvalidValue;
use daybook_domain::{Decider, ProcessManager};
use daybook_event_schemas::runtime::{CheckpointRecord, CommandRecord, ParkingRecord};
use daybook_event_schemas::{Advanced, Contract, DecodeError, Envelope, open};
use daybook_event_store::Recorded;
use thiserror::Error;

use super::log::Log;
use super::orders::OrderBook;
use super::parties::PartyBook;
use super::payments::PaymentBook;
use super::processes::{CheckoutBook, ParkedBook};
use super::stock::StockBook;

/// Everything that the events say, in one pass over them. It grows with the number of aggregates
/// and of reservations, not with the number of events.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) log: Log,
    pub(super) stock: StockBook,
    pub(super) orders: OrderBook,
    pub(super) payments: PaymentBook,
    pub(super) checkouts: CheckoutBook,
    pub(super) parties: PartyBook,
    pub(super) parked: ParkedBook,
}

/// Why an event cannot be understood.
#[derive(Debug, Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Event(#[from] DecodeError),
    #[error("the stream's name: {0}")]
    Stream(#[from] InvalidValue),
}

impl Books {
    pub(super) fn apply(&mut self, event: &Recorded) {
        self.log.apply(event);
        if let Err(error) = self.post(event) {
            self.log.note_unreadable(event, &error);
        }
    }

    fn post(&mut self, event: &Recorded) -> Result<(), Unreadable> {
        match event.stream.category() {
            Product::CATEGORY => read(event, |event| self.parties.apply_product(event)),
            Customer::CATEGORY => {
                let customer = event.stream.id().parse()?;
                read(event, |event| self.parties.apply_customer(customer, event))
            }
            Fulfilment::NAME => read(event, |_: &Envelope<Advanced<Fulfilment>>| {}),
            Stock::CATEGORY => read(event, |event| self.stock.apply(event)),
            Order::CATEGORY => {
                let order = event.stream.id().parse()?;
                read(event, |opened| self.orders.apply(order, &event.kind, opened))
            }
            Payment::CATEGORY => {
                let payment = event.stream.id().parse()?;
                read(event, |event| self.payments.apply(payment, event))
            }
            Checkout::NAME => {
                let order = event.stream.id().parse()?;
                read(event, |record| self.checkouts.apply(order, record))
            }
            _ => self.post_other(event),
        }
    }

    /// What the platform writes for itself, wherever that is.
    fn post_other(&mut self, event: &Recorded) -> Result<(), Unreadable> {
        let kind = &&*event.kind;
        if ParkingRecord::KINDS.contains(kind) {
            read(event, |record| self.parked.apply(record))
        } else if CommandRecord::KINDS.contains(kind) {
            read(event, |_: &Envelope<CommandRecord>| {})
        } else if CheckpointRecord::KINDS.contains(kind) {
            read(event, |_: &Envelope<CheckpointRecord>| {})
        } else {
            self.log.pass_over();
            Ok(())
        }
    }
}

fn read<E: Contract>(event: &Recorded, post: impl FnOnce(&Envelope<E>)) -> Result<(), Unreadable> {
    if let Some(event) = open(event)? {
        post(&event);
    }
    Ok(())
}
