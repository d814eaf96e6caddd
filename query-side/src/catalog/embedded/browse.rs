use std::collections::{BinaryHeap, HashMap};
use std::ops::Bound;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, StrColumn};
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::column::{self, texts, value};
use crate::catalog::query::{Asked, Place};
use crate::catalog::{CatalogSort, Facets};

/// Text columns that products are narrowed by: category, brand, seller and price band. A product
/// fails a filter in its own bit; that of being in stock has the last.
const COLUMNS: [&str; 4] = ["category", "brand", "seller", "priceBand"];
const PRICE: u8 = 1 << 3;
const STOCK: u8 = 1 << 4;

/// Goes once through what has the words: keeps the first products that pass every filter, and
/// counts for each facet those that pass all filters but its own.
pub(super) struct Browse {
    filters: Filters,
    sort: CatalogSort,
    limit: usize,
    after: Option<Place>,
    facets: bool,
}

#[derive(Clone)]
struct Filters {
    /// Category, brand and seller.
    whole: [Option<String>; 3],
    /// Currency, and least and most minor units.
    price: Option<(String, i64, i64)>,
    in_stock: Option<bool>,
}

/// What was found.
#[derive(Default)]
pub(super) struct Browsed {
    /// The products in their order, with what they are sorted by.
    pub(super) products: Vec<(DocAddress, i64)>,
    pub(super) total: usize,
    /// How many have the words, whatever the filters.
    pub(super) matched: usize,
    pub(super) facets: Option<Facets>,
}

impl Browse {
    /// One product more is kept than the page has, to tell whether there is another page.
    pub(super) fn new(asked: &Asked) -> Self {
        let query = asked.query;
        let whole = [
            query.category.as_ref().map(ToString::to_string),
            query.brand.as_ref().map(ToString::to_string),
            query.seller.as_ref().map(ToString::to_string),
        ];
        let price = asked.price.map(|price| {
            let (min, max) = (price.min.unwrap_or(i64::MIN), price.max.unwrap_or(i64::MAX));
            (price.currency.code().to_owned(), min, max)
        });
        Self {
            filters: Filters { whole, price, in_stock: query.in_stock },
            sort: query.sort,
            limit: asked.limit + 1,
            after: asked.after.clone(),
            facets: asked.after.is_none(),
        }
    }
}

/// Where a key stands in an order: the first has the least.
fn rank(sort: CatalogSort, key: i64) -> u64 {
    let ascending = key.cast_unsigned() ^ (1 << 63);
    if sort == CatalogSort::PriceAscending { ascending } else { !ascending }
}

/// The key that stands there.
fn key(sort: CatalogSort, rank: u64) -> i64 {
    let ascending = if sort == CatalogSort::PriceAscending { rank } else { !rank };
    (ascending ^ (1 << 63)).cast_signed()
}

/// The part of one segment.
pub(super) struct BrowseSegment {
    segment: SegmentOrdinal,
    sort: CatalogSort,
    limit: usize,
    columns: [Option<StrColumn>; 4],
    /// What the first text columns must be.
    wanted: [Wanted; 3],
    currency: Option<(StrColumn, Wanted, i64, i64)>,
    in_stock: Option<bool>,
    sku: Option<StrColumn>,
    price: Column<i64>,
    listed_at: Column<i64>,
    stock: Column<bool>,
    /// Rank and first SKU that come after the page before.
    after: Option<(u64, u64)>,
    counts: Option<Counts>,
    first: BinaryHeap<(u64, u64, DocId)>,
    total: usize,
    matched: usize,
}

/// What a text column must be in a segment.
#[derive(Clone, Copy)]
enum Wanted {
    Anything,
    Value(u64),
    /// The segment does not have the value.
    Nothing,
}

impl Wanted {
    fn value(column: Option<&StrColumn>, value: &str) -> tantivy::Result<Self> {
        let Some(column) = column else { return Ok(Self::Nothing) };
        Ok(column.dictionary().term_ord(value)?.map_or(Self::Nothing, Self::Value))
    }

    fn admits(self, value: impl FnOnce() -> Option<u64>) -> bool {
        match self {
            Self::Anything => true,
            Self::Value(wanted) => value() == Some(wanted),
            Self::Nothing => false,
        }
    }
}

struct Counts {
    by_value: [Vec<usize>; 4],
    stock: [usize; 2],
}

