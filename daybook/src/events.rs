//! `daybook events`: the events themselves.

use std::future::ready;
use std::io::Write as _;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use daybook_event_store::{EventStore, Filter, Position, Recorded, RecordedEvent, Store, Tailed};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::{Events, Output};
use crate::config::Config;
use crate::platform;

/// How often to look for events that another process has written.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn run(command: Events, config: &Config) -> anyhow::Result<ExitCode> {
    let Events::Tail { follow, after, all, last, category, kind, output } = command;
    let store = platform::look_at_store(config)?;
    let filter = Filter {
        categories: category.into_iter().map(Into::into).collect(),
        kinds: kind.into_iter().map(Into::into).collect(),
    };
    let after = match after {
        Some(position) => Some(Position(position)),
        None if all => None,
        None => before_last(&store, &filter, last).await?,
    };
    if follow {
        let mut tail = Box::pin(store.tail(after, filter));
        let mut look = tokio::time::interval(LOOK_EVERY);
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            tokio::select! {
                _ = &mut interrupted => return Ok(ExitCode::from(130)),
                _ = look.tick() => store.refresh()?,
                tailed = tail.next() => match tailed.transpose()? {
                    Some(Tailed::Event(event)) => print(&event, output.output)?,
                    Some(Tailed::CaughtUp(_)) => {}
                    None => return Ok(ExitCode::SUCCESS),
                },
            }
        }
    }
    let mut events = Box::pin(store.read_all(after, filter));
    while let Some(event) = events.next().await.transpose()? {
        print(&event, output.output)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The position after which the last `count` matching events stand.
async fn before_last(
    store: &Store,
    filter: &Filter,
    count: u64,
) -> anyhow::Result<Option<Position>> {
    let matches = |event: &Recorded| filter.matches(event.stream.as_str(), &event.kind);
    let matching = store.read_all_backward(None).try_filter(|event| ready(matches(event)));
    let mut earlier = pin!(matching.skip(usize::try_from(count)?));
    Ok(earlier.try_next().await?.map(|event| event.position))
}

fn print(event: &Recorded, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let at = DateTime::from_timestamp_micros(event.recorded_at).unwrap_or_default();
    let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let RecordedEvent { stream, revision, position, id, kind, .. } = &**event;
    let data = String::from_utf8_lossy(&event.data);
    if output == Output::Text {
        writeln!(out, "{position:>9}  {at}  {stream}@{revision}  {kind}  {data}")?;
        return Ok(());
    }
    let json = |bytes| serde_json::from_slice::<&RawValue>(bytes).ok();
    let event = serde_json::json!({
        "position": position.0,
        "recordedAt": at,
        "stream": stream.as_str(),
        "revision": revision.0,
        "id": id,
        "type": kind.as_ref(),
        "data": json(&event.data),
        "metadata": json(&event.metadata),
    });
    writeln!(out, "{}", Value::to_string(&event))?;
    Ok(())
}
