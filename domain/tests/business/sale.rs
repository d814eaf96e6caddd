use std::collections::{BTreeMap, VecDeque};

use daybook_domain::checkout::{
    CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutState, payment_id,
};
use daybook_domain::fulfilment::{
    FulfilmentCommand, FulfilmentFact, FulfilmentInput, FulfilmentState,
};
use daybook_domain::order::{OrderEvent, OrderState};
use daybook_domain::payment::{PaymentEvent, PaymentState};
use daybook_domain::values::{OrderId, SellerId, Sku, Timestamp};

use crate::provider::{Plan, Provider};

/// A command on its way. Its number is its identity when it is carried out again.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) number: usize,
    pub(crate) command: CheckoutCommand,
}

/// Where facts come from; those of one source arrive in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Order,
    Payment,
    Stock(Sku),
    Runtime,
}

/// One order and all that belongs to it.
pub(crate) struct Sale {
    pub(crate) id: OrderId,
    pub(crate) order: OrderState,
    pub(crate) payment: PaymentState,
    pub(crate) provider: Provider,
    pub(crate) checkout: CheckoutState,
    pub(crate) fulfilment: FulfilmentState,
    pub(crate) operator_refunded: i64,
    pub(crate) facts: BTreeMap<Source, VecDeque<CheckoutInput>>,
    pub(crate) delivered: Vec<CheckoutInput>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) carried_out: Vec<Job>,
    pub(crate) next_job: usize,
    pub(crate) due: Option<Timestamp>,
    pub(crate) fulfilment_facts: VecDeque<FulfilmentInput>,
    pub(crate) fulfilment_jobs: VecDeque<FulfilmentCommand>,
}

impl Sale {
    pub(crate) fn new(id: OrderId, plan: Plan) -> Self {
        Self {
            id,
            order: OrderState::default(),
            payment: PaymentState::default(),
            provider: Provider::new(plan),
            checkout: CheckoutState::default(),
            fulfilment: FulfilmentState::default(),
            operator_refunded: 0,
            facts: BTreeMap::new(),
            delivered: vec![],
            jobs: vec![],
            carried_out: vec![],
            next_job: 0,
            due: None,
            fulfilment_facts: VecDeque::new(),
            fulfilment_jobs: VecDeque::new(),
        }
    }

    pub(crate) fn tell(&mut self, source: Source, input: CheckoutInput) {
        self.facts.entry(source).or_default().push_back(input);
    }

    pub(crate) fn tell_of(&mut self, source: Source, at: Timestamp, what: CheckoutFact) {
        self.tell(source, CheckoutInput { order: self.id, at, what });
    }

    pub(crate) fn tell_fulfilment(&mut self, at: Timestamp, what: FulfilmentFact) {
        self.fulfilment_facts.push_back(FulfilmentInput { order: self.id, at, what });
    }

    pub(crate) fn order_happened(&mut self, now: Timestamp, event: OrderEvent) {
        let what = match event {
            OrderEvent::Placed { lines, total, method, .. } => {
                let items = daybook_domain::order::items(&lines);
                let items = items.into_iter().map(|item| (item.sku, item.quantity)).collect();
                CheckoutFact::OrderPlaced { items, total, method }
            }
            OrderEvent::Confirmed { .. } => CheckoutFact::OrderConfirmed,
            OrderEvent::Paid { .. } => CheckoutFact::OrderPaid,
            OrderEvent::Cancelled { reason, .. } => CheckoutFact::OrderCancelled { reason },
            OrderEvent::Shipped { seller, items, .. } => {
                let skus = items.into_iter().map(|item| item.sku).collect();
                self.tell_fulfilment(now, FulfilmentFact::Shipped { seller, skus });
                CheckoutFact::OrderShipped
            }
            OrderEvent::PartiallyFulfilled { seller, .. } => {
                return self.seller_fulfilled(now, seller, false);
            }
            OrderEvent::Fulfilled { seller, .. } => {
                return self.seller_fulfilled(now, seller, true);
            }
            OrderEvent::Refunded { .. } => return,
        };
        self.tell_of(Source::Order, now, what);
    }

    fn seller_fulfilled(&mut self, now: Timestamp, seller: SellerId, last: bool) {
        self.tell_fulfilment(now, FulfilmentFact::SellerFulfilled { seller, last });
    }

    pub(crate) fn payment_happened(&mut self, now: Timestamp, event: PaymentEvent) {
        let what = match event {
            PaymentEvent::Requested { payment, .. } => {
                assert_eq!(payment, payment_id(self.id), "a payment of its own");
                return;
            }
            PaymentEvent::Authorized { .. } => CheckoutFact::PaymentAuthorized,
            PaymentEvent::Captured { captured, .. } => CheckoutFact::PaymentCaptured { captured },
            PaymentEvent::Voided { .. } => CheckoutFact::PaymentVoided,
            PaymentEvent::Declined { reason, .. } => CheckoutFact::PaymentDeclined { reason },
            PaymentEvent::Refunded { refund, amount, refunded, .. } => {
                CheckoutFact::PaymentRefunded { refund, amount, refunded }
            }
        };
        self.tell_of(Source::Payment, now, what);
    }
}