/// How often each value is there.
struct Counted {
    by_value: [Vec<(String, usize)>; 4],
    stock: [usize; 2],
}

/// What a segment found.
pub(super) struct Part {
    /// With rank and the SKU's ordinal.
    products: Vec<(u64, u64, DocAddress)>,
    sku: Option<StrColumn>,
    total: usize,
    matched: usize,
    counts: Option<Counted>,
}

impl Collector for Browse {
    type Fruit = Browsed;
    type Child = BrowseSegment;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<BrowseSegment> {
        let fast = reader.fast_fields();
        let mut columns = [const { None }; 4];
        for (column, name) in columns.iter_mut().zip(COLUMNS) {
            *column = fast.str(name)?;
        }
        let mut wanted = [Wanted::Anything; 3];
        for ((wanted, filter), column) in wanted.iter_mut().zip(&self.filters.whole).zip(&columns) {
            if let Some(value) = filter {
                *wanted = Wanted::value(column.as_ref(), value)?;
            }
        }
        let sku = fast.str("sku")?;
        let after = match (&self.after, &sku) {
            (Some(place), Some(sku)) => {
                let next = column::from(sku, Bound::Excluded(&place.sku))?;
                Some((rank(self.sort, place.key), next))
            }
            _ => None,
        };
        let currency = match (&self.filters.price, fast.str("currency")?) {
            (Some((code, min, max)), Some(column)) => {
                let wanted = Wanted::value(Some(&column), code)?;
                Some((column, wanted, *min, *max))
            }
            _ => None,
        };
        let counts = self.facets.then(|| Counts {
            by_value: columns
                .each_ref()
                .map(|column| vec![0; column.as_ref().map_or(0, |column| column.num_terms())]),
            stock: [0; 2],
        });
        Ok(BrowseSegment {
            segment,
            sort: self.sort,
            limit: self.limit,
            columns,
            wanted,
            currency,
            in_stock: self.filters.in_stock,
            sku,
            price: fast.i64("price")?,
            listed_at: fast.i64("listedAt")?,
            stock: fast.bool("inStock")?,
            after,
            counts,
            first: BinaryHeap::new(),
            total: 0,
            matched: 0,
        })
    }

    fn requires_scoring(&self) -> bool {
        self.sort == CatalogSort::Relevance
    }

    fn merge_fruits(&self, parts: Vec<tantivy::Result<Part>>) -> tantivy::Result<Browsed> {
        let mut parts = parts.into_iter().collect::<tantivy::Result<Vec<_>>>()?;
        let mut products = first(&mut parts, self.limit)?;
        let mut browsed = Browsed::default();
        let mut counts: [HashMap<String, usize>; 4] = Default::default();
        let mut stock = [0; 2];
        for part in parts {
            browsed.total += part.total;
            browsed.matched += part.matched;
            let Some(Counted { by_value, stock: of_stock }) = part.counts else { continue };
            for (counts, by_value) in counts.iter_mut().zip(by_value) {
                for (value, count) in by_value {
                    *counts.entry(value).or_default() += count;
                }
            }
            stock = [stock[0] + of_stock[0], stock[1] + of_stock[1]];
        }
        products.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        products.truncate(self.limit);
        let product = |(rank, _, at)| (at, key(self.sort, rank));
        browsed.products = products.into_iter().map(product).collect();
        browsed.facets = self
            .facets
            .then(|| Facets::of(counts.map(|counts| counts.into_iter().collect()), stock));
        Ok(browsed)
    }
}

fn in_stock(column: &Column<bool>, doc: DocId) -> bool {
    column.first(doc).unwrap_or_default()
}

impl BrowseSegment {
    /// The filters that a product fails. Most products are looked at no further.
    fn failed(&self, doc: DocId) -> u8 {
        let mut failed = 0;
        for (at, (wanted, column)) in self.wanted.iter().zip(&self.columns).enumerate() {
            if !wanted.admits(|| value(column.as_ref(), doc)) {
                failed |= 1 << at;
            }
        }
        if let Some((column, wanted, min, max)) = &self.currency {
            let price = self.price.first(doc).unwrap_or_default();
            let same = wanted.admits(|| value(Some(column), doc));
            if !same || !(*min..=*max).contains(&price) {
                failed |= PRICE;
            }
        }
        if self.in_stock.is_some_and(|wanted| wanted != in_stock(&self.stock, doc)) {
            failed |= STOCK;
        }
        failed
    }

