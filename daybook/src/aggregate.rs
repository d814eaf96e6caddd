//! `daybook aggregate`: what an aggregate was, and how it came to that.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use daybook_event_schemas::parse_timestamp;
use daybook_event_store::Revision;
use daybook_query_side::time_travel::{History, Moment, travel};

use crate::cli::{Aggregate, Output};
use crate::config::Config;
use crate::platform;

pub(crate) async fn run(command: Aggregate, config: &Config) -> anyhow::Result<ExitCode> {
    let Aggregate::Show { stream, version, at, output } = command;
    let moment = match (version, at) {
        (Some(version), _) => Moment::Revision(Revision(version)),
        (None, Some(at)) => Moment::RecordedBy(
            parse_timestamp(&at)
                .with_context(|| format!("{at:?} is no instant; write 2026-01-31T12:00:00Z"))?,
        ),
        (None, None) => Moment::Latest,
    };
    let store = platform::look_at_store(config)?;
    let history = travel(&store, &stream, moment).await?;
    print(&history, output.output)?;
    Ok(ExitCode::SUCCESS)
}

fn print(history: &History, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(history)?)?;
        return Ok(());
    }
    let History { stream, revision, recorded_at, state, events, .. } = history;
    writeln!(out, "{stream} at revision {revision}, recorded {recorded_at}\n")?;
    writeln!(out, "{}\n", serde_json::to_string_pretty(state)?)?;
    for event in events {
        let (revision, at, kind, actor) =
            (event.revision, &event.recorded_at, &event.kind, &event.actor);
        writeln!(out, "{revision:>5}  {at}  {kind}  by {actor}")?;
        writeln!(out, "       {}", event.data)?;
    }
    Ok(())
}
