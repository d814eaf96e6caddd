//! Search on an Elasticsearch or an `OpenSearch`.

use std::time::Duration;

use daybook_search::{Address, Cluster, ClusterError, Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};

use super::embedded::Committed;
use super::page::MAX_VALUES;
use super::query::{Asked, Beginning};
use super::words::{stem, tolerance};
use super::{
    CatalogItem, CatalogSort, Facets, Found, MAX_LIKE, Progress, SKU_SCORE, SearchError,
    Suggestion, TIE_BREAKER, WEIGHTS,
};
use crate::Money;

/// How long a question may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The fields with the words of name, category, brand and description.
const WORDS: [&str; 4] = ["name", "category.words", "brand.words", "description"];
/// The same words as they are written, endings and all.
const SPELLINGS: [&str; 4] = ["name.words", "category.typed", "brand.typed", "description.typed"];
/// The fields that products are narrowed by: category, brand, seller, price and stock.
const FACETS: [&str; 5] = ["category", "brand", "seller", "priceBand", "inStock"];
/// Products of one answer when all are read.
const CHUNK: usize = 1_000;

/// The index on a cluster.
#[derive(Debug, Clone)]
pub(crate) struct ClusterCatalog {
    cluster: Cluster,
    alias: String,
}

/// A product as the index has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    sku: String,
    seller: String,
    name: String,
    description: String,
    category: String,
    brand: Option<String>,
    price: i64,
    currency: String,
    in_stock: bool,
}

impl From<Source> for CatalogItem {
    fn from(source: Source) -> Self {
        let Source { sku, seller, name, description, category, brand, in_stock, .. } = source;
        let price = Money { amount: source.price, currency: source.currency };
        Self { sku, seller, name, description, category, brand, price, in_stock }
    }
}

impl ClusterCatalog {
    pub(crate) fn new(address: &Address) -> Result<Self, ClusterError> {
        let cluster = Cluster::new(address, TIMEOUT)?;
        Ok(Self { alias: format!("{}-catalog", cluster.prefix()), cluster })
    }

    fn request(&self) -> Request {
        Request::new(Method::Post, format!("{}/_search", self.alias))
    }

    async fn ask(&self, request: Request) -> Result<Value, SearchError> {
        Ok(self.cluster.search(request).await?)
    }

    pub(crate) async fn find(
        &self,
        asked: &Asked<'_>,
        similar: bool,
    ) -> Result<Found, SearchError> {
        let sort = asked.query.sort;
        let mut request = self.request();
        if sort == CatalogSort::Relevance && asked.text.is_some() {
            // Words count by how rare they are on all shards, and not on each for itself.
            request = request.query("search_type", "dfs_query_then_fetch");
        }
        let answer = self.ask(request.json(&body(asked, similar))).await?;
        let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        let items = hits.iter().map(|hit| Ok((item(hit)?, key(sort, &hit["sort"][0]))));
        Ok(Found {
            items: items.collect::<Result<_, SearchError>>()?,
            total: count(&answer["hits"]["total"]["value"]),
            matched: count(&answer["aggregations"]["matched"]["doc_count"]),
            facets: asked.after.is_none().then(|| facets(&answer["aggregations"])),
        })
    }

    pub(crate) async fn suggest(
        &self,
        beginning: &Beginning,
    ) -> Result<Vec<Suggestion>, SearchError> {
        let Beginning { typed, words, last, limit } = beginning;
        let mut filters: Vec<_> =
            words.iter().map(|word| json!({ "term": { "name.words": word } })).collect();
        filters.push(json!({ "prefix": { "name.words": last } }));
        filters.push(live());
        let whole = json!({ "prefix": { "name.key": typed } });
        let body = json!({
            "size": limit,
            "_source": ["name", "category", "sku"],
            "query": { "bool": {
                "filter": filters,
                "should": { "constant_score": { "filter": whole } },
            } },
            "sort": ["_score", "name.key", "sku"],
            // Products may share a name.
            "collapse": { "field": "name.key" },
        });
        let answer = self.ask(self.request().json(&body)).await?;
        let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        let read = |hit: &Value| Suggestion::deserialize(&hit["_source"]);
        Ok(hits.iter().map(read).collect::<Result<_, _>>().map_err(ClusterError::from)?)
    }

