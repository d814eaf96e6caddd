//! Given some events, when a command comes, then events follow or a rule says no.

use std::fmt::Debug;

use daybook_domain::values::{
    Currency, CustomerId, Label, Money, OrderId, PaymentId, PaymentMethod, Quantity, SellerId, Sku,
    Timestamp,
};
use daybook_domain::{Decider, fold};
use uuid::Uuid;

/// An aggregate with a past.
pub(crate) struct Given<D: Decider>(D::State);

pub(crate) fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    Given(fold::<D>(&events.into_iter().collect::<Vec<_>>()))
}

impl<D: Decider> Given<D> {
    pub(crate) fn when(self, command: D::Command) -> When<D> {
        When { decision: D::decide(&self.0, command), state: self.0 }
    }
}

/// What a command came to.
pub(crate) struct When<D: Decider> {
    state: D::State,
    decision: Result<Vec<D::Event>, D::Rejection>,
}

impl<D: Decider> When<D>
where
    D::Event: Debug + PartialEq,
    D::Rejection: PartialEq,
{
    /// Exactly these events follow; the state after them is given back.
    #[track_caller]
    pub(crate) fn then(self, expected: impl IntoIterator<Item = D::Event>) -> D::State {
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(self.decision.as_ref(), Ok(&expected));
        expected.iter().fold(self.state, D::evolve)
    }

    /// The effect was there before.
    #[track_caller]
    pub(crate) fn then_nothing(self) {
        self.then([]);
    }

    /// This rule was broken.
    #[track_caller]
    pub(crate) fn then_rejected(self, expected: D::Rejection) {
        assert_eq!(self.decision, Err(expected));
    }
}

pub(crate) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_micros(minutes * 60_000_000)
}

pub(crate) fn sku(text: &str) -> Sku {
    text.parse().expect("a SKU")
}

pub(crate) fn seller(text: &str) -> SellerId {
    text.parse().expect("a seller")
}

pub(crate) fn label(text: &str) -> Label {
    text.parse().expect("a name")
}

pub(crate) fn method() -> PaymentMethod {
    "tok_visa".parse().expect("a payment method")
}

pub(crate) fn quantity(n: i64) -> Quantity {
    Quantity::try_from(n).expect("a quantity")
}

pub(crate) fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

pub(crate) fn gbp(minor: i64) -> Money {
    Money::new(minor, currency("GBP"))
}

pub(crate) fn eur(minor: i64) -> Money {
    Money::new(minor, currency("EUR"))
}

pub(crate) fn order_id(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

pub(crate) fn customer_id() -> CustomerId {
    CustomerId(Uuid::from_u128(0xC))
}

pub(crate) fn some_payment(n: u128) -> PaymentId {
    PaymentId(Uuid::from_u128(n))
}
