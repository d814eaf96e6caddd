//! `daybook bench`: this machine's figures, beside what they are measured against.

mod import;
mod rebuild;
mod search;
mod store;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use daybook_event_store_comparison::Probe;
use tempfile::TempDir;

use crate::cli::Bench;
use crate::config::Config;

/// Exit code for a machine that was not quiet enough to judge by.
const UNHEALTHY: u8 = 3;
/// Exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// How long to look at the disk.
const PROBE: Duration = Duration::from_secs(1);

pub(crate) async fn run(command: Bench, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Bench::Import(args) => import::run(args, config).await,
        Bench::Rebuild(args) => rebuild::run(&args, config).await,
        Bench::Search(args) => search::run(&args, config).await,
        Bench::Store(args) => store::run(args, config).await,
        Bench::Serve { server, dir } => server.serve(&dir).await.map(|()| ExitCode::SUCCESS),
    }
}

/// A folder in this one, which is removed afterwards, and what the disk does there.
fn work_in(folder: &Path) -> anyhow::Result<(TempDir, Probe)> {
    let made = std::fs::create_dir_all(folder).and_then(|()| TempDir::new_in(folder));
    let made = made.with_context(|| format!("cannot work in {}", folder.display()))?;
    let probe = Probe::run(made.path(), PROBE)?;
    Ok((made, probe))
}

fn tell_probe(out: &mut impl Write, micros: f64, quiet: bool) -> io::Result<()> {
    if !quiet {
        writeln!(out, "the machine is busy: the figures below are worse than they should be")?;
    }
    writeln!(out, "write and fdatasync of 1 KiB {micros:>10.0} µs")
}

/// Whether what was aimed at was reached.
fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "not judged",
    }
}

/// Nothing was judged on a machine that was not quiet.
fn exit_code(quiet: bool) -> ExitCode {
    if quiet { ExitCode::SUCCESS } else { ExitCode::from(UNHEALTHY) }
}