    pub(crate) async fn progress(&self) -> Result<Progress, SearchError> {
        let path = format!("{}/_doc/checkpoint", self.alias);
        let request = Request::new(Method::Get, path).query("routing", "checkpoint");
        match self.cluster.ask(request).await {
            Ok(answer) => {
                let committed = Committed::deserialize(&answer["_source"]["checkpoint"]);
                Ok(committed.map_err(ClusterError::from)?.into())
            }
            // The index is there, and nothing was written to it yet.
            Err(ClusterError::Refused { status: 404, kind, .. }) if kind.is_empty() => {
                Ok(Progress::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Every product, and how far the index is. It is read in chunks: where it changed meanwhile,
    /// it is read again.
    pub(crate) async fn contents(&self) -> Result<(Vec<CatalogItem>, Progress), SearchError> {
        loop {
            let before = self.progress().await?;
            let mut items: Vec<CatalogItem> = Vec::new();
            loop {
                let mut body = json!({ "size": CHUNK, "query": live(), "sort": ["sku"] });
                if let Some(last) = items.last() {
                    body["search_after"] = json!([last.sku]);
                }
                let answer = self.ask(self.request().json(&body)).await?;
                let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
                if hits.is_empty() {
                    break;
                }
                items.extend(hits.iter().map(item).collect::<Result<Vec<_>, _>>()?);
            }
            if self.progress().await?.changed == before.changed {
                return Ok((items, before));
            }
        }
    }
}

fn item(hit: &Value) -> Result<CatalogItem, ClusterError> {
    Ok(Source::deserialize(&hit["_source"])?.into())
}

fn count(value: &Value) -> usize {
    value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// What a product is sorted by, as a cursor has it.
fn key(sort: CatalogSort, value: &Value) -> i64 {
    match sort {
        CatalogSort::Relevance => {
            #[expect(clippy::cast_possible_truncation, reason = "a score is an f32 there")]
            let score = value.as_f64().unwrap_or_default() as f32;
            i64::from(score.to_bits())
        }
        _ => value.as_i64().unwrap_or_default(),
    }
}

/// What a key of a cursor is there.
fn value(sort: CatalogSort, key: i64) -> Value {
    match sort {
        CatalogSort::Relevance => {
            json!(f32::from_bits(u32::try_from(key).unwrap_or_default()))
        }
        _ => json!(key),
    }
}

fn live() -> Value {
    json!({ "term": { "live": true } })
}

fn body(asked: &Asked, similar: bool) -> Value {
    let sort = asked.query.sort;
    let filters = filters(asked);
    let all: Vec<_> = filters.iter().flatten().collect();
    let by = match sort {
        CatalogSort::Relevance => json!({ "_score": "desc" }),
        CatalogSort::PriceAscending => json!({ "price": "asc" }),
        CatalogSort::PriceDescending => json!({ "price": "desc" }),
        CatalogSort::Newest => json!({ "listedAt": "desc" }),
    };
    let mut body = json!({
        // One more than the page has, to tell whether there is another page.
        "size": asked.limit + 1,
        "track_total_hits": true,
        "query": { "bool": { "filter": live(), "must": matching(asked, similar) } },
        "post_filter": { "bool": { "filter": all } },
        "sort": [by, { "sku": "asc" }],
        "aggs": { "matched": { "filter": live() } },
    });
    match &asked.after {
        Some(place) => body["search_after"] = json!([value(sort, place.key), place.sku]),
        None => {
            for (at, field) in FACETS.iter().enumerate() {
                body["aggs"][field] = facet(at, &filters);
            }
        }
    }
    body
}

fn matching(asked: &Asked, similar: bool) -> Value {
    let Some(text) = &asked.text else { return json!({ "match_all": {} }) };
    let word = |word: &String| {
        if !similar {
            return in_fields(WORDS, word);
        }
        // An ending may be what is wrong, so that it is not cut off, or too much is. Where both find
        // a product, the first decides.
        let ways =
            [(WORDS, tolerance(&stem(word)), 1.0), (SPELLINGS, tolerance(word), TIE_BREAKER)];
        let ways = ways.map(|(fields, wrong, boost)| {
            let mut query = in_fields(fields, word);
            query["multi_match"]["fuzziness"] = json!(wrong);
            query["multi_match"]["prefix_length"] = json!(1);
            query["multi_match"]["max_expansions"] = json!(MAX_LIKE);
            query["multi_match"]["boost"] = json!(boost);
            query
        });
        json!({ "dis_max": { "queries": ways } })
    };
    let words: Vec<_> = text.words.iter().map(word).collect();
    let skus = json!({ "terms": { "sku": [text.typed, text.typed.to_ascii_uppercase()] } });
    json!({ "bool": {
        "should": [
            { "bool": { "must": words } },
            { "constant_score": { "filter": skus, "boost": SKU_SCORE } },
        ],
        "minimum_should_match": 1,
    } })
}

/// A word in whatever field; the best of them counts, and the others a little.
fn in_fields(fields: [&str; 4], word: &str) -> Value {
    let fields = fields.into_iter().zip(WEIGHTS).map(|(field, weight)| format!("{field}^{weight}"));
    json!({ "multi_match": {
        "query": word,
        "fields": fields.collect::<Vec<_>>(),
        "type": "best_fields",
        "tie_breaker": TIE_BREAKER,
    } })
}

/// What narrows each facet.
fn filters(asked: &Asked) -> [Option<Value>; 5] {
    let query = asked.query;
    let term =
        |field: &str, value: Option<Value>| value.map(|value| json!({ "term": { field: value } }));
    let text = |value: String| Value::from(value);
    let price = asked.price.map(|price| {
        let mut range = json!({});
        for (bound, minor) in [("gte", price.min), ("lte", price.max)] {
            if let Some(minor) = minor {
                range[bound] = json!(minor);
            }
        }
        json!({ "bool": { "filter": [
            { "term": { "currency": price.currency.code() } },
            { "range": { "price": range } },
        ] } })
    });
    [
        term(FACETS[0], query.category.as_ref().map(ToString::to_string).map(text)),
        term(FACETS[1], query.brand.as_ref().map(ToString::to_string).map(text)),
        term(FACETS[2], query.seller.as_ref().map(ToString::to_string).map(text)),
        price,
        term(FACETS[4], query.in_stock.map(Value::from)),
    ]
}

/// Counts a facet's values among what passes the filters of the others.
fn facet(at: usize, filters: &[Option<Value>; 5]) -> Value {
    let others = filters.iter().enumerate().filter(|(other, _)| *other != at);
    let others: Vec<_> = others.filter_map(|(_, filter)| filter.as_ref()).collect();
    let values = json!({
        "field": FACETS[at],
        "size": MAX_VALUES,
        "shard_size": 50 * MAX_VALUES,
        "order": [{ "_count": "desc" }, { "_key": "asc" }],
    });
    json!({
        "filter": { "bool": { "filter": others } },
        "aggs": { "values": { "terms": values } },
    })
}

fn facets(counted: &Value) -> Facets {
    let buckets = |field: &str| {
        let buckets = counted[field]["values"]["buckets"].as_array();
        buckets.map(Vec::as_slice).unwrap_or_default().iter().map(|bucket| {
            let key = bucket["key_as_string"].as_str().or(bucket["key"].as_str());
            (key.unwrap_or_default().to_owned(), count(&bucket["doc_count"]))
        })
    };
    let of = |field: &str| buckets(field).collect();
    let stock = |wanted: &str| {
        buckets(FACETS[4]).find(|(value, _)| value == wanted).map_or(0, |(_, count)| count)
    };
    let text = [of(FACETS[0]), of(FACETS[1]), of(FACETS[2]), of(FACETS[3])];
    Facets::of(text, [stock("false"), stock("true")])
}
