use daybook_database::{Error, Row, query};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::row::{Columns, FromRow, one};
use crate::{Instant, Money, Queries, QueryError};

/// A payment as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Its id.
    pub id: Uuid,
    /// For which order.
    pub order: Uuid,
    /// Where it stands: requested, authorized, captured, voided, declined or refunded.
    pub status: String,
    /// How it is paid.
    pub method: String,
    /// How much is owed.
    pub amount: Money,
    /// How much was taken.
    pub captured: Money,
    /// How much was given back.
    pub refunded: Money,
    /// The provider's name for the authorization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the provider said when it declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline: Option<String>,
    /// Business time of the request.
    pub requested_at: Instant,
    /// When its last event was recorded.
    pub updated_at: Instant,
    /// The revision of its stream.
    pub revision: u64,
}

/// A customer's account as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// Their id.
    pub id: Uuid,
    /// Where the account stands: open or closed.
    pub status: String,
    /// What to call them.
    pub name: String,
    /// Where to write to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where they are: ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Business time of the registration.
    pub registered_at: Instant,
    /// When its last event was recorded.
    pub updated_at: Instant,
    /// The revision of its stream.
    pub revision: u64,
}

/// A product as it is, or was last, offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// Stock keeping unit.
    pub sku: String,
    /// Whether it is for sale: listed or delisted.
    pub status: String,
    /// Who sells and ships it.
    pub seller: String,
    /// What customers call it.
    pub name: String,
    /// Free text about it.
    pub description: String,
    /// Where it stands in the catalogue.
    pub category: String,
    /// Who makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Price of one.
    pub price: Money,
    /// Business time of the listing.
    pub listed_at: Instant,
    /// When its last event was recorded.
    pub updated_at: Instant,
    /// The revision of its stream.
    pub revision: u64,
}

impl FromRow for Payment {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id("id")?,
            order: row.id("order_id")?,
            status: row.text("status")?,
            method: row.text("method")?,
            amount: row.money("amount")?,
            captured: row.money("captured")?,
            refunded: row.money("refunded")?,
            reference: row.maybe_text("reference")?,
            decline: row.maybe_text("decline")?,
            requested_at: row.instant("requested_at")?,
            updated_at: row.instant("updated_at")?,
            revision: row.count("revision")?,
        })
    }
}

impl FromRow for Customer {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id("id")?,
            status: row.text("status")?,
            name: row.text("name")?,
            email: row.maybe_text("email")?,
            country: row.maybe_text("country")?,
            registered_at: row.instant("registered_at")?,
            updated_at: row.instant("updated_at")?,
            revision: row.count("revision")?,
        })
    }
}

impl FromRow for Product {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            sku: row.text("sku")?,
            status: row.text("status")?,
            seller: row.text("seller")?,
            name: row.text("name")?,
            description: row.text("description")?,
            category: row.text("category")?,
            brand: row.maybe_text("brand")?,
            price: row.money("price")?,
            listed_at: row.instant("listed_at")?,
            updated_at: row.instant("updated_at")?,
            revision: row.count("revision")?,
        })
    }
}

impl Queries {
    /// A payment.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn payment(&self, id: Uuid) -> Result<Option<Payment>, QueryError> {
        let query = query("SELECT * FROM payments WHERE id = $1").bind(id);
        one(self.of("payments"), query).await
    }

    /// A customer's account.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn customer(&self, id: Uuid) -> Result<Option<Customer>, QueryError> {
        let query = query("SELECT * FROM customers WHERE id = $1").bind(id);
        one(self.of("customers"), query).await
    }

    /// A product, for sale or not.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn product(&self, sku: &str) -> Result<Option<Product>, QueryError> {
        one(self.of("products"), query("SELECT * FROM products WHERE sku = $1").bind(sku)).await
    }
}
