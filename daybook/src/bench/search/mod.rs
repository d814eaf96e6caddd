//! The catalog's search over made-up products: indexing, questions, and what is remembered.

mod measure;
mod products;
mod questions;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use daybook_event_store::{EmbeddedOptions, Store};
use daybook_event_store_comparison::{Bound, Probe};
use daybook_projections::catalog::{CatalogOptions, CatalogVersions};
use daybook_query_side::catalog::Catalog;
use daybook_search::Address;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::measure::Shop;
use self::products::Assortment;
use super::{INTERRUPTED, exit_code, tell_probe, verdict, work_in};
use crate::cli::{BenchSearch, Output};
use crate::config::Config;
use crate::shutdown;

/// How many products the aims for answers are for, and the most milliseconds of 99 in 100.
const AIM_PRODUCTS: u32 = 100_000;
const TANTIVY_AIM: f64 = 10.0;
const CLUSTER_AIM: f64 = 50.0;
/// The least share of searches that are answered from memory.
const HIT_RATIO_AIM: f64 = 0.8;

#[derive(Serialize)]
struct Report {
    /// Median of write and fdatasync of 1 KiB.
    probe_micros: f64,
    /// Whether the machine was quiet enough for the figures to mean something.
    quiet: bool,
    runs: Vec<Run>,
    aims: Vec<Aim>,
}

/// So many products on an engine.
#[derive(Serialize)]
struct Run {
    engine: &'static str,
    products: u32,
    #[serde(flatten)]
    figures: Figures,
}

/// What was measured.
#[derive(Serialize)]
struct Figures {
    /// From the worker's start until everything can be found.
    index_seconds: f64,
    products_per_second: f64,
    all: Latency,
    kinds: Vec<Latency>,
    cache: Remembered,
}

/// How long answers took that nobody remembered.
#[derive(Serialize)]
struct Latency {
    kind: &'static str,
    questions: usize,
    /// Questions that something was found for.
    found: usize,
    p50_millis: f64,
    p99_millis: f64,
}

