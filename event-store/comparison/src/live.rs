//! How long after an append was acknowledged a subscriber sees it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use daybook_event_store::{EventStore, Expected, Filter, Position, StreamId, Tailed};
use futures::StreamExt;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::load::Payloads;
use crate::stats::{Sample, Stretch};

/// One writer appends, and one subscriber takes the times, while `idle` others wait for what never
/// comes. An event that is seen before its append is acknowledged took no time. `server` is the
/// process that does the work, where it is not this one.
pub(crate) async fn latency<S: EventStore>(
    (store, server): (&S, Option<u32>),
    payloads: &Arc<Payloads>,
    idle: usize,
    time: Duration,
) -> anyhow::Result<Sample> {
    let stream: StreamId = "live-writer".parse()?;
    store.append(&stream, Expected::Any, payloads.events(0, 1)).await?;
    let (ready, mut readied) = unbounded_channel();
    let (see, mut seen) = unbounded_channel();
    let mut subscribers = JoinSet::new();
    for _ in 0..idle {
        subscribers.spawn(follow(store.clone(), "idle", ready.clone(), None));
    }
    subscribers.spawn(follow(store.clone(), "live", ready.clone(), Some(see)));
    for _ in 0..=idle {
        readied.recv().await.context("a subscription ended early")?;
    }
    let (stretch, mut times) = (Stretch::with(server), Vec::new());
    while times.is_empty() || stretch.began.elapsed() < time {
        let events = payloads.events(times.len() as u64, 1);
        let appended = store.append(&stream, Expected::Any, events).await?;
        let acknowledged = Instant::now();
        let (position, at): (Position, Instant) = seen.recv().await.context("the tail ended")?;
        if position != appended.position {
            bail!("the tail showed {position} instead of {}", appended.position);
        }
        times.push(at.saturating_duration_since(acknowledged));
    }
    Ok(stretch.end(times.len() as u64, times))
}

/// Follows a category from the head on, says when it has caught up, and when it saw what.
async fn follow<S: EventStore>(
    store: S,
    category: &'static str,
    ready: UnboundedSender<()>,
    see: Option<UnboundedSender<(Position, Instant)>>,
) -> anyhow::Result<()> {
    let head = store.head().await?;
    let mut ready = Some(ready);
    let mut tail = pin!(store.tail(head, Filter::categories(&[category])));
    while let Some(item) = tail.next().await {
        match (item?, &see) {
            (Tailed::CaughtUp(_), _) => {
                ready.take().map(|ready| ready.send(())).transpose()?;
            }
            (Tailed::Event(event), Some(see)) => see.send((event.position, Instant::now()))?,
            (Tailed::Event(event), None) => bail!("{} is not in {category}", event.stream),
        }
    }
    Ok(())
}
