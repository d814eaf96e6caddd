//! `daybook store copy`: moves events between stores of any kind.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use daybook_event_store::{
    CopySummary, EmbeddedOptions, EventStore, Position, Store, compare_copy, copy,
};
use serde::Serialize;

use super::print;
use crate::cli::Output;
use crate::config::StoreAddress;
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
    output: Output,
) -> anyhow::Result<ExitCode> {
    ensure!(from != to, "a store cannot be copied to itself");
    let source = source(from).with_context(|| format!("cannot read {from}"))?;
    let target = target(to).with_context(|| format!("cannot write to {to}"))?;
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

/// A store to read from; one in a folder may be in use meanwhile.
fn source(address: &StoreAddress) -> anyhow::Result<Store> {
    match address.folder() {
        Some(folder) => Ok(Store::embedded_read_only(folder, &EmbeddedOptions::default())?),
        None => Ok(Store::eventstoredb(address.reveal())?),
    }
}

/// A store to write to; one in a folder is made where there is none.
fn target(address: &StoreAddress) -> anyhow::Result<Store> {
    match address.folder() {
        Some(folder) => Ok(Store::embedded(folder, &EmbeddedOptions::default())?),
        None => Ok(Store::eventstoredb(address.reveal())?),
    }
}
