use std::collections::HashMap;

use chrono::NaiveDate;
use daybook_database::{AssertSqlSafe, Error, Executor, Row, query};
use serde::Serialize;
use utoipa::ToSchema;

use crate::row::{Columns, FromRow, many};
use crate::{Cursor, Limit, Money, Page, Queries, QueryError};

/// Most days of one answer.
const MOST_DAYS: i64 = 3_660;

/// What was sold: paid orders, less what was cancelled or refunded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sales {
    /// How many orders.
    pub orders: u64,
    /// How many lines of them.
    pub lines: u64,
    /// How many pieces.
    pub quantity: u64,
    /// What they came to.
    pub amount: Money,
}

/// What was sold on a day in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DaySales {
    /// The day on which the orders were placed, in UTC: YYYY-MM-DD.
    #[schema(example = "2011-12-09")]
    pub day: String,
    /// What was sold.
    #[serde(flatten)]
    pub sales: Sales,
}

/// What was sold of a product in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProductSales {
    /// Of what.
    pub sku: String,
    /// What it is called today, if it was ever listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was sold.
    #[serde(flatten)]
    pub sales: Sales,
}

impl FromRow for Sales {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            orders: row.count("orders")?,
            lines: row.count("lines")?,
            quantity: row.count("quantity")?,
            amount: row.money("amount")?,
        })
    }
}

impl FromRow for DaySales {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { day: row.text("day")?, sales: Sales::from_row(row)? })
    }
}

impl FromRow for ProductSales {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { sku: row.text("sku")?, name: None, sales: Sales::from_row(row)? })
    }
}

impl Queries {
    /// What was sold from a day to a day, both included, by day and currency. Days without sales
    /// are left out.
    ///
    /// # Errors
    /// The range is too long or empty, or the read models cannot be read.
    pub async fn sales_by_day(
        &self,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Vec<DaySales>, QueryError> {
        let days = (to - from).num_days() + 1;
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(QueryError::Range { max: MOST_DAYS, days });
        }
        let sales = "SELECT * FROM sales_by_day WHERE day BETWEEN $1 AND $2 AND orders > 0 \
                     ORDER BY day, currency";
        let sales = query(sales).bind(from.to_string()).bind(to.to_string());
        many(self.of("sales"), sales).await
    }

    /// What was sold in a currency by product, the highest amount first. What products are called is
    /// looked up a moment later, in a database that may be another.
    ///
    /// # Errors
    /// The cursor is not one of this list, or the read models cannot be read.
    pub async fn sales_by_product(
        &self,
        currency: &str,
        cursor: Option<&Cursor>,
        limit: Limit,
    ) -> Result<Page<ProductSales>, QueryError> {
        let list = format!("sales-{currency}");
        let first = || Ok((i64::MAX, String::new()));
        let (amount, sku): (i64, String) = cursor.map_or_else(first, |c| c.key(&list))?;
        let page = "SELECT * FROM sales_by_product \
                    WHERE currency = $1 AND (amount, sku) < ($2, $3) AND orders > 0 \
                    ORDER BY amount DESC, sku DESC LIMIT $4";
        let page = query(page).bind(currency).bind(amount).bind(sku).bind(limit.and_one());
        let sales = many(self.of("sales"), page).await?;
        let mut page = Page::new(sales, limit, |sales: &ProductSales| {
            Cursor::new(&list, &(sales.sales.amount.amount, &sales.sku))
        });
        self.put_names(&mut page.items).await?;
        Ok(page)
    }

    /// Puts in what products are called.
    async fn put_names(&self, sales: &mut [ProductSales]) -> Result<(), QueryError> {
        if sales.is_empty() {
            return Ok(());
        }
        let places: Vec<_> = (1..=sales.len()).map(|place| format!("${place}")).collect();
        let names = format!("SELECT sku, name FROM products WHERE sku IN ({})", places.join(", "));
        let names = query(AssertSqlSafe(names));
        let names = sales.iter().fold(names, |names, sales| names.bind(&*sales.sku));
        let rows = self.of("products").fetch_all(names).await?;
        let name = |row: &Row| Ok::<_, Error>((row.text("sku")?, row.text("name")?));
        let mut names = rows.iter().map(name).collect::<Result<HashMap<_, _>, _>>()?;
        for sales in sales {
            sales.name = names.remove(&sales.sku);
        }
        Ok(())
    }
}
