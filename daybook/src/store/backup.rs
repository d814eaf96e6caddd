//! `daybook store backup` and `daybook store restore`.

use std::path::Path;
use std::process::ExitCode;

use daybook_event_store::{Copied, StoreFolder};
use serde::Serialize;

use super::{Bytes, instant, print, size};
use crate::cli::Output;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    folder: String,
    events: u64,
    /// The position of the last event.
    head: Option<u64>,
    segments: usize,
    bytes: u64,
    copied_bytes: u64,
    taken_at: String,
}

impl Report {
    fn new(folder: &Path, copied: &Copied) -> Self {
        let Copied { backup, bytes: copied_bytes } = copied;
        Self {
            folder: folder.display().to_string(),
            events: backup.events,
            head: backup.events.checked_sub(1),
            segments: backup.segments.len(),
            bytes: backup.bytes,
            copied_bytes: *copied_bytes,
            taken_at: instant(backup.taken_at),
        }
    }
}

pub(super) fn take(store: &StoreFolder, to: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let mut progress = Bytes::new("MiB backed up");
    let copied = store.backup(to, &mut |done, total| progress.reach(done, total))?;
    progress.finish();
    let report = Report::new(to, &copied);
    let Report { folder, events, .. } = &report;
    let (bytes, copied) = (size(report.bytes), size(report.copied_bytes));
    let text = format!("backed up {events} events, {bytes}, to {folder}: copied {copied}");
    print(&report, &text, output)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn put_back(backup: &Path, to: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let mut progress = Bytes::new("MiB restored");
    let reach = &mut |done, total| progress.reach(done, total);
    let copied = StoreFolder::new(backup).restore(to, reach)?;
    progress.finish();
    let report = Report::new(to, &copied);
    let Report { folder, events, taken_at, .. } = &report;
    let bytes = size(report.bytes);
    let text = format!("restored {events} events, {bytes}, of {taken_at} to {folder}");
    print(&report, &text, output)?;
    Ok(ExitCode::SUCCESS)
}
