//! What the server and its store are, in numbers.

use std::collections::BTreeMap;
use std::process;

use daybook_event_store::{EventStore, ReadError, Store};
use serde::Serialize;
use serde_json::Value;

use crate::calls::CallStats;
use crate::node::Node;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    proc: ProcessStats,
    calls: CallStats,
    groups: GroupStats,
    store: StoreStats,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessStats {
    id: u32,
    /// Milliseconds since the server began.
    uptime_ms: u64,
}

/// Groups of persistent subscriptions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupStats {
    /// Bytes that they hold of their budget.
    bytes: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreStats {
    /// `memory` or `embedded`.
    kind: &'static str,
    /// Why it takes no appends any more.
    stopped: Option<String>,
    /// The position of the last event, as clients count.
    last_position: Option<u64>,
    events: Option<u64>,
    segments: Option<usize>,
    /// Bytes of segments and indexes on disk.
    bytes: Option<u64>,
}

impl Stats {
    /// As they are now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn of(node: &Node) -> Result<Self, ReadError> {
        let uptime = node.started.elapsed().unwrap_or_default();
        let uptime_ms = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
        let proc = ProcessStats { id: process::id(), uptime_ms };
        let calls = node.calls.stats();
        let groups = GroupStats { bytes: node.groups.held() };
        Ok(Self { proc, calls, groups, store: StoreStats::of(&node.store).await? })
    }

    /// As pairs of a name, such as `store-events`, and a value.
    pub(crate) fn pairs(&self) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        if let Ok(Value::Object(groups)) = serde_json::to_value(self) {
            for (group, values) in groups {
                for (name, value) in values.as_object().into_iter().flatten() {
                    let value = match value {
                        Value::Null => continue,
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    pairs.insert(format!("{group}-{name}"), value);
                }
            }
        }
        pairs
    }
}

impl StoreStats {
    async fn of(store: &Store) -> Result<Self, ReadError> {
        let (kind, stats) = match store {
            Store::Embedded(store) => ("embedded", Some(store.stats())),
            Store::Memory(_) => ("memory", None),
            _ => ("remote", None),
        };
        Ok(Self {
            kind,
            stopped: store.stopped(),
            last_position: store.head().await?.map(crate::protocol::wire_position),
            events: stats.map(|stats| stats.events),
            segments: stats.map(|stats| stats.segments),
            bytes: stats.map(|stats| stats.bytes),
        })
    }
}