    /// Counts a product for the facets whose filter is the only one that it fails.
    fn count(&mut self, doc: DocId, failed: u8) {
        let Some(counts) = &mut self.counts else { return };
        for (at, column) in self.columns.iter().enumerate() {
            if failed & !(1 << at) == 0
                && let Some(value) = value(column.as_ref(), doc)
                && let Ok(value) = usize::try_from(value)
            {
                counts.by_value[at][value] += 1;
            }
        }
        if failed & !STOCK == 0 {
            counts.stock[usize::from(in_stock(&self.stock, doc))] += 1;
        }
    }

    fn keep(&mut self, doc: DocId, score: Score) {
        let key = match self.sort {
            // The bits of scores, which are not negative, are in their order.
            CatalogSort::Relevance => i64::from(score.to_bits()),
            CatalogSort::PriceAscending | CatalogSort::PriceDescending => {
                self.price.first(doc).unwrap_or_default()
            }
            CatalogSort::Newest => self.listed_at.first(doc).unwrap_or_default(),
        };
        let sku = self.sku.as_ref().and_then(|sku| sku.ords().first(doc)).unwrap_or_default();
        let place = (rank(self.sort, key), sku);
        if self.after.is_none_or(|after| place >= after) {
            self.first.push((place.0, place.1, doc));
            if self.first.len() > self.limit {
                self.first.pop();
            }
        }
    }
}

/// The products of all segments that may be among the first, with rank and SKU. Only their SKUs are
/// read: a block of the dictionary has to be unpacked for almost each.
fn first(parts: &mut [Part], limit: usize) -> tantivy::Result<Vec<(u64, String, DocAddress)>> {
    let ranks = parts.iter().flat_map(|part| part.products.iter().map(|(rank, ..)| *rank));
    let mut ranks: Vec<_> = ranks.collect();
    ranks.sort_unstable();
    let last = limit.checked_sub(1).and_then(|at| ranks.get(at)).copied().unwrap_or(u64::MAX);
    let mut all = Vec::new();
    for Part { products, sku, .. } in parts {
        products.retain(|(rank, ..)| *rank <= last);
        products.sort_unstable_by_key(|(_, sku, _)| *sku);
        let skus: Vec<_> = products.iter().map(|(_, sku, _)| *sku).collect();
        let skus = texts(sku.as_ref(), &skus)?;
        all.extend(products.iter().zip(skus).map(|((rank, _, at), sku)| (*rank, sku, *at)));
    }
    Ok(all)
}

impl SegmentCollector for BrowseSegment {
    type Fruit = tantivy::Result<Part>;

    fn collect(&mut self, doc: DocId, score: Score) {
        self.matched += 1;
        let failed = self.failed(doc);
        self.count(doc, failed);
        if failed == 0 {
            self.total += 1;
            self.keep(doc, score);
        }
    }

    fn harvest(self) -> tantivy::Result<Part> {
        let product = |(rank, sku, doc)| (rank, sku, DocAddress::new(self.segment, doc));
        let products = self.first.into_iter().map(product).collect();
        let counts = self.counts.map(|counts| counts.named(&self.columns)).transpose()?;
        Ok(Part { products, sku: self.sku, total: self.total, matched: self.matched, counts })
    }
}

impl Counts {
    /// Of each column the values that are there, with their names.
    fn named(self, columns: &[Option<StrColumn>; 4]) -> tantivy::Result<Counted> {
        let mut by_value = [const { Vec::new() }; 4];
        for ((named, counts), column) in by_value.iter_mut().zip(self.by_value).zip(columns) {
            let there = (0..).zip(counts).filter(|(_, count)| *count > 0);
            let (ordinals, counts): (Vec<_>, Vec<_>) = there.unzip();
            *named = texts(column.as_ref(), &ordinals)?.into_iter().zip(counts).collect();
        }
        Ok(Counted { by_value, stock: self.stock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_tells_the_order_and_the_key() {
        let keys = [i64::MIN, -1, 0, 1, 255, i64::MAX];
        for sort in [CatalogSort::PriceAscending, CatalogSort::PriceDescending, CatalogSort::Newest]
        {
            for (a, b) in keys.iter().zip(&keys[1..]) {
                let ascends = rank(sort, *a) < rank(sort, *b);
                assert_eq!(ascends, sort == CatalogSort::PriceAscending);
                assert_eq!(key(sort, rank(sort, *a)), *a);
            }
        }
    }
}
