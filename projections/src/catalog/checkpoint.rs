use daybook_database::now;
use daybook_event_store::Position;
use serde_json::{Value, json};

use super::document::VERSION;
use super::left_out::{self, LeftOut};

/// How far the index has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Every event up to this position is in the index.
    pub(crate) position: Option<Position>,
    /// The position at which a document changed last.
    pub(crate) changed: Option<Position>,
    /// Events that could not be read, or after which a document was refused.
    pub(crate) left_out: Vec<LeftOut>,
}

impl Checkpoint {
    /// Most events that a checkpoint names; whatever comes after them is in the log only.
    const MAX_LEFT_OUT: usize = 1_000;

    pub(crate) fn leave_out(&mut self, event: LeftOut) {
        let is_new = self.left_out.iter().all(|other| other.position != event.position);
        if is_new && self.left_out.len() < Self::MAX_LEFT_OUT {
            self.left_out.push(event);
        }
    }

    /// Forgets that the document of a product was refused: it is sent again, as it is now.
    pub(crate) fn send_again(&mut self, sku: &str) {
        self.left_out.retain(|event| !event.refused || event.sku.as_deref() != Some(sku));
    }

    pub(crate) fn to_json(&self) -> Value {
        let number = |position: Option<Position>| position.map(|position| position.0);
        let (parked, left_out) = left_out::to_json(&self.left_out);
        json!({
            "version": VERSION,
            "at": now(),
            "position": number(self.position),
            "changed": number(self.changed),
            "parked": parked,
            "leftOut": left_out,
        })
    }

    /// Reads one that was written; `None` where it is of another version.
    pub(crate) fn from_json(written: &Value) -> Option<Self> {
        let number = |name: &str| written[name].as_u64().map(Position);
        (written["version"].as_u64()? == VERSION).then(|| Self {
            position: number("position"),
            changed: number("changed"),
            left_out: left_out::from_json(written),
        })
    }
}

/// How far a version of the index has come, whichever release wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The meaning of its documents.
    pub(crate) documents: u64,
    /// Every event up to this position is in it, or was left out.
    pub(crate) position: Option<Position>,
    /// The events that were left out.
    pub(crate) left_out: Vec<LeftOut>,
    /// When that was written: microseconds since 1970.
    pub(crate) at: i64,
}

impl Standing {
    /// Reads what a checkpoint says; one that was never written says nothing.
    pub(crate) fn from_json(written: &Value) -> Self {
        Self {
            documents: written["version"].as_u64().unwrap_or(VERSION),
            position: written["position"].as_u64().map(Position),
            left_out: left_out::from_json(written),
            at: written["at"].as_i64().unwrap_or_default(),
        }
    }
}
