//! How well the engines rank, over the products of a real retailer. It needs the file that
//! `scripts/test` names, and a search server.
//!
//! Judged by a rule, from names alone and without an engine. A query stands with what is meant by it,
//! the thing itself last, as English has it. A product whose name has all the words that are meant, in the
//! singular or plural, is of some use (1). One whose name ends with the thing is such a thing (2), and
//! if its name says little else, just that (3): a "LANTERN" is, a "LANTERN HOOK SET" is of some use.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;

use daybook_event_store::Position;
use daybook_query_side::catalog::CatalogQuery;
use daybook_search::testing;
use flate2::read::MultiGzDecoder;

use crate::shop::{Shop, words};

/// What is typed, and what is meant where that is not the same.
const QUERIES: [(&str, &str); 50] = [
    ("lantern", ""),
    ("clock", ""),
    ("alarm clock", ""),
    ("cake tin", ""),
    ("cake tins", "cake tin"),
    ("cakestand", ""),
    ("lunch bag", ""),
    ("red lunch bags", "red lunch bag"),
    ("jumbo bag", ""),
    ("tea towel", ""),
    ("mug", ""),
    ("tea cup", ""),
    ("candle holder", ""),
    ("t-light holder", "t light holder"),
    ("heart decoration", ""),
    ("wooden heart", ""),
    ("photo frame", ""),
    ("picture frame", ""),
    ("hot water bottle", ""),
    ("umbrella", ""),
    ("doormat", ""),
    ("cushion cover", ""),
    ("necklace", ""),
    ("bracelet", ""),
    ("earrings", "earring"),
    ("gift wrap", ""),
    ("birthday card", ""),
    ("christmas decoration", ""),
    ("bird ornament", ""),
    ("playing cards", "playing card"),
    ("wall clock", ""),
    ("drawer knob", ""),
    ("key ring", ""),
    ("shopping bag", ""),
    ("storage jar", ""),
    ("garden sign", ""),
    ("metal sign", ""),
    ("paper chain", ""),
    ("tissue box", ""),
    ("notebook", ""),
    ("retrospot apron", ""),
    ("water bottle", ""),
    // With a mistake.
    ("lantren", "lantern"),
    ("umbrela", "umbrella"),
    ("neclace", "necklace"),
    ("braclet", "bracelet"),
    ("cushoin cover", "cushion cover"),
    ("alarm clcok", "alarm clock"),
    ("chrsitmas decoration", "christmas decoration"),
    ("doormta", "doormat"),
];

/// Results that are judged.
const DEPTH: usize = 10;

#[derive(Debug)]
struct Product {
    name: String,
    price: i64,
}

/// The retailer's products: each stock code with the name that it has most often.
fn products() -> BTreeMap<String, Product> {
    let path = std::env::var("DAYBOOK_RETAIL_DATA").expect("the retailer's file: see scripts/test");
    let file = MultiGzDecoder::new(File::open(path).unwrap());
    let mut names: BTreeMap<String, HashMap<String, (usize, i64)>> = BTreeMap::new();
    for row in csv::Reader::from_reader(file).byte_records() {
        let row = row.unwrap();
        let text = |at| String::from_utf8_lossy(&row[at]).trim().to_owned();
        let price: f64 = text(5).parse().unwrap_or_default();
        let (sku, name) = (text(1), text(2));
        if name.is_empty() || name.chars().any(char::is_lowercase) || price < 0.01 {
            continue;
        }
        #[expect(clippy::cast_possible_truncation, reason = "pence")]
        let pence = (price * 100.0).round() as i64;
        let known = names.entry(sku).or_default().entry(name).or_insert((0, pence));
        known.0 += 1;
    }
    let most = |names: HashMap<String, (usize, i64)>| {
        let (name, (_, price)) =
            names.into_iter().max_by_key(|(name, (n, _))| (*n, name.clone()))?;
        Some(Product { name, price })
    };
    names.into_iter().filter_map(|(sku, names)| Some((sku, most(names)?))).collect()
}

/// The words of a name, in the singular as far as an S tells.
fn singular(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let one = |word: &str| match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_owned(),
        _ => word.to_owned(),
    };
    words.map(one).collect()
}

/// How useful a name is to somebody who means something.
fn grade(meant: &[String], name: &str) -> u32 {
    let name = singular(name);
    if !meant.iter().all(|word| name.contains(word)) {
        0
    } else if name.last() != meant.last() {
        1
    } else if name.len() > meant.len() + 2 {
        2
    } else {
        3
    }
}

/// What grades in this order are worth.
fn gain(grades: impl Iterator<Item = u32>) -> f64 {
    let gain =
        |(at, grade): (u32, u32)| (f64::from(2_u32.pow(grade)) - 1.0) / f64::from(at + 2).log2();
    (0..).zip(grades.take(DEPTH)).map(gain).sum()
}

async fn ndcg(shop: &Shop, products: &BTreeMap<String, Product>) -> Vec<f64> {
    let mut scores = Vec::new();
    for (typed, meant) in QUERIES {
        let meant = singular(if meant.is_empty() { typed } else { meant });
        let query = CatalogQuery { limit: Some(DEPTH), ..words(typed) };
        let found = shop.search(query).await.items;
        let mut ideal: Vec<_> = products.values().map(|p| grade(&meant, &p.name)).collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        assert!(ideal[0] > 0, "nothing is meant by {typed}");
        let found = gain(found.iter().map(|hit| grade(&meant, &hit.item.name)));
        scores.push(found / gain(ideal.into_iter()));
    }
    scores
}

async fn filled(shop: Shop, products: &BTreeMap<String, Product>) -> Shop {
    let mut last = Position(0);
    for (sku, product) in products.iter().filter(|(sku, p)| usable(sku, &p.name)) {
        last = shop.list(sku, &product.name, product.price, 0).await;
    }
    shop.reaches(last).await;
    shop
}

fn usable(sku: &str, name: &str) -> bool {
    sku.parse::<daybook_domain::values::Sku>().is_ok()
        && name.parse::<daybook_domain::values::Label>().is_ok()
}

#[tokio::test]
#[ignore = "needs the retailer's file and a search server"]
async fn the_embedded_engine_ranks_as_well_as_the_cluster() {
    let server = testing::address().expect("needs a search server: scripts/with-opensearch");
    let products = products();
    let embedded = filled(Shop::on(None).await, &products).await;
    let cluster = filled(Shop::on(Some(server)).await, &products).await;

    let [ours, theirs] = [ndcg(&embedded, &products).await, ndcg(&cluster, &products).await];

    println!("nDCG@{DEPTH} over {} products    tantivy  cluster", products.len());
    for ((typed, _), (ours, theirs)) in QUERIES.iter().zip(ours.iter().zip(&theirs)) {
        println!("{typed:<30} {ours:>10.3} {theirs:>8.3}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let (ours, theirs) = (mean(&ours), mean(&theirs));
    println!("{:<30} {ours:>10.3} {theirs:>8.3}", "mean");
    assert!(ours >= 0.95 * theirs, "{ours} of tantivy are too few beside {theirs}");
    assert!(theirs > 0.0);
}
