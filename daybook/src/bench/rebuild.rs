//! The read models built anew from a store, and the same rows loaded by the engine alone.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use daybook_event_store::{EventStore, Store};
use daybook_projections::{Address, Database, Operator, Then};
use futures::StreamExt;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{exit_code, tell_probe, verdict, work_in};
use crate::cli::{Output, OutputArg};
use crate::config::Config;
use crate::platform;
use crate::projection::AT_A_TIME;

/// What is aimed at, in events a second.
const SQLITE_AIM: f64 = 300_000.0;
const POSTGRESQL_AIM: f64 = 100_000.0;

#[derive(Serialize)]
struct Report {
    /// Median of write and fdatasync of 1 KiB.
    probe_micros: f64,
    /// Whether the machine was quiet enough for the figures to mean something.
    quiet: bool,
    /// Events of the store.
    store_events: u64,
    engines: Vec<Figures>,
}

/// What was measured on an engine.
#[derive(Serialize)]
struct Figures {
    engine: &'static str,
    /// Events that read models applied, each as often as it concerned one of them.
    events: u64,
    parked: u64,
    rows: u64,
    seconds: f64,
    events_per_second: f64,
    /// The same rows, loaded by the engine's own means.
    load_seconds: f64,
    /// The time of the engine's own load, as a share of the time of the build.
    share_of_load: f64,
    /// Events a second that are aimed at.
    aim: f64,
    /// Whether that was reached; nothing is judged on a machine that is not quiet.
    met: Option<bool>,
}

pub(super) async fn run(args: &OutputArg, config: &Config) -> anyhow::Result<ExitCode> {
    let store = platform::look_at_store(config)?;
    let Some(head) = store.head().await? else { bail!("the event store has no events") };
    let (folder, probe) = work_in(&config.data_dir)?;
    let quiet = probe.is_quiet();
    let mut engines = vec![sqlite(&store, folder.path(), config, quiet).await?];
    if let Some(address) = config.database.as_ref().filter(|address| address.is_server()) {
        engines.push(postgresql(&store, address, config, quiet).await?);
    }
    let (probe_micros, store_events) = (probe.median_micros(), head.0 + 1);
    print(&Report { probe_micros, quiet, store_events, engines }, args.output)?;
    Ok(exit_code(quiet))
}

async fn sqlite(
    store: &Store,
    folder: &Path,
    config: &Config,
    quiet: bool,
) -> anyhow::Result<Figures> {
    let file = folder.join("rebuilt.sqlite");
    let address = Address::from(file.to_str().context("the data folder's name is not UTF-8")?);
    let database = Database::open(&address, &config.database_limits).await?;
    let figures = measure(store, &database, ("sqlite", SQLITE_AIM), quiet).await;
    database.close().await;
    figures
}

/// In a schema of its own, which is dropped afterwards.
async fn postgresql(
    store: &Store,
    address: &Address,
    config: &Config,
    quiet: bool,
) -> anyhow::Result<Figures> {
    let schema = format!("daybook_bench_{}", uuid::Uuid::now_v7().simple());
    let server = Database::connect(address, &config.database_limits)?;
    let inside = server.make_schema(&schema).await?;
    let measured = async {
        let database = Database::open(&inside, &config.database_limits).await?;
        let figures = measure(store, &database, ("postgresql", POSTGRESQL_AIM), quiet).await;
        database.close().await;
        figures
    };
    let figures = measured.await;
    server.drop_schema(&schema).await?;
    server.close().await;
    figures
}

#[expect(clippy::cast_precision_loss, reason = "rates")]
async fn measure(
    store: &Store,
    database: &Database,
    (engine, aim): (&'static str, f64),
    quiet: bool,
) -> anyhow::Result<Figures> {
    let (operator, stop) =
        (Operator::new(store.clone(), database.clone()), CancellationToken::new());
    let began = Instant::now();
    let builds: Vec<_> = futures::stream::iter(Operator::names())
        .map(|name| operator.rebuild(name, Then::default(), &|_| {}, &stop))
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let seconds = began.elapsed().as_secs_f64();
    let (mut events, mut parked, mut rows, mut load) = (0, 0, 0, Duration::ZERO);
    for build in builds {
        let built = build?.built;
        events += built.applied;
        parked += built.parked;
        let loaded = operator.load_copy(built.name).await?;
        rows += loaded.rows;
        load += loaded.time;
    }
    let (events_per_second, load_seconds) = (events as f64 / seconds, load.as_secs_f64());
    Ok(Figures {
        engine,
        events,
        parked,
        rows,
        seconds,
        events_per_second,
        load_seconds,
        share_of_load: load_seconds / seconds,
        aim,
        met: quiet.then_some(events_per_second >= aim),
    })
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    let Report { probe_micros, quiet, store_events, engines } = report;
    tell_probe(&mut out, *probe_micros, *quiet)?;
    writeln!(out, "events of the store          {store_events:>10}")?;
    for Figures { engine, events, parked, rows, seconds, load_seconds, .. } in engines {
        writeln!(out, "\n{engine}")?;
        writeln!(out, "  events applied             {events:>10}, {parked} parked")?;
        writeln!(out, "  rows                       {rows:>10}")?;
        writeln!(out, "  built in                   {seconds:>10.1} s")?;
        writeln!(out, "  the engine's own load      {load_seconds:>10.1} s")?;
    }
    for Figures { engine, events_per_second, share_of_load, aim, met, .. } in engines {
        writeln!(
            out,
            "\n{:<10} {engine}: at least {aim} events/s, measured {events_per_second:.0}, \
             {share_of_load:.2} of the engine's own load",
            verdict(*met)
        )?;
    }
    Ok(())
}
