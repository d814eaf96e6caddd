//! `daybook store stats`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use daybook_event_store::{StoreFolder, StoreSummary};
use serde::Serialize;

use super::{instant, print, size};
use crate::cli::Output;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    events: u64,
    /// The position of the last event.
    head: Option<u64>,
    streams: u64,
    segments: usize,
    compressed_segments: usize,
    log_bytes: u64,
    plain_bytes: u64,
    index_bytes: u64,
    first_recorded_at: Option<String>,
    last_recorded_at: Option<String>,
    categories: BTreeMap<Box<str>, u64>,
    types: BTreeMap<Box<str>, u64>,
}

pub(super) fn run(store: &StoreFolder, output: Output) -> anyhow::Result<ExitCode> {
    let report = Report::from(store.summary()?);
    print(&report, &text(&report), output)?;
    Ok(ExitCode::SUCCESS)
}

impl From<StoreSummary> for Report {
    fn from(summary: StoreSummary) -> Self {
        Self {
            events: summary.events,
            head: summary.events.checked_sub(1),
            streams: summary.streams,
            segments: summary.segments,
            compressed_segments: summary.compressed,
            log_bytes: summary.log_bytes,
            plain_bytes: summary.plain_bytes,
            index_bytes: summary.index_bytes,
            first_recorded_at: summary.first_recorded_at.map(instant),
            last_recorded_at: summary.last_recorded_at.map(instant),
            categories: summary.categories,
            types: summary.kinds,
        }
    }
}

fn text(report: &Report) -> String {
    let compressed = match report.compressed_segments {
        0 => String::new(),
        count => format!(", {count} of them compressed from {}", size(report.plain_bytes)),
    };
    let log = format!("{} in {} segments{compressed}", size(report.log_bytes), report.segments);
    let mut lines = vec![
        ("events", report.events.to_string()),
        ("streams", report.streams.to_string()),
        ("log", log),
        ("indexes", size(report.index_bytes)),
    ];
    lines.extend(report.first_recorded_at.iter().map(|at| ("first", at.clone())));
    lines.extend(report.last_recorded_at.iter().map(|at| ("last", at.clone())));
    let mut text: Vec<_> = lines.iter().map(|(what, value)| format!("{what:<12}{value}")).collect();
    for (what, counts) in [("categories", &report.categories), ("types", &report.types)] {
        text.push(what.into());
        text.extend(largest_first(counts));
    }
    text.join("\n")
}

fn largest_first(counts: &BTreeMap<Box<str>, u64>) -> impl Iterator<Item = String> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    counts.into_iter().map(|(name, count)| {
        let name = if name.is_empty() { "(none)" } else { name };
        format!("  {name:<32}{count:>12}")
    })
}
