//! A year of orders through the platform, and the same events straight into its store.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use daybook_event_store::{
    AtomicAppend, EmbeddedOptions, EventStore, Expected, Filter, NewEvent, Recorded, Store,
    StreamId, StreamWrite,
};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use super::{tell_probe, work_in};
use crate::cli::{OnlineRetail, Output};
use crate::config::Config;
use crate::import::in_process;
use crate::platform::open_store;

/// Events of one append when the store is measured alone.
const BATCH: usize = 1_000;

/// What was measured. Rates are per second.
#[derive(Serialize)]
struct Figures {
    /// Median of write and fdatasync of 1 KiB.
    probe_micros: f64,
    /// Whether the machine was quiet enough for the figures to mean something.
    quiet: bool,
    seconds: f64,
    orders_per_second: f64,
    lines_per_second: f64,
    events_per_second: f64,
    /// The same events appended by nobody but this bench.
    store_events_per_second: f64,
    /// How much of what the store can take the platform made use of.
    share_of_store: f64,
}

#[expect(clippy::cast_precision_loss, reason = "rates")]
pub(super) async fn run(args: OnlineRetail, config: &Config) -> anyhow::Result<ExitCode> {
    let (folder, probe) = work_in(&config.data_dir)?;
    let inside = Config {
        data_dir: folder.path().join("platform"),
        database: None,
        database_replica: None,
        search: None,
        ..config.clone()
    };
    let report = in_process(&inside, &args).await?;
    let alone = store_alone(&inside, &folder.path().join("alone")).await?;
    let per_second = |count: u64| count as f64 / report.seconds;
    let events_per_second = per_second(report.events);
    let figures = Figures {
        probe_micros: probe.median_micros(),
        quiet: probe.is_quiet(),
        seconds: report.seconds,
        orders_per_second: per_second(report.orders),
        lines_per_second: per_second(report.lines),
        events_per_second,
        store_events_per_second: alone,
        share_of_store: events_per_second / alone,
    };
    print(&figures, args.output.output)?;
    Ok(ExitCode::SUCCESS)
}

/// Appends a copy of the events of the platform's store to an empty one, in their order.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn store_alone(config: &Config, folder: &Path) -> anyhow::Result<f64> {
    let from = open_store(config)?;
    let to = Store::embedded(folder, &EmbeddedOptions::default())?;
    let mut chunks = Box::pin(from.read_all(None, Filter::all()).try_chunks(BATCH));
    let (mut events, mut seconds) = (0_usize, 0.0);
    while let Some(chunk) = chunks.next().await.transpose()? {
        events += chunk.len();
        let writes = writes(chunk);
        let began = Instant::now();
        to.append_all(writes).await?;
        seconds += began.elapsed().as_secs_f64();
    }
    Ok(events as f64 / seconds)
}

fn writes(events: Vec<Recorded>) -> Vec<StreamWrite> {
    let mut streams: BTreeMap<StreamId, Vec<NewEvent>> = BTreeMap::new();
    for event in events {
        streams.entry(event.stream.clone()).or_default().push(event.to_new());
    }
    let write = |(stream, events)| StreamWrite { stream, expected: Expected::Any, events };
    streams.into_iter().map(write).collect()
}

fn print(figures: &Figures, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(figures)?)?;
        return Ok(());
    }
    let Figures { probe_micros, quiet, seconds, .. } = figures;
    tell_probe(&mut out, *probe_micros, *quiet)?;
    writeln!(out, "import                       {seconds:>10.1} s")?;
    for (what, rate) in [
        ("orders", figures.orders_per_second),
        ("lines", figures.lines_per_second),
        ("events", figures.events_per_second),
        ("events, store alone", figures.store_events_per_second),
    ] {
        writeln!(out, "{what:<28} {rate:>10.0} /s")?;
    }
    writeln!(out, "share of the store           {:>10.2}", figures.share_of_store)?;
    Ok(())
}
