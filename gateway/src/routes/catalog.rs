use axum::response::Response;
use daybook_domain::values::{Currency, Label, SellerId};
use daybook_query_side::catalog::{CatalogPage, CatalogQuery, CatalogSort, PriceRange, Suggestion};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::extract::Params;
use crate::read::Read;
use crate::values::{Parsed, value};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search)).routes(routes!(suggest))
}

/// What to look for. All that is given must match.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Words of the name, description, category or brand, all of which must be there; or a whole
    /// SKU. Where nothing has them, words like them do.
    q: Option<String>,
    /// Who sells it.
    #[param(value_type = Option<String>)]
    seller: Option<Parsed<SellerId>>,
    /// Its whole category.
    #[param(value_type = Option<String>)]
    category: Option<Parsed<Label>>,
    /// Its whole brand.
    #[param(value_type = Option<String>)]
    brand: Option<Parsed<Label>>,
    /// Whether one can be had.
    in_stock: Option<bool>,
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
    Newest,
}

impl From<Sort> for CatalogSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Relevance => Self::Relevance,
            Sort::PriceAscending => Self::PriceAscending,
            Sort::PriceDescending => Self::PriceDescending,
            Sort::Newest => Self::Newest,
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
        brand: value(wanted.brand),
        in_stock: wanted.in_stock,
        sort: wanted.sort.map(Into::into).unwrap_or_default(),
        limit: wanted.limit,
        cursor: wanted.cursor,
    };
    let page = read.catalog().await?.search(query).await?;
    Ok(read.linked(page.next.as_ref(), &page))
}

/// What somebody has typed so far.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Typed {
    /// Words, the last of which may be a part of one.
    q: String,
    /// How many suggestions at most.
    #[param(minimum = 1, maximum = 20, default = 10)]
    limit: Option<usize>,
}

/// What they may be looking for.
#[derive(Serialize, ToSchema)]
struct Suggestions {
    /// Each name once; first those that begin with what was typed.
    items: Vec<Suggestion>,
}

/// Suggest products while a name is being typed.
#[utoipa::path(get, path = "/v1/catalog/suggest", tag = "catalog", operation_id = "suggestProducts",
    params(Typed), responses((status = 200, description = "Names of products", body = Suggestions)))]
async fn suggest(Params(typed): Params<Typed>, read: Read) -> Result<Response, Error> {
    let items = read.catalog().await?.suggest(&typed.q, typed.limit).await?;
    Ok(read.linked(None::<&String>, &Suggestions { items }))
}
