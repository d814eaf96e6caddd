//! `daybook store copy`: moves events between stores of any kind.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use daybook_event_store::{CopySummary, EventStore, Position, Store, compare_copy, copy};
use serde::Serialize;

use super::{print, to_read, to_write};
use crate::cli::Output;
use crate::config::{Config, StoreAddress};
use crate::progress::Progress;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    from: String,
    to: String,
    /// Events that were not there before.
    copied: u64,
    /// Placeholders for events that the source has dropped.
    gaps: u64,
    /// Events that were compared in the end.
    compared: u64,
}

pub(super) async fn run(
    from: &StoreAddress,
    to: &StoreAddress,
    config: &Config,
    output: Output,
) -> anyhow::Result<ExitCode> {
    ensure!(from != to, "a store cannot be copied to itself");
    let (source, target) = (to_read(from)?, to_write(to, config)?);
    let CopySummary { events: copied, gaps } = copied(&source, &target).await?;
    let mut progress = Progress::new("events compared", copied);
    let compared = compare_copy(&source, &target, |count| progress.reach(count)).await;
    progress.finish();
    let compared = compared.context("the copy is not what it was made of")?;
    target.close();
    let report = Report { from: from.to_string(), to: to.to_string(), copied, gaps, compared };
    let mut text = vec![format!("copied {copied} events from {from} to {to}")];
    if gaps > 0 {
        text.push(format!("{gaps} placeholders stand for events that the source has dropped"));
    }
    text.push(format!("compared {compared} events: all are the same"));
    print(&report, &text.join("; "), output)?;
    Ok(ExitCode::SUCCESS)
}

/// Copies, and tells how far it is: as far as positions tell it, which on a cluster are bytes.
async fn copied(source: &Store, target: &Store) -> anyhow::Result<CopySummary> {
    let head = source.head().await?.map_or(0, |Position(head)| head);
    let mut progress = Progress::new("positions copied", head);
    let summary = copy(source, target, |_, Position(at)| progress.reach(at)).await;
    progress.finish();
    summary.context("the copy is not complete: run the same command again, and it goes on")
}
