use axum::Json;
use axum::response::Response;
use chrono::NaiveDate;
use daybook_domain::values::Currency;
use daybook_query_side::{Cursor, DaySales, Page, ProductSales};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::extract::Params;
use crate::read::Read;
use crate::values::{PageSize, Parsed, limit};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(by_day)).routes(routes!(by_product))
}

/// Some days.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Days {
    /// The first day, in UTC.
    #[param(value_type = String, format = Date)]
    from: Parsed<NaiveDate>,
    /// The last day, in UTC.
    #[param(value_type = String, format = Date)]
    to: Parsed<NaiveDate>,
}

/// What was sold by day and currency. Days without sales are left out.
#[utoipa::path(get, path = "/v1/sales/days", tag = "sales", operation_id = "getSalesByDay",
    params(Days), responses((status = 200, description = "What was sold", body = [DaySales])))]
async fn by_day(Params(days): Params<Days>, read: Read) -> Result<Json<Vec<DaySales>>, Error> {
    Ok(Json(read.of("sales").await?.sales_by_day(days.from.0, days.to.0).await?))
}

/// A page of one currency's sales.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InCurrency {
    /// ISO 4217 code.
    #[param(value_type = String, example = "GBP")]
    currency: Parsed<Currency>,
    /// Where the page begins: from the page before it.
    #[param(value_type = Option<String>)]
    cursor: Option<Parsed<Cursor>>,
    /// How many products on a page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<Parsed<PageSize>>,
}

/// What was sold by product, the highest amount first.
#[utoipa::path(get, path = "/v1/sales/products", tag = "sales",
    operation_id = "getSalesByProduct", params(InCurrency),
    responses((status = 200, description = "What was sold", body = Page<ProductSales>)))]
async fn by_product(Params(page): Params<InCurrency>, read: Read) -> Result<Response, Error> {
    let (currency, cursor) = (page.currency.0.code(), page.cursor.as_ref().map(|c| &c.0));
    let queries = read.of("sales").await?;
    Ok(read.page(&queries.sales_by_product(currency, cursor, limit(page.limit)).await?))
}
