use std::collections::BTreeMap;
use std::ops::Bound;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::StrColumn;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::column::{from, texts, value};
use crate::catalog::query::Beginning;

/// Goes once through what has the words typed so far: keeps the first names, each once, those that
/// begin with all that was typed before the others.
pub(super) struct Suggest {
    typed: String,
    limit: usize,
}

impl Suggest {
    pub(super) fn new(beginning: &Beginning) -> Self {
        Self { typed: beginning.typed.clone(), limit: beginning.limit }
    }
}

/// Whether a name does not begin with all that was typed, and its ordinal in its segment.
type Rank = (bool, u64);

/// The part of one segment.
pub(super) struct SuggestSegment {
    segment: SegmentOrdinal,
    limit: usize,
    names: Option<StrColumn>,
    skus: Option<StrColumn>,
    /// The ordinals of the names that begin with all that was typed.
    whole: std::ops::Range<u64>,
    /// The product of each name that has the first SKU.
    first: BTreeMap<Rank, (u64, DocId)>,
}

/// What a product is sorted by: whether its name does not begin with all that was typed, the name
/// in lower case, and the SKU.
type Key = (bool, String, String);

impl Collector for Suggest {
    type Fruit = Vec<DocAddress>;
    type Child = SuggestSegment;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SuggestSegment> {
        let fast = reader.fast_fields();
        let (names, skus) = (fast.str("nameKey")?, fast.str("sku")?);
        let whole = match &names {
            Some(names) => {
                let end = format!("{}\u{10ffff}", self.typed);
                from(names, Bound::Included(&self.typed))?..from(names, Bound::Included(&end))?
            }
            None => 0..0,
        };
        let (limit, first) = (self.limit, BTreeMap::new());
        Ok(SuggestSegment { segment, limit, names, skus, whole, first })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(
        &self,
        parts: Vec<tantivy::Result<Vec<(Key, DocAddress)>>>,
    ) -> tantivy::Result<Vec<DocAddress>> {
        let parts: Vec<_> = parts.into_iter().collect::<tantivy::Result<_>>()?;
        let mut all: Vec<_> = parts.into_iter().flatten().collect();
        all.sort_unstable();
        all.dedup_by(|(other, _), (first, _)| other.1 == first.1);
        all.truncate(self.limit);
        Ok(all.into_iter().map(|(_, at)| at).collect())
    }
}

impl SegmentCollector for SuggestSegment {
    type Fruit = tantivy::Result<Vec<(Key, DocAddress)>>;

    fn collect(&mut self, doc: DocId, _: Score) {
        let Some(name) = value(self.names.as_ref(), doc) else { return };
        let rank = (!self.whole.contains(&name), name);
        let is_full = self.first.len() == self.limit;
        if is_full && self.first.last_key_value().is_some_and(|(last, _)| rank > *last) {
            return;
        }
        let product = (value(self.skus.as_ref(), doc).unwrap_or_default(), doc);
        let first = self.first.entry(rank).or_insert(product);
        *first = product.min(*first);
        if self.first.len() > self.limit {
            self.first.pop_last();
        }
    }

    fn harvest(self) -> Self::Fruit {
        let (ranks, products): (Vec<_>, Vec<_>) = self.first.into_iter().unzip();
        let names = named(self.names.as_ref(), ranks.iter().map(|(_, name)| *name))?;
        let skus = named(self.skus.as_ref(), products.iter().map(|(sku, _)| *sku))?;
        let found = ranks.into_iter().zip(products).zip(names.into_iter().zip(skus));
        let found = found.map(|(((behind, _), (_, doc)), (name, sku))| {
            ((behind, name, sku), DocAddress::new(self.segment, doc))
        });
        Ok(found.collect())
    }
}

/// The texts of ordinals in whatever order.
fn named(
    column: Option<&StrColumn>,
    ordinals: impl Iterator<Item = u64>,
) -> tantivy::Result<Vec<String>> {
    let mut places: Vec<_> = ordinals.enumerate().collect();
    places.sort_unstable_by_key(|(_, ordinal)| *ordinal);
    let ascending: Vec<_> = places.iter().map(|(_, ordinal)| *ordinal).collect();
    let mut all = vec![String::new(); places.len()];
    for ((place, _), text) in places.into_iter().zip(texts(column, &ascending)?) {
        all[place] = text;
    }
    Ok(all)
}