impl Latency {
    fn of(kind: &'static str, found: usize, mut millis: Vec<f64>) -> Self {
        millis.sort_by(f64::total_cmp);
        let questions = millis.len();
        // The least that so many per cent are not above.
        let percentile = |percent: usize| {
            let rank = (questions * percent).div_ceil(100);
            millis.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { kind, questions, found, p50_millis: percentile(50), p99_millis: percentile(99) }
    }
}

/// What the cache was good for.
#[derive(Serialize)]
struct Remembered {
    /// Different searches.
    different: usize,
    /// Changes of products among them.
    changes: usize,
    hits: u64,
    misses: u64,
    hit_ratio: f64,
}

impl Remembered {
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    fn of(different: usize, changes: usize, hits: u64, misses: u64) -> Self {
        let hit_ratio = hits as f64 / (hits + misses).max(1) as f64;
        Self { different, changes, hits, misses, hit_ratio }
    }
}

/// What is aimed at.
#[derive(Serialize)]
struct Aim {
    engine: &'static str,
    products: u32,
    quantity: &'static str,
    #[serde(flatten)]
    bound: Bound,
    measured: f64,
    /// Whether that was reached; nothing is judged on a machine that is not quiet.
    met: Option<bool>,
}

pub(super) async fn run(args: &BenchSearch, config: &Config) -> anyhow::Result<ExitCode> {
    let interrupted = shutdown::on_signal();
    let mut runs = Vec::new();
    let mut probes = Vec::new();
    for &products in &args.products {
        let (folder, probe) = work_in(&config.data_dir)?;
        probes.push(probe);
        let measured = measure(products, folder.path(), config.search.as_ref(), &interrupted);
        match measured.await? {
            Some(measured) => runs.extend(measured),
            None => return Ok(ExitCode::from(INTERRUPTED)),
        }
    }
    let quiet = probes.iter().all(Probe::is_quiet);
    let probe_micros = probes.iter().map(Probe::median_micros).fold(0.0, f64::max);
    let aims = runs.iter().flat_map(|run| aims(run, quiet)).collect();
    let report = Report { probe_micros, quiet, runs, aims };
    let mut out = io::stdout().lock();
    match args.output.output {
        Output::Text => print(&report, &mut out)?,
        Output::Json | Output::Jsonl => writeln!(out, "{}", serde_json::to_string(&report)?)?,
    }
    Ok(exit_code(quiet))
}

/// Measures so many products on every engine; `None` if that was interrupted.
async fn measure(
    products: u32,
    folder: &Path,
    cluster: Option<&Address>,
    interrupted: &CancellationToken,
) -> anyhow::Result<Option<Vec<Run>>> {
    let store = Store::embedded(folder.join("events"), &EmbeddedOptions::default())?;
    let shop = Shop { assortment: Assortment::new()?, products, store };
    tokio::select! {
        filled = shop.fill() => filled?,
        () = interrupted.cancelled() => return Ok(None),
    }
    let index = folder.join("catalog");
    let reader = Catalog::new(&index);
    let options = CatalogOptions::new(index);
    let Some(run) = on_engine("tantivy", &shop, options, &reader, interrupted).await? else {
        return Ok(None);
    };
    let mut runs = vec![run];
    if let Some(address) = cluster {
        match on_cluster(&shop, address, interrupted).await? {
            Some(run) => runs.push(run),
            None => return Ok(None),
        }
    }
    Ok(Some(runs))
}

/// In indices of its own, which are dropped afterwards.
async fn on_cluster(
    shop: &Shop,
    address: &Address,
    interrupted: &CancellationToken,
) -> anyhow::Result<Option<Run>> {
    let address = address.clone().with_prefix(format!("daybook-bench-{}", Uuid::now_v7().simple()));
    let reader = Catalog::on(&address)?;
    let options = CatalogOptions::on(address);
    let versions = CatalogVersions::new(&options.place)?;
    let run = on_engine("cluster", shop, options, &reader, interrupted).await;
    let cleared = versions.clear().await;
    let run = run?;
    cleared.context("cannot remove what was indexed on the cluster")?;
    Ok(run)
}

async fn on_engine(
    engine: &'static str,
    shop: &Shop,
    options: CatalogOptions,
    reader: &Catalog,
    interrupted: &CancellationToken,
) -> anyhow::Result<Option<Run>> {
    // However this ends, the worker does, too.
    let shutdown = interrupted.child_token();
    let _stop = shutdown.clone().drop_guard();
    let figures = tokio::select! {
        figures = shop.measure(options, reader, &shutdown) => figures?,
        () = interrupted.cancelled() => return Ok(None),
    };
    Ok(Some(Run { engine, products: shop.products, figures }))
}

fn aims(run: &Run, quiet: bool) -> Vec<Aim> {
    let Run { engine, products, figures } = run;
    let aim = |quantity, bound: Bound, measured| {
        let holds = bound.holds(measured);
        Aim { engine, products: *products, quantity, bound, measured, met: quiet.then_some(holds) }
    };
    let mut aims = vec![aim("hit_ratio", Bound::AtLeast(HIT_RATIO_AIM), figures.cache.hit_ratio)];
    if *products == AIM_PRODUCTS {
        let most = if *engine == "tantivy" { TANTIVY_AIM } else { CLUSTER_AIM };
        aims.push(aim("p99_millis", Bound::AtMost(most), figures.all.p99_millis));
    }
    aims
}

fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let Report { probe_micros, quiet, runs, aims } = report;
    tell_probe(out, *probe_micros, *quiet)?;
    for Run { engine, products, figures } in runs {
        let Figures { index_seconds, products_per_second, all, kinds, cache } = figures;
        writeln!(out, "\n{products} products, {engine}")?;
        writeln!(out, "  indexed in  {index_seconds:>8.1} s, {products_per_second:.0} products/s")?;
        for Latency { kind, questions, found, p50_millis, p99_millis } in kinds.iter().chain([all])
        {
            writeln!(
                out,
                "  {kind:<14} p50 {p50_millis:>8.2} ms  p99 {p99_millis:>8.2} ms  \
                 {found} of {questions} found something"
            )?;
        }
        let Remembered { different, changes, hits, misses, hit_ratio } = cache;
        writeln!(
            out,
            "  from memory    {hit_ratio:.3} of {} searches, {different} different, {changes} changes",
            hits + misses
        )?;
    }
    writeln!(out)?;
    aims.iter().try_for_each(|aim| writeln!(out, "{}", self::aim(aim)))
}

fn aim(aim: &Aim) -> String {
    let Aim { engine, products, quantity, bound, measured, met } = aim;
    let (verdict, what) = (verdict(*met), quantity.replace('_', " "));
    format!("{verdict:<10} {engine}, {products} products, {what}: {bound}, measured {measured:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_nine_of_a_hundred_are_not_above_the_percentile() {
        let millis = (1..=200).rev().map(f64::from).collect();

        let Latency { questions, found, p50_millis, p99_millis, .. } = Latency::of("x", 3, millis);

        assert_eq!((questions, found), (200, 3));
        assert_eq!(format!("{p50_millis} {p99_millis}"), "100 198");
    }
}
