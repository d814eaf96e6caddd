//! Events as the platform writes them, put into a store by hand.

use daybook_domain::checkout::{Checkout, CheckoutFact, CheckoutInput, payment_id};
use daybook_domain::customer::CustomerEvent;
use daybook_domain::fulfilment::{Fulfilment, FulfilmentFact, FulfilmentInput};
use daybook_domain::order::{OrderEvent, OrderLine, ShippedItem};
use daybook_domain::payment::PaymentEvent;
use daybook_domain::product::ProductEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{
    CustomerId, Money, OrderId, PaymentId, Quantity, SellerId, Sku, Timestamp,
};
use daybook_event_schemas::{Actor, Advanced, Contract, Metadata, ProcessForm, open, seal};
use daybook_event_store::Direction::Forward;
use daybook_event_store::{Appended, EventStore, Expected, NewEvent, Revision, Store, StreamId};
use futures::TryStreamExt;
use uuid::Uuid;

/// The business time of everything that happens: 2011-12-09T12:50:00Z.
pub(crate) const AT: Timestamp = Timestamp::from_micros(1_323_435_000_000_000);
/// Far ahead of any test.
pub(crate) const LATER: Timestamp = Timestamp::from_micros(4_102_444_800_000_000);

pub(crate) const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(0xc));

