use std::collections::HashMap;
use std::ops::Bound;

use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, Query, RangeQuery,
    TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{SegmentReader, Term};

use super::snapshot::Snapshot;
use crate::catalog::query::{Beginning, Text};
use crate::catalog::words::{self, Like, Likes, stem};
use crate::catalog::{MAX_LIKE, SKU_SCORE, TIE_BREAKER, WEIGHTS};

impl Snapshot {
    /// What has a text's words, or words like them; or has the text for its SKU.
    pub(super) fn matching(
        &self,
        text: Option<&Text>,
        similar: bool,
    ) -> tantivy::Result<Box<dyn Query>> {
        let Some(Text { typed, words }) = text else { return Ok(Box::new(AllQuery)) };
        let words = words.iter().map(|word| self.matching_word(word, similar));
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
    fn matching_word(&self, word: &str, similar: bool) -> tantivy::Result<Box<dyn Query>> {
        let forms = if similar { self.like(&Likes::word(word))? } else { vec![(stem(word), 1.0)] };
        let mut ways: Vec<Box<dyn Query>> = Vec::new();
        for (field, weight) in self.fields.words.into_iter().zip(WEIGHTS) {
            for (form, likeness) in &forms {
                let boosted = BoostQuery::new(Box::new(term(field, form)), weight * likeness);
                ways.push(Box::new(boosted));
            }
        }
        Ok(Box::new(DisjunctionMaxQuery::with_tie_breaker(ways, TIE_BREAKER)))
    }

    /// What words of the index that are like one are without their endings: the most alike first
    /// and not too many, and how much.
    fn like(&self, likes: &Likes) -> tantivy::Result<Vec<(String, f32)>> {
        let mut found: HashMap<String, f32> = HashMap::new();
        let mut note = |form: String, likeness: f32| {
            let most = found.entry(form).or_default();
            *most = most.max(likeness);
        };
        for segment in self.searcher.segment_readers() {
            let Likes { typed, stem } = likes;
            each_like(segment, self.fields.spellings, typed, |word, likeness| {
                note(words::stem(word), likeness);
            })?;
            for field in self.fields.words {
                each_like(segment, field, stem, |form, likeness| note(form.into(), likeness))?;
            }
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable_by(|(a, how_a), (b, how_b)| how_b.total_cmp(how_a).then(a.cmp(b)));
        found.truncate(MAX_LIKE);
        Ok(found)
    }

    /// What has the words that were typed and one that begins like the last.
    pub(super) fn beginning(&self, beginning: &Beginning) -> Box<dyn Query> {
        let Beginning { words, last, .. } = beginning;
        let field = self.fields.name_words;
        let mut clauses: Vec<Box<dyn Query>> = vec![Box::new(prefix(field, last))];
        for word in words {
            clauses.push(Box::new(term(field, word)));
        }
        Box::new(BooleanQuery::intersection(clauses))
    }
}

/// Tells of each word of a field that is like one how much it is.
fn each_like(
    segment: &SegmentReader,
    field: Field,
    like: &Like,
    mut tell: impl FnMut(&str, f32),
) -> tantivy::Result<()> {
    let index = segment.inverted_index(field)?;
    let (least, end) = like.bounds();
    let mut words = index.terms().search(like).ge(least).lt(end).into_stream()?;
    while words.advance() {
        if let (Some(wrong), Ok(word)) = (like.distance(words.key()), str::from_utf8(words.key())) {
            tell(word, like.likeness(wrong));
        }
    }
    Ok(())
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
