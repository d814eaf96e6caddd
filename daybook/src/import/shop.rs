//! What an import needs of a shop, whether it runs in this process or behind an API.

use daybook_domain::values::{
    Country, Currency, CustomerId, Label, Money, OrderId, Quantity, SellerId, Sku, Timestamp,
};
use uuid::Uuid;

use super::online_retail::Invoice;

/// Namespace of all ids that are derived from the file's own numbers (UUIDv5).
const NAMESPACE: Uuid = Uuid::from_u128(0x2f0c_6a43_7b0e_5d1c_9a55_0d2e_7c41_b8f3);

/// The means of payment of every imported order: the simulated provider approves it.
pub(crate) const PAYMENT_METHOD: &str = "tok_approve";

/// The id of the customer with this number.
pub(crate) fn customer_id(number: &str) -> CustomerId {
    CustomerId(Uuid::new_v5(&NAMESPACE, format!("customer {number}").as_bytes()))
}

/// The id of the order of the invoice with this number.
pub(crate) fn order_id(invoice: &str) -> OrderId {
    OrderId(Uuid::new_v5(&NAMESPACE, format!("invoice {invoice}").as_bytes()))
}

/// The id of the command that does `what` to something: the same in every run.
pub(crate) fn command_id(what: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("command {what}").as_bytes())
}

/// The currency of the file.
pub(crate) fn pounds(pence: i64) -> Money {
    Money::new(pence, sterling())
}

pub(crate) fn sterling() -> Currency {
    #[expect(clippy::expect_used, reason = "GBP is a currency")]
    "GBP".parse().expect("a currency")
}

/// The file's only seller.
pub(crate) fn seller() -> SellerId {
    #[expect(clippy::expect_used, reason = "the name has the form of a seller's")]
    "online-retail".parse().expect("a seller")
}

/// A product to be sold, and how many of it.
#[derive(Debug, Clone)]
pub(crate) struct Supply {
    pub(crate) sku: Sku,
    pub(crate) name: Label,
    pub(crate) price: Money,
    pub(crate) quantity: Quantity,
    /// Names the delivery.
    pub(crate) receipt: String,
    pub(crate) at: Timestamp,
}

/// A customer to be known.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: CustomerId,
    pub(crate) name: Label,
    pub(crate) country: Option<Country>,
    pub(crate) at: Timestamp,
}

/// Somewhere orders can be placed. Every call can be repeated without harm.
pub(crate) trait Shop: Send + Sync {
    /// Lists a product and receives its stock.
    fn supply(&self, supply: Supply) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Registers a customer.
    fn register(&self, person: Person) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Takes an invoice from placed to fulfilled, and returns what was captured for it.
    fn trade(&self, invoice: Invoice) -> impl Future<Output = anyhow::Result<Money>> + Send;

    /// How many events the shop's store holds.
    fn events(&self) -> impl Future<Output = anyhow::Result<u64>> + Send;

    /// Waits until the read models show everything that was done.
    fn settle(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}
