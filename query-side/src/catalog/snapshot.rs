use std::path::Path;

use daybook_event_store::Position;
use serde::Deserialize;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, Query, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{Index, ReloadPolicy, Searcher, Term};

use super::{CatalogQuery, InvalidQuery, PriceRange};

/// How much more a whole SKU counts than a word anywhere.
const SKU_BOOST: f32 = 20.0;

/// The index as of one commit.
pub(crate) struct Snapshot {
    pub(crate) searcher: Searcher,
    pub(crate) fields: Fields,
    pub(crate) committed: Committed,
    words: TextAnalyzer,
}

/// What the projection says in its commit.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Committed {
    pub(crate) position: Option<u64>,
    pub(crate) parked: Vec<u64>,
}

/// The fields of a document that are read here.
pub(crate) struct Fields {
    pub(crate) sku: Field,
    pub(crate) seller: Field,
    pub(crate) name: Field,
    pub(crate) description: Field,
    pub(crate) category: Field,
    category_words: Field,
    pub(crate) brand: Field,
    pub(crate) price: Field,
    pub(crate) currency: Field,
}

impl Snapshot {
    /// Opens the last commit of the index in a folder.
    pub(crate) fn open(path: &Path) -> tantivy::Result<Self> {
        let index = Index::open_in_dir(path)?;
        let payload = index.load_metas()?.payload;
        let committed = payload.and_then(|payload| serde_json::from_str(&payload).ok());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let schema = index.schema();
        let field = |name| schema.get_field(name);
        let fields = Fields {
            sku: field("sku")?,
            seller: field("seller")?,
            name: field("name")?,
            description: field("description")?,
            category: field("category")?,
            category_words: field("categoryWords")?,
            brand: field("brand")?,
            price: field("price")?,
            currency: field("currency")?,
        };
        let words = index.tokenizer_for_field(fields.name)?;
        Ok(Self {
            searcher: reader.searcher(),
            fields,
            committed: committed.unwrap_or_default(),
            words,
        })
    }

    /// The position up to which every product is known.
    pub(crate) fn position(&self) -> Option<Position> {
        self.committed.position.map(Position)
    }

    /// What matches a query.
    pub(crate) fn matching(&self, query: &CatalogQuery) -> Result<BooleanQuery, InvalidQuery> {
        let mut clauses = Vec::new();
        if let Some(text) = query.text()? {
            clauses.push(self.matching_text(text)?);
        }
        if let Some(price) = query.price()? {
            clauses.push(exactly(self.fields.currency, price.currency.code()));
            clauses.push(self.matching_price(price));
        }
        clauses.extend(query.seller.iter().map(|s| exactly(self.fields.seller, s.as_str())));
        clauses.extend(query.category.iter().map(|c| exactly(self.fields.category, c.as_str())));
        if clauses.is_empty() {
            clauses.push(Box::new(AllQuery));
        }
        Ok(BooleanQuery::intersection(clauses))
    }

    /// All words somewhere, or the text as a SKU.
    fn matching_text(&self, text: &str) -> Result<Box<dyn Query>, InvalidQuery> {
        let words = self.words_of(text);
        let (max, actual) = (CatalogQuery::MAX_WORDS, words.len());
        if actual == 0 {
            return Err(InvalidQuery::NoWords);
        }
        if actual > max {
            return Err(InvalidQuery::TooManyWords { max, actual });
        }
        let words = words.iter().map(|word| self.matching_word(word)).collect();
        let sku = |text: &str| boosted(term(self.fields.sku, text), SKU_BOOST);
        Ok(Box::new(BooleanQuery::union(vec![
            Box::new(BooleanQuery::intersection(words)),
            sku(text),
            sku(&text.to_ascii_uppercase()),
        ])))
    }

    fn words_of(&self, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        self.words.clone().token_stream(text).process(&mut |token| words.push(token.text.clone()));
        words
    }

    fn matching_word(&self, word: &str) -> Box<dyn Query> {
        let Fields { name, category_words, brand, description, .. } = self.fields;
        let weights = [(name, 4.0), (category_words, 2.0), (brand, 2.0), (description, 1.0)];
        let anywhere = weights.map(|(field, weight)| boosted(term(field, word), weight));
        Box::new(BooleanQuery::union(anywhere.into()))
    }

    fn matching_price(&self, PriceRange { min, max, .. }: PriceRange) -> Box<dyn Query> {
        let bound = |minor: Option<i64>, open| {
            let minor = minor.unwrap_or(open);
            std::ops::Bound::Included(Term::from_field_i64(self.fields.price, minor))
        };
        unscored(RangeQuery::new(bound(min, i64::MIN), bound(max, i64::MAX)))
    }
}

fn term(field: Field, text: &str) -> TermQuery {
    TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs)
}

fn boosted(query: impl Query, weight: f32) -> Box<dyn Query> {
    Box::new(BoostQuery::new(Box::new(query), weight))
}

fn unscored(query: impl Query) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(query), 0.0))
}

fn exactly(field: Field, text: &str) -> Box<dyn Query> {
    unscored(term(field, text))
}
