use axum::response::Response;
use daybook_domain::values::{Currency, Label, SellerId};
use daybook_query_side::catalog::{CatalogPage, CatalogQuery, CatalogSort, PriceRange};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::extract::Params;
use crate::read::Read;
use crate::values::{Parsed, value};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search))
}

/// What to look for. All that is given must match.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Words of the name, description, category or brand; or a whole SKU.
    q: Option<String>,
    /// Who sells it.
    #[param(value_type = Option<String>)]
    seller: Option<Parsed<SellerId>>,
    /// Its whole category.
    #[param(value_type = Option<String>)]
    category: Option<Parsed<Label>>,
    /// The least that one costs, in minor units of the currency.
    min_price: Option<i64>,
    /// The most that one costs, in minor units of the currency.
    max_price: Option<i64>,
    /// ISO 4217 code; needed with a price.
    #[param(value_type = Option<String>)]
    currency: Option<Parsed<Currency>>,
    /// What comes first.
    #[param(inline)]
    sort: Option<Sort>,
    /// Where the page begins: from the page before it.
    cursor: Option<String>,
    /// How many products on a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum Sort {
    Relevance,
    PriceAscending,
    PriceDescending,
}

impl From<Sort> for CatalogSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Relevance => Self::Relevance,
            Sort::PriceAscending => Self::PriceAscending,
            Sort::PriceDescending => Self::PriceDescending,
        }
    }
}

impl Wanted {
    fn price(&self) -> Result<Option<PriceRange>, Error> {
        let (min, max) = (self.min_price, self.max_price);
        match &self.currency {
            Some(Parsed(currency)) => Ok(Some(PriceRange { currency: *currency, min, max })),
            None if min.is_none() && max.is_none() => Ok(None),
            None => Err(Error::InvalidParameter {
                detail: "currency: it is needed with minPrice or maxPrice".into(),
            }),
        }
    }
}

/// Search what is for sale.
#[utoipa::path(get, path = "/v1/catalog/search", tag = "catalog", operation_id = "searchCatalog",
    params(Wanted), responses((status = 200, description = "What was found", body = CatalogPage)))]
async fn search(Params(wanted): Params<Wanted>, read: Read) -> Result<Response, Error> {
    let query = CatalogQuery {
        price: wanted.price()?,
        text: wanted.q,
        seller: value(wanted.seller),
        category: value(wanted.category),
        sort: wanted.sort.map(Into::into).unwrap_or_default(),
        limit: wanted.limit,
        cursor: wanted.cursor,
    };
    let page = read.catalog().await?.search(query).await?;
    Ok(read.linked(page.next.as_ref(), &page))
}
