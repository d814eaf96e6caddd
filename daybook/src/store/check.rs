//! `daybook store check`.

use std::io::Write as _;
use std::process::ExitCode;

use daybook_event_store::{Checked, Finding, StoreFolder};
use serde::Serialize;

use super::{Bytes, Told, print, size};
use crate::cli::Output;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    ok: bool,
    events: u64,
    segments: usize,
    bytes: u64,
    indexes: usize,
    without_index: usize,
    unfinished_bytes: u64,
    /// How much was found.
    found: u64,
    /// What was found; on lines of its own where output is by lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Told>,
}

pub(super) fn run(store: &StoreFolder, output: Output) -> anyhow::Result<ExitCode> {
    let mut progress = Bytes::new("MiB checked");
    let (mut findings, mut written) = (Vec::new(), Ok(()));
    let checked = store.check(
        &mut |finding| {
            if output == Output::Json {
                findings.push(Told::from(&finding));
            } else if written.is_ok() {
                written = tell(&finding, output);
            }
        },
        &mut |done, total| progress.reach(done, total),
    )?;
    progress.finish();
    written?;
    let report = Report::new(&checked, findings);
    print(&report, &text(&checked), output)?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    fn new(checked: &Checked, findings: Vec<Told>) -> Self {
        Self {
            ok: checked.findings == 0,
            events: checked.events,
            segments: checked.segments,
            bytes: checked.bytes,
            indexes: checked.indexes,
            without_index: checked.without_index,
            unfinished_bytes: checked.unfinished_bytes,
            found: checked.findings,
            findings,
        }
    }
}

fn tell(finding: &Finding, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let told = Told::from(finding);
    match output {
        Output::Text => writeln!(out, "{told}")?,
        Output::Json | Output::Jsonl => writeln!(out, "{}", serde_json::to_string(&told)?)?,
    }
    Ok(())
}

fn text(checked: &Checked) -> String {
    let Checked { events, segments, indexes, without_index, unfinished_bytes, findings, .. } =
        checked;
    let bytes = size(checked.bytes);
    let verdict = match findings {
        0 => format!("the store is sound: {events} events in {segments} segments, {bytes}"),
        1 => format!("1 thing is wrong; {events} events are good"),
        _ => format!("{findings} things are wrong; {events} events are good"),
    };
    let mut parts = vec![verdict, format!("{indexes} indexes agree")];
    if *without_index > 0 {
        parts.push(format!("{without_index} indexes are made when the store is opened"));
    }
    if *unfinished_bytes > 0 {
        parts.push(format!("a last write of {} is not finished", size(*unfinished_bytes)));
    }
    parts.join("; ")
}
