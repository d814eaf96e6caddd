use daybook_database::now;
use daybook_event_store::Position;
use serde_json::{Value, json};

use super::document::VERSION;

/// How far the index has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Every event up to this position is in the index.
    pub(crate) position: Option<Position>,
    /// The position at which a document changed last.
    pub(crate) changed: Option<Position>,
    /// Positions of events that could not be read, or whose document was refused, and that were
    /// left out.
    pub(crate) parked: Vec<Position>,
}

impl Checkpoint {
    /// Most events that a checkpoint names; whatever comes after them is in the log only.
    const MAX_PARKED: usize = 1_000;

    pub(crate) fn park(&mut self, position: Position) {
        if self.parked.len() < Self::MAX_PARKED && !self.parked.contains(&position) {
            self.parked.push(position);
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let number = |position: Option<Position>| position.map(|position| position.0);
        json!({
            "version": VERSION,
            "at": now(),
            "position": number(self.position),
            "changed": number(self.changed),
            "parked": self.parked.iter().map(|position| position.0).collect::<Vec<_>>(),
        })
    }

    /// Reads one that was written; `None` where it is of another version.
    pub(crate) fn from_json(written: &Value) -> Option<Self> {
        let number = |name: &str| written[name].as_u64().map(Position);
        let parked = written["parked"].as_array()?.iter();
        (written["version"].as_u64()? == VERSION).then(|| Self {
            position: number("position"),
            changed: number("changed"),
            parked: parked.filter_map(Value::as_u64).map(Position).collect(),
        })
    }
}

/// How far a version of the index has come, whichever release wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The meaning of its documents.
    pub(crate) documents: u64,
    /// Every event up to this position is in it, or parked.
    pub(crate) position: Option<Position>,
    /// Positions of the events that were left out.
    pub(crate) parked: Vec<u64>,
    /// When that was written: microseconds since 1970.
    pub(crate) at: i64,
}

impl Standing {
    /// Reads what a checkpoint says; one that was never written says nothing.
    pub(crate) fn from_json(written: &Value) -> Self {
        let parked = written["parked"].as_array().into_iter().flatten();
        Self {
            documents: written["version"].as_u64().unwrap_or(VERSION),
            position: written["position"].as_u64().map(Position),
            parked: parked.filter_map(Value::as_u64).collect(),
            at: written["at"].as_i64().unwrap_or_default(),
        }
    }
}
