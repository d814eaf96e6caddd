use daybook_domain::values::{Currency, Label, SellerId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::words::typed_words;
use crate::Cursor;

/// What to look for. All that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct CatalogQuery {
    /// Words, all of which must be in the name, description, category or brand; or a whole SKU.
    /// It has no operators: it is what somebody typed.
    pub text: Option<String>,
    /// What one costs.
    pub price: Option<PriceRange>,
    /// Who sells it.
    pub seller: Option<SellerId>,
    /// Its whole category.
    pub category: Option<Label>,
    /// Its whole brand.
    pub brand: Option<Label>,
    /// Whether one can be had.
    pub in_stock: Option<bool>,
    /// What comes first.
    pub sort: CatalogSort,
    /// How many products on a page: 1 to [`CatalogQuery::MAX_LIMIT`].
    pub limit: Option<usize>,
    /// Where the page begins: the `next` of the page before it.
    pub cursor: Option<String>,
}

/// Prices in one currency, in minor units, bounds included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PriceRange {
    /// Of what.
    pub currency: Currency,
    /// The least.
    pub min: Option<i64>,
    /// The most.
    pub max: Option<i64>,
}

/// What comes first. Ties are broken by SKU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CatalogSort {
    /// What matches the words best.
    #[default]
    Relevance,
    /// The least minor units.
    PriceAscending,
    /// The most minor units.
    PriceDescending,
    /// What was offered for sale last.
    Newest,
}

/// Why a query is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidQuery {
    /// The text is too long.
    #[error("the text to search for must be at most {max} characters long, not {actual}")]
    TextTooLong {
        /// Most characters.
        max: usize,
        /// Characters given.
        actual: usize,
    },
    /// The text has too many words.
    #[error("the text to search for must be at most {max} words, not {actual}")]
    TooManyWords {
        /// Most words.
        max: usize,
        /// Words given.
        actual: usize,
    },
    /// The text has no word.
    #[error("the text to search for has no letters or digits")]
    NoWords,
    /// Nothing can cost that.
    #[error("the lowest price, {min}, is above the highest, {max}")]
    EmptyPriceRange {
        /// The least minor units.
        min: i64,
        /// The most minor units.
        max: i64,
    },
    /// The page is too short or too long.
    #[error("the limit must be from 1 to {max}, not {actual}")]
    Limit {
        /// Most products on a page, or suggestions.
        max: usize,
        /// As asked.
        actual: usize,
    },
    /// The cursor is not one that an earlier page gave.
    #[error("the cursor is not one of the catalog: start again without it")]
    Cursor,
}

impl CatalogQuery {
    /// Most characters of text.
    pub const MAX_TEXT: usize = 200;
    /// Most words of text.
    pub const MAX_WORDS: usize = 16;
    /// Most products on a page.
    pub const MAX_LIMIT: usize = 100;
    /// Products on a page where nothing is said.
    pub const DEFAULT_LIMIT: usize = 20;
    /// Most suggestions.
    pub const MAX_SUGGESTIONS: usize = 20;

    /// The text to search for; `None` where there is nothing but spaces.
    pub(crate) fn text(&self) -> Result<Option<&str>, InvalidQuery> {
        let text = self.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let actual = text.map_or(0, |text| text.chars().count());
        let max = Self::MAX_TEXT;
        if actual > max { Err(InvalidQuery::TextTooLong { max, actual }) } else { Ok(text) }
    }

    /// The price range, unless nothing can be in it.
    pub(crate) fn price(&self) -> Result<Option<PriceRange>, InvalidQuery> {
        match self.price {
            Some(PriceRange { min: Some(min), max: Some(max), .. }) if min > max => {
                Err(InvalidQuery::EmptyPriceRange { min, max })
            }
            price => Ok(price),
        }
    }

    /// Checks everything that can be checked without an index.
    pub(crate) fn asked(&self) -> Result<Asked<'_>, InvalidQuery> {
        let text = match self.text()? {
            None => None,
            Some(typed) => Some(Text { typed, words: words(typed)? }),
        };
        let actual = self.limit.unwrap_or(Self::DEFAULT_LIMIT);
        if !(1..=Self::MAX_LIMIT).contains(&actual) {
            return Err(InvalidQuery::Limit { max: Self::MAX_LIMIT, actual });
        }
        let after = self.cursor.as_deref().map(|cursor| self.place(cursor)).transpose()?;
        Ok(Asked { query: self, text, price: self.price()?, limit: actual, after })
    }

    fn place(&self, cursor: &str) -> Result<Place, InvalidQuery> {
        let cursor: Cursor = cursor.parse().map_err(|_| InvalidQuery::Cursor)?;
        let place: Place = cursor.key(LIST).map_err(|_| InvalidQuery::Cursor)?;
        if place.sort == self.sort { Ok(place) } else { Err(InvalidQuery::Cursor) }
    }
}

/// What a cursor of the catalog says it is of.
const LIST: &str = "catalog";

/// A query that can be answered.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) query: &'a CatalogQuery,
    pub(crate) text: Option<Text<'a>>,
    pub(crate) price: Option<PriceRange>,
    pub(crate) limit: usize,
    /// The last product of the page before.
    pub(crate) after: Option<Place>,
}

/// A text to search for.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub(crate) typed: &'a str,
    /// Its words in lower case, endings and all.
    pub(crate) words: Vec<String>,
}

/// Where a product stands in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    sort: CatalogSort,
    /// Whether words like those of the query were looked for, as there were none.
    pub(crate) similar: bool,
    /// Minor units, microseconds or the bits of the score.
    pub(crate) key: i64,
    pub(crate) sku: String,
}

impl Place {
    pub(crate) fn new(sort: CatalogSort, similar: bool, key: i64, sku: &str) -> Self {
        Self { sort, similar, key, sku: sku.to_owned() }
    }

    pub(crate) fn cursor(&self) -> String {
        Cursor::new(LIST, self).to_string()
    }
}

/// What somebody has typed so far.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// All of it, in lower case.
    pub(crate) typed: String,
    /// The words before the last.
    pub(crate) words: Vec<String>,
    /// The beginning of the last.
    pub(crate) last: String,
    pub(crate) limit: usize,
}

impl Beginning {
    pub(crate) fn of(text: &str, limit: Option<usize>) -> Result<Self, InvalidQuery> {
        let query = CatalogQuery { text: Some(text.to_owned()), ..CatalogQuery::default() };
        let typed = query.text()?.ok_or(InvalidQuery::NoWords)?;
        let mut words = words(typed)?;
        let last = words.pop().ok_or(InvalidQuery::NoWords)?;
        let (max, actual) = (CatalogQuery::MAX_SUGGESTIONS, limit.unwrap_or(10));
        if !(1..=max).contains(&actual) {
            return Err(InvalidQuery::Limit { max, actual });
        }
        Ok(Self { typed: typed.to_lowercase(), words, last, limit: actual })
    }
}

fn words(text: &str) -> Result<Vec<String>, InvalidQuery> {
    let words = typed_words(text);
    let (max, actual) = (CatalogQuery::MAX_WORDS, words.len());
    match actual {
        0 => Err(InvalidQuery::NoWords),
        actual if actual > max => Err(InvalidQuery::TooManyWords { max, actual }),
        _ => Ok(words),
    }
}
