use daybook_domain::product::Listing;
use daybook_domain::values::Money;
use serde::Serialize;

use super::entry::Entry;

/// The meaning of the documents. Raise it when they must be written anew although the fields are
/// the same.
pub(crate) const VERSION: u64 = 3;

/// Where bands of prices begin, in minor units.
const BANDS: [i64; 7] = [0, 100, 500, 1_000, 2_000, 5_000, 10_000];

/// A product for sale, as both engines keep it. Readers know the fields by these names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document<'a> {
    /// Whether there is anything to find: always. What is not for sale has another document.
    pub(crate) live: bool,
    pub(crate) sku: &'a str,
    pub(crate) seller: &'a str,
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) category: &'a str,
    pub(crate) brand: Option<&'a str>,
    /// Minor units of the currency.
    pub(crate) price: i64,
    /// ISO 4217 code.
    pub(crate) currency: &'a str,
    /// Currency, first and last minor units of the band that the price is in: `GBP:100:499`, and
    /// `GBP:10000:` for the last.
    pub(crate) price_band: String,
    pub(crate) in_stock: bool,
    /// When it was last offered for sale: microseconds since 1970-01-01T00:00:00Z.
    pub(crate) listed_at: i64,
}

impl<'a> Document<'a> {
    /// The document of a product, if it is for sale.
    pub(crate) fn of(entry: &'a Entry) -> Option<Self> {
        let Listing { sku, seller, name, description, category, brand, price } = entry.listing()?;
        Some(Self {
            live: true,
            sku: sku.as_str(),
            seller: seller.as_str(),
            name: name.as_str(),
            description,
            category: category.as_str(),
            brand: brand.as_ref().map(daybook_domain::values::Label::as_str),
            price: price.minor,
            currency: price.currency.code(),
            price_band: band(*price),
            in_stock: entry.in_stock(),
            listed_at: entry.listed_at().as_micros(),
        })
    }
}

fn band(price: Money) -> String {
    let after = BANDS.partition_point(|&begin| begin <= price.minor);
    let begin = after.checked_sub(1).map_or(i64::MIN, |at| BANDS[at]);
    let end = BANDS.get(after).map(|next| (next - 1).to_string()).unwrap_or_default();
    format!("{}:{begin}:{end}", price.currency.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_has_its_band() {
        let of = |minor| band(Money::new(minor, "GBP".parse().unwrap()));
        assert_eq!(of(1), "GBP:0:99");
        assert_eq!(of(100), "GBP:100:499");
        assert_eq!(of(499), "GBP:100:499");
        assert_eq!(of(10_000), "GBP:10000:");
        assert_eq!(of(i64::MAX), "GBP:10000:");
    }
}
