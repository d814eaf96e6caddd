//! What the five aggregates write.

mod customer;
mod order;
mod payment;
mod product;
mod stock;

use daybook_domain::customer::CustomerEvent;
use daybook_domain::order::OrderEvent;
use daybook_domain::payment::PaymentEvent;
use daybook_domain::product::ProductEvent;
use daybook_domain::stock::StockEvent;

use crate::{Contract, DecodeError, Wire};

/// What happened to any aggregate: for readers that follow several categories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainEvent {
    /// To a product.
    Product(ProductEvent),
    /// To a stock.
    Stock(StockEvent),
    /// To an order.
    Order(OrderEvent),
    /// To a payment.
    Payment(PaymentEvent),
    /// To a customer.
    Customer(CustomerEvent),
}

const PARTS: [&[&str]; 5] = [
    ProductEvent::KINDS,
    StockEvent::KINDS,
    OrderEvent::KINDS,
    PaymentEvent::KINDS,
    CustomerEvent::KINDS,
];

const COUNT: usize =
    PARTS[0].len() + PARTS[1].len() + PARTS[2].len() + PARTS[3].len() + PARTS[4].len();

const ALL: [&str; COUNT] = {
    let mut all = [""; COUNT];
    let (mut part, mut kind, mut count) = (0, 0, 0);
    while part < PARTS.len() {
        if kind == PARTS[part].len() {
            (part, kind) = (part + 1, 0);
        } else {
            all[count] = PARTS[part][kind];
            (kind, count) = (kind + 1, count + 1);
        }
    }
    all
};

impl Contract for DomainEvent {
    const KINDS: &'static [&'static str] = &ALL;

    fn encode(&self) -> Wire {
        match self {
            Self::Product(event) => event.encode(),
            Self::Stock(event) => event.encode(),
            Self::Order(event) => event.encode(),
            Self::Payment(event) => event.encode(),
            Self::Customer(event) => event.encode(),
        }
    }

    fn decode(kind: &str, version: u16, data: &[u8]) -> Result<Option<Self>, DecodeError> {
        fn read<E: Contract>(
            of: fn(E) -> DomainEvent,
            (kind, version, data): (&str, u16, &[u8]),
        ) -> Result<Option<DomainEvent>, DecodeError> {
            Ok(E::decode(kind, version, data)?.map(of))
        }
        let wire = (kind, version, data);
        match PARTS.iter().position(|kinds| kinds.contains(&kind)) {
            Some(0) => read(Self::Product, wire),
            Some(1) => read(Self::Stock, wire),
            Some(2) => read(Self::Order, wire),
            Some(3) => read(Self::Payment, wire),
            Some(4) => read(Self::Customer, wire),
            _ => Err(DecodeError::UnknownKind { kind: kind.into() }),
        }
    }
}
