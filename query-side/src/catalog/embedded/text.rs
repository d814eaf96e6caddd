use std::ops::Bound;

use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, Occur, Query,
    RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::snapshot::Snapshot;
use crate::catalog::query::{Beginning, Text};
use crate::catalog::words::{Like, stem};
use crate::catalog::{MAX_LIKE, SKU_SCORE, TIE_BREAKER, WEIGHTS};

impl Snapshot {
    /// What has a text's words, or words like them; or has the text for its SKU.
    pub(super) fn matching(
        &self,
        text: Option<&Text>,
        similar: bool,
    ) -> tantivy::Result<Box<dyn Query>> {
        let Some(Text { typed, words }) = text else { return Ok(Box::new(AllQuery)) };
        let words = words.iter().map(|word| self.matching_word(&stem(word), similar));
        let words = words.collect::<tantivy::Result<_>>()?;
        let sku = |text: &str| -> Box<dyn Query> {
            Box::new(ConstScoreQuery::new(Box::new(term(self.fields.sku, text)), SKU_SCORE))
        };
        let mut ways: Vec<Box<dyn Query>> =
            vec![Box::new(BooleanQuery::intersection(words)), sku(typed)];
        let upper = typed.to_ascii_uppercase();
        if upper != *typed {
            ways.push(sku(&upper));
        }
        Ok(Box::new(BooleanQuery::union(ways)))
    }

    /// One word in whatever field; the best of them counts, and the others a little.
    fn matching_word(&self, stem: &str, similar: bool) -> tantivy::Result<Box<dyn Query>> {
        let mut ways = Vec::new();
        for (field, weight) in self.fields.words.into_iter().zip(WEIGHTS) {
            let forms = if similar {
                like(&self.searcher, field, &Like::word(stem))?
            } else {
                vec![(stem.to_owned(), 1.0)]
            };
            let forms = forms.into_iter().map(|(form, likeness)| -> Box<dyn Query> {
                Box::new(BoostQuery::new(Box::new(term(field, &form)), weight * likeness))
            });
            ways.extend(forms);
        }
        Ok(Box::new(DisjunctionMaxQuery::with_tie_breaker(ways, TIE_BREAKER)))
    }

    /// What has the words that were typed and one that begins like the last; first what begins
    /// with all that was typed.
    pub(super) fn beginning(&self, beginning: &Beginning) -> Box<dyn Query> {
        let Beginning { typed, words, last, .. } = beginning;
        let fields = &self.fields;
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = words
            .iter()
            .map(|word| (Occur::Must, unscored(term(fields.name_words, word))))
            .collect();
        clauses.push((Occur::Must, unscored(prefix(fields.name_words, last))));
        let whole = ConstScoreQuery::new(Box::new(prefix(fields.name_key, typed)), 1.0);
        clauses.push((Occur::Should, Box::new(whole)));
        Box::new(BooleanQuery::new(clauses))
    }
}

/// The words of a field that are like one, the most alike first and not too many, and how much.
fn like(searcher: &Searcher, field: Field, like: &Like) -> tantivy::Result<Vec<(String, f32)>> {
    let mut found = Vec::new();
    for segment in searcher.segment_readers() {
        let index = segment.inverted_index(field)?;
        let mut words = index
            .terms()
            .range()
            .ge(&like.first)
            .lt(format!("{}\u{10ffff}", like.first))
            .into_stream()?;
        while words.advance() {
            let Some(wrong) = like.distance(words.key()) else { continue };
            if let Ok(word) = std::str::from_utf8(words.key()) {
                found.push((wrong, word.to_owned()));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(MAX_LIKE);
    Ok(found.into_iter().map(|(wrong, word)| (word, like.likeness(wrong))).collect())
}

fn term(field: Field, text: &str) -> TermQuery {
    TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs)
}

fn prefix(field: Field, text: &str) -> RangeQuery {
    let end = format!("{text}\u{10ffff}");
    RangeQuery::new(
        Bound::Included(Term::from_field_text(field, text)),
        Bound::Excluded(Term::from_field_text(field, &end)),
    )
}

fn unscored(query: impl Query) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(query), 0.0))
}
