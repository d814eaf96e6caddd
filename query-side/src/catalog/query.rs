use daybook_domain::values::{Currency, Label, SellerId};
use thiserror::Error;

/// What to look for. All that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// What comes first.
    pub sort: CatalogSort,
    /// How many products on a page: 1 to [`CatalogQuery::MAX_LIMIT`].
    pub limit: Option<usize>,
    /// Where the page begins: the `next` of the page before it.
    pub cursor: Option<String>,
}

/// Prices in one currency, in minor units, bounds included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceRange {
    /// Of what.
    pub currency: Currency,
    /// The least.
    pub min: Option<i64>,
    /// The most.
    pub max: Option<i64>,
}

/// What comes first. Ties are broken by SKU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CatalogSort {
    /// What matches the words best.
    #[default]
    Relevance,
    /// The least minor units.
    PriceAscending,
    /// The most minor units.
    PriceDescending,
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
        /// Most products on a page.
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
    /// How far pages reach: what comes after the first so many products is found with a narrower
    /// query.
    pub const MAX_DEPTH: usize = 10_000;

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

    /// How many products to skip and how many to show.
    pub(crate) fn page(&self) -> Result<(usize, usize), InvalidQuery> {
        let actual = self.limit.unwrap_or(Self::DEFAULT_LIMIT);
        if !(1..=Self::MAX_LIMIT).contains(&actual) {
            return Err(InvalidQuery::Limit { max: Self::MAX_LIMIT, actual });
        }
        let offset = self.cursor.as_deref().map_or(Ok(0), parse_cursor)?;
        Ok((offset, actual.min(Self::MAX_DEPTH - offset)))
    }
}

/// The cursor of the page that begins after so many products, as far as pages reach.
pub(crate) fn cursor(offset: usize) -> Option<String> {
    (offset < CatalogQuery::MAX_DEPTH).then(|| format!("o{offset:x}"))
}

fn parse_cursor(cursor: &str) -> Result<usize, InvalidQuery> {
    cursor
        .strip_prefix('o')
        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
        .filter(|&offset| offset < CatalogQuery::MAX_DEPTH)
        .ok_or(InvalidQuery::Cursor)
}
