//! What shoppers ask for.

use std::collections::HashSet;

use daybook_domain::values::InvalidValue;
use daybook_query_side::catalog::{Catalog, CatalogQuery, CatalogSort, PriceRange, SearchError};
use fastrand::Rng;
use serde::Serialize;

use super::products::{Assortment, Product};

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Word,
    TwoWords,
    /// A word that lacks a letter.
    Typo,
    /// A word in a category, at about a price.
    Filtered,
    CategoryPage,
    /// A word, the lowest price first.
    ByPrice,
    Suggest,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Word,
        Self::TwoWords,
        Self::Typo,
        Self::Filtered,
        Self::CategoryPage,
        Self::ByPrice,
        Self::Suggest,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::TwoWords => "two words",
            Self::Typo => "typo",
            Self::Filtered => "filtered",
            Self::CategoryPage => "category page",
            Self::ByPrice => "by price",
            Self::Suggest => "suggest",
        }
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Search(Box<CatalogQuery>),
    Suggest(String),
}

impl Question {
    /// Asks it, and tells whether anything was found.
    pub(super) async fn ask(&self, catalog: &Catalog) -> Result<bool, SearchError> {
        match self {
            Self::Search(query) => Ok(catalog.search((**query).clone()).await?.total > 0),
            Self::Suggest(typed) => Ok(!catalog.suggest(typed, None).await?.is_empty()),
        }
    }

    fn about(product: &Product, kind: Kind, rng: &mut Rng) -> Self {
        let words: Vec<_> = product.name.as_str().split(' ').collect();
        let at = rng.usize(..words.len() - 1);
        let (word, next) = (words[at], words[at + 1]);
        let nothing = CatalogQuery::default();
        let asked = |text: String| CatalogQuery { text: Some(text), ..CatalogQuery::default() };
        let query = match kind {
            Kind::Word => asked(word.into()),
            Kind::TwoWords => asked(format!("{word} {next}")),
            Kind::Typo => asked(without_a_letter(word, rng)),
            Kind::Filtered => CatalogQuery {
                category: Some(product.category.clone()),
                price: Some(PriceRange {
                    currency: product.price.currency,
                    min: Some(product.price.minor / 2),
                    max: Some(product.price.minor * 2),
                }),
                ..asked(word.into())
            },
            Kind::CategoryPage => CatalogQuery {
                category: Some(product.category.clone()),
                sort: rng.choice(SORTS).unwrap_or_default(),
                limit: rng.choice([24, 48, 96]),
                ..nothing
            },
            Kind::ByPrice => {
                CatalogQuery { sort: CatalogSort::PriceAscending, ..asked(word.into()) }
            }
            Kind::Suggest => return Self::Suggest(word[..rng.usize(3..6)].into()),
        };
        Self::Search(Box::new(query))
    }
}

const SORTS: [CatalogSort; 4] = [
    CatalogSort::Relevance,
    CatalogSort::PriceAscending,
    CatalogSort::PriceDescending,
    CatalogSort::Newest,
];

/// Any but the first, which must be right.
fn without_a_letter(word: &str, rng: &mut Rng) -> String {
    let mut typed = word.to_owned();
    typed.remove(rng.usize(1..word.len()));
    typed
}

/// Different questions of a kind about the first `products`: `count`, unless there are too few.
pub(super) fn different(
    assortment: &Assortment,
    products: u32,
    kind: Kind,
    count: usize,
) -> Result<Vec<Question>, InvalidValue> {
    let mut rng = Rng::with_seed(kind as u64);
    let (mut questions, mut asked) = (Vec::with_capacity(count), HashSet::new());
    for _ in 0..count * 20 {
        let product = assortment.product(rng.u32(..products))?;
        let question = Question::about(&product, kind, &mut rng);
        if asked.insert(question.clone()) {
            questions.push(question);
        }
        if questions.len() == count {
            break;
        }
    }
    Ok(questions)
}
