use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Money;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogPage {
    /// The products of this page.
    pub items: Vec<CatalogHit>,
    /// How many products match, on whatever page.
    pub total: usize,
    /// What the products could be narrowed by; on the first page only.
    pub facets: Option<Facets>,
    /// Whether no product has the words as they were typed, and these have words like them.
    pub similar: bool,
    /// Whether the index could not be asked, and this is what it answered before.
    pub stale: bool,
    /// The cursor of the next page, where there is one.
    pub next: Option<String>,
}

/// A product that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogHit {
    /// The product.
    #[serde(flatten)]
    pub item: CatalogItem,
    /// Where the words stand.
    pub highlights: Highlights,
}

/// A product that is for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogItem {
    /// Stock keeping unit.
    pub sku: String,
    /// Who sells and ships it.
    pub seller: String,
    /// What customers call it.
    pub name: String,
    /// Free text about it.
    pub description: String,
    /// Where it stands in the catalogue.
    pub category: String,
    /// Who makes it, where that is known.
    pub brand: Option<String>,
    /// Price of one.
    pub price: Money,
    /// Whether one can be had.
    pub in_stock: bool,
}

/// Texts as HTML, with the words that were looked for in `<em>`. Those without them are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Highlights {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the description says around the first of the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How many products there are of each kind. What narrows a kind itself does not count for it, so
/// that the numbers say what another choice would find. At most 50 values of each, the most
/// frequent first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Facets {
    /// By category.
    pub categories: Vec<FacetValue>,
    /// By brand, of those that have one.
    pub brands: Vec<FacetValue>,
    /// By seller.
    pub sellers: Vec<FacetValue>,
    /// By ranges of prices, the lowest first.
    pub prices: Vec<FacetPrice>,
    /// How many can be had.
    pub in_stock: usize,
    /// How many cannot.
    pub out_of_stock: usize,
}

/// How many products have a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// How many.
    pub count: usize,
}

/// How many products cost so much.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FacetPrice {
    /// ISO 4217 code.
    pub currency: String,
    /// The least minor units.
    pub min: i64,
    /// The most minor units; missing in the last range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// How many.
    pub count: usize,
}

/// What somebody who typed so far may be looking for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// The name of a product.
    pub name: String,
    /// Its category.
    pub category: String,
    /// Its stock keeping unit.
    pub sku: String,
}

/// Most values of a facet.
pub(crate) const MAX_VALUES: usize = 50;

impl Facets {
    /// From counts by category, brand, seller, price band and whether one can be had.
    pub(crate) fn of(counts: [Vec<(String, usize)>; 4], stock: [usize; 2]) -> Self {
        let [categories, brands, sellers, ranges] = counts;
        let mut prices: Vec<_> = ranges.iter().filter_map(|(band, n)| price(band, *n)).collect();
        prices.sort();
        Self {
            categories: values(categories),
            brands: values(brands),
            sellers: values(sellers),
            prices,
            out_of_stock: stock[0],
            in_stock: stock[1],
        }
    }
}

fn values(mut counts: Vec<(String, usize)>) -> Vec<FacetValue> {
    counts.sort_by(|(a, most), (b, more)| more.cmp(most).then_with(|| a.cmp(b)));
    counts.truncate(MAX_VALUES);
    counts.into_iter().map(|(value, count)| FacetValue { value, count }).collect()
}

/// A band as the index writes it: `GBP:100:499`.
fn price(band: &str, count: usize) -> Option<FacetPrice> {
    let mut parts = band.split(':');
    let currency = parts.next()?.to_owned();
    let min = parts.next()?.parse().ok()?;
    let max = parts.next()?.parse().ok();
    Some(FacetPrice { currency, min, max, count })
}
