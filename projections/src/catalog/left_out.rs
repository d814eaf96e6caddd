use daybook_database::now;
use daybook_event_store::Position;
use serde_json::{Value, json};

/// Most characters of an error that are kept.
const MAX_ERROR: usize = 500;

/// An event that the index lacks, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Where it stands in the store.
    pub(crate) position: Position,
    /// Which product it is of; `None` where the release that left it out did not say.
    pub(crate) sku: Option<String>,
    /// Why, with all causes.
    pub(crate) error: String,
    /// When that was: microseconds since 1970.
    pub(crate) at: i64,
    /// Whether it was read, and the document of its product was refused.
    pub(crate) refused: bool,
}

impl LeftOut {
    /// One that could not be read.
    pub(crate) fn unreadable(position: Position, sku: &str, error: &str) -> Self {
        let error = error.chars().take(MAX_ERROR).collect();
        Self { position, sku: Some(sku.to_owned()), error, at: now(), refused: false }
    }

    /// One whose product's document was refused.
    pub(crate) fn refused(position: Position, sku: &str, error: &str) -> Self {
        Self { refused: true, ..Self::unreadable(position, sku, error) }
    }

    fn to_json(&self) -> Value {
        let Self { position, sku, error, at, refused } = self;
        json!({
            "position": position.0, "sku": sku, "error": error, "at": at, "refused": refused,
        })
    }

    fn from_json(written: &Value) -> Option<Self> {
        Some(Self {
            position: Position(written["position"].as_u64()?),
            sku: written["sku"].as_str().map(str::to_owned),
            error: written["error"].as_str().unwrap_or_default().to_owned(),
            at: written["at"].as_i64().unwrap_or_default(),
            refused: written["refused"].as_bool().unwrap_or_default(),
        })
    }

    fn unexplained(position: Position) -> Self {
        let error = "an earlier release left it out: its log says why".to_owned();
        Self { position, sku: None, error, at: 0, refused: false }
    }
}

/// The part of a checkpoint that says what was left out: the positions alone, for readers, and
/// what is known of each.
pub(crate) fn to_json(all: &[LeftOut]) -> (Value, Value) {
    let positions: Vec<_> = all.iter().map(|one| one.position.0).collect();
    (positions.into(), all.iter().map(LeftOut::to_json).collect())
}

/// Reads what a checkpoint says.
pub(crate) fn from_json(checkpoint: &Value) -> Vec<LeftOut> {
    let list = |name: &str| checkpoint[name].as_array().into_iter().flatten();
    let explained: Vec<_> = list("leftOut").filter_map(LeftOut::from_json).collect();
    let positions = list("parked").filter_map(Value::as_u64).map(Position);
    let found = positions.map(|position| {
        let explained = explained.iter().find(|one| one.position == position).cloned();
        explained.unwrap_or_else(|| LeftOut::unexplained(position))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_release_left_out_is_not_lost() {
        let one = LeftOut::refused(Position(7), "CUP", "too long");
        let (_, explained) = to_json(std::slice::from_ref(&one));

        let read = from_json(&json!({ "parked": [5, 7], "leftOut": explained }));

        assert_eq!(read, [LeftOut::unexplained(Position(5)), one]);
    }

    #[test]
    fn a_long_error_is_cut() {
        let one = LeftOut::unreadable(Position(7), "CUP", &"é".repeat(100_000));
        assert_eq!(one.error.chars().count(), MAX_ERROR);
    }
}