pub(crate) fn order_id(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

pub(crate) fn payment_of(n: u128) -> PaymentId {
    payment_id(order_id(n))
}

pub(crate) fn pounds(minor: i64) -> Money {
    Money::new(minor, "GBP".parse().unwrap())
}

pub(crate) fn quantity(n: i64) -> Quantity {
    n.try_into().unwrap()
}

pub(crate) fn sku(sku: &str) -> Sku {
    sku.parse().unwrap()
}

pub(crate) fn seller() -> SellerId {
    "acme".parse().unwrap()
}

pub(crate) fn listed(of: &str, name: &str, price: i64) -> ProductEvent {
    ProductEvent::Listed {
        sku: sku(of),
        seller: seller(),
        name: name.parse().unwrap(),
        description: String::new(),
        category: "Home".parse().unwrap(),
        brand: None,
        price: pounds(price),
        at: AT,
    }
}

pub(crate) fn received(n: i64, receipt: &str) -> StockEvent {
    StockEvent::Received { quantity: quantity(n), receipt: receipt.into(), at: AT }
}

pub(crate) fn reserved(n: u128, count: i64) -> StockEvent {
    let (order, quantity) = (order_id(n), quantity(count));
    StockEvent::Reserved { order, quantity, expires_at: LATER, at: AT }
}

pub(crate) fn committed(n: u128, count: i64) -> StockEvent {
    StockEvent::Committed { order: order_id(n), quantity: quantity(count), at: AT }
}

/// Two cups and a tin: 1,300 pence.
pub(crate) fn placed(n: u128) -> OrderEvent {
    let line = |of, name: &str, count, price| OrderLine {
        sku: sku(of),
        seller: seller(),
        name: name.parse().unwrap(),
        quantity: quantity(count),
        unit_price: pounds(price),
    };
    OrderEvent::Placed {
        order: order_id(n),
        customer: CUSTOMER,
        lines: vec![line("CUP", "Red cup", 2, 250), line("TIN", "Cake tin", 1, 800)],
        total: pounds(1_300),
        method: "tok_visa".parse().unwrap(),
        at: AT,
    }
}

pub(crate) fn requested(n: u128, minor: i64) -> PaymentEvent {
    PaymentEvent::Requested {
        payment: payment_of(n),
        order: order_id(n),
        amount: pounds(minor),
        method: "tok_visa".parse().unwrap(),
        at: AT,
    }
}

pub(crate) fn authorized(n: u128, minor: i64) -> PaymentEvent {
    let (order, amount) = (order_id(n), pounds(minor));
    PaymentEvent::Authorized { order, amount, reference: format!("auth-{n}"), at: AT }
}

pub(crate) fn captured(n: u128, name: &str, minor: i64, total: i64) -> PaymentEvent {
    PaymentEvent::Captured {
        order: order_id(n),
        capture: name.into(),
        amount: pounds(minor),
        captured: pounds(total),
        at: AT,
    }
}

/// A store, and what was written to it.
pub(crate) struct Story {
    pub(crate) store: Store,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self { store: Store::memory() }
    }

    pub(crate) async fn write(&self, stream: &str, event: NewEvent) -> Appended {
        let stream: StreamId = stream.parse().unwrap();
        self.store.append(&stream, Expected::Any, vec![event]).await.unwrap()
    }

    pub(crate) async fn tell<E: Contract>(&self, stream: &str, event: E) -> Appended {
        self.write(stream, sealed(&event)).await
    }

    pub(crate) async fn stock(&self, sku: &str, event: StockEvent) -> Appended {
        self.tell(&format!("stock-{sku}"), event).await
    }

    pub(crate) async fn order(&self, n: u128, event: OrderEvent) -> Appended {
        self.tell(&format!("order-{}", order_id(n)), event).await
    }

    pub(crate) async fn payment(&self, n: u128, event: PaymentEvent) -> Appended {
        self.tell(&format!("payment-{}", payment_of(n)), event).await
    }

    pub(crate) async fn checkout(&self, n: u128, facts: &[CheckoutFact]) -> Appended {
        let input =
            |what: &CheckoutFact| CheckoutInput { order: order_id(n), at: AT, what: what.clone() };
        self.advance::<Checkout>(n, facts.iter().map(input).collect()).await
    }

    pub(crate) async fn fulfilment(&self, n: u128, facts: &[FulfilmentFact]) -> Appended {
        let input = |what: &FulfilmentFact| FulfilmentInput {
            order: order_id(n),
            at: AT,
            what: what.clone(),
        };
        self.advance::<Fulfilment>(n, facts.iter().map(input).collect()).await
    }

    async fn advance<P: ProcessForm>(&self, n: u128, inputs: Vec<P::Input>) -> Appended {
        let stream = format!("{}-{}", P::NAME, order_id(n));
        let records = self.store.read(&stream.parse().unwrap(), Revision::START, Forward);
        let records: Vec<_> = records.try_collect().await.unwrap();
        let records = records.iter().map(|record| open::<Advanced<P>>(record).unwrap().unwrap());
        let before = records.flat_map(|record| record.event.inputs);
        let mut state = before.fold(P::State::default(), |state, input| P::evolve(state, &input));
        let mut effects = vec![];
        for input in &inputs {
            effects.extend(P::react(&state, input));
            state = P::evolve(state, input);
        }
        let upto = self.store.head().await.unwrap().map_or(0, |position| position.0);
        self.tell(&stream, Advanced::<P> { inputs, effects, upto }).await
    }

    /// Products, stock and a customer.
    pub(crate) async fn opened() -> Self {
        let story = Self::new();
        story.tell("product-CUP", listed("CUP", "Red cup", 250)).await;
        story.tell("product-TIN", listed("TIN", "Cake tin", 800)).await;
        story.stock("CUP", received(10, "first")).await;
        story.stock("TIN", received(10, "first")).await;
        let registered = CustomerEvent::Registered {
            customer: CUSTOMER,
            name: "Ada".parse().unwrap(),
            email: Some("ada@example.com".parse().unwrap()),
            country: Some("GB".parse().unwrap()),
            at: AT,
        };
        story.tell(&format!("customer-{CUSTOMER}"), registered).await;
        story
    }

    /// An order is placed, and its stock is reserved.
    pub(crate) async fn reserve(&self, n: u128) {
        self.order(n, placed(n)).await;
        let items = vec![(sku("CUP"), quantity(2)), (sku("TIN"), quantity(1))];
        let (total, method) = (pounds(1_300), "tok_visa".parse().unwrap());
        self.checkout(n, &[CheckoutFact::OrderPlaced { items, total, method }]).await;
        self.stock("CUP", reserved(n, 2)).await;
        self.stock("TIN", reserved(n, 1)).await;
        let reserved = |of| CheckoutFact::Reserved { sku: sku(of) };
        self.checkout(n, &[reserved("CUP"), reserved("TIN")]).await;
        self.order(n, OrderEvent::Confirmed { at: AT }).await;
        self.checkout(n, &[CheckoutFact::OrderConfirmed]).await;
    }

    /// It is paid.
    pub(crate) async fn pay(&self, n: u128) {
        self.payment(n, requested(n, 1_300)).await;
        self.payment(n, authorized(n, 1_300)).await;
        self.checkout(n, &[CheckoutFact::PaymentAuthorized]).await;
        self.payment(n, captured(n, "capture", 1_300, 1_300)).await;
        self.checkout(n, &[CheckoutFact::PaymentCaptured { captured: pounds(1_300) }]).await;
        let (payment, amount) = (payment_of(n), pounds(1_300));
        self.order(n, OrderEvent::Paid { payment, amount, at: AT }).await;
        self.checkout(n, &[CheckoutFact::OrderPaid]).await;
    }

    /// It is shipped and fulfilled.
    pub(crate) async fn fulfil(&self, n: u128) {
        let item = |of, count| ShippedItem { sku: sku(of), quantity: quantity(count) };
        let items = vec![item("CUP", 2), item("TIN", 1)];
        let shipped =
            OrderEvent::Shipped { seller: seller(), items, tracking: "RM1".into(), at: AT };
        self.order(n, shipped).await;
        self.checkout(n, &[CheckoutFact::OrderShipped]).await;
        let skus = vec![sku("CUP"), sku("TIN")];
        self.fulfilment(n, &[FulfilmentFact::Shipped { seller: seller(), skus }]).await;
        self.stock("CUP", committed(n, 2)).await;
        self.stock("TIN", committed(n, 1)).await;
        let committed = |of| FulfilmentFact::Committed { sku: sku(of) };
        self.fulfilment(n, &[committed("CUP"), committed("TIN")]).await;
        self.order(n, OrderEvent::Fulfilled { seller: seller(), at: AT }).await;
        let done = FulfilmentFact::SellerFulfilled { seller: seller(), last: true };
        self.fulfilment(n, &[done]).await;
    }

    /// An order from beginning to end.
    pub(crate) async fn sell(&self, n: u128) {
        self.reserve(n).await;
        self.pay(n).await;
        self.fulfil(n).await;
    }
}

pub(crate) fn sealed<E: Contract>(event: &E) -> NewEvent {
    let metadata = Metadata {
        schema_version: 1,
        correlation_id: Uuid::from_u128(1),
        causation_id: Uuid::from_u128(2),
        actor: Actor("test:story".into()),
        traceparent: None,
    };
    seal(Uuid::now_v7(), event, &metadata)
}
