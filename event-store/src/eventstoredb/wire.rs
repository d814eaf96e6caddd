//! The client's types, and what they say in the store's own.

use std::str;
use std::sync::Arc;

use eventstore::{
    EventData, Position as WirePosition, RecordedEvent as WireEvent, StreamPosition, StreamState,
};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::failure::Failure;
use crate::{
    Direction, Expected, InvalidStreamId, NewEvent, Position, RecordedEvent, Revision, StreamId,
};

/// The greatest number that the protocol has for a revision or position.
const MOST: u64 = i64::MAX.cast_unsigned();

pub(super) fn state(expected: Expected) -> StreamState {
    match expected {
        Expected::Any => StreamState::Any,
        Expected::NoStream => StreamState::NoStream,
        Expected::StreamExists => StreamState::StreamExists,
        Expected::At(Revision(revision)) => StreamState::StreamRevision(revision),
    }
}

/// An event to be sent. What is not even text is not said to be JSON.
pub(super) fn event_data(event: &NewEvent) -> EventData {
    let text = event.is_json.then(|| str::from_utf8(&event.data).ok()).flatten();
    let json = text.and_then(|text| EventData::json(&*event.kind, &Verbatim(text)).ok());
    let data = json.unwrap_or_else(|| EventData::binary(&*event.kind, event.data.clone()));
    data.id(event.id).metadata(event.metadata.clone())
}

/// A text that is JSON as it stands. The client says of a payload that it is JSON only where it
/// serializes it; this is how `serde_json` passes a text through, as for its own raw values.
struct Verbatim<'a>(&'a str);

impl Serialize for Verbatim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const TOKEN: &str = "$serde_json::private::RawValue";
        let mut raw = serializer.serialize_struct(TOKEN, 1)?;
        raw.serialize_field(TOKEN, self.0)?;
        raw.end()
    }
}

/// The names of the event before: those of the next are often the same.
#[derive(Debug, Default)]
pub(super) struct Names {
    stream: Option<StreamId>,
    kind: Option<Arc<str>>,
}

impl Names {
    fn stream(&mut self, name: &str) -> Result<StreamId, InvalidStreamId> {
        match &self.stream {
            Some(last) if last.as_str() == name => Ok(last.clone()),
            _ => Ok(self.stream.insert(name.parse()?).clone()),
        }
    }

    fn kind(&mut self, name: &str) -> Arc<str> {
        match &self.kind {
            Some(last) if **last == *name => Arc::clone(last),
            _ => Arc::clone(self.kind.insert(name.into())),
        }
    }
}

/// An event as the server has it.
pub(super) fn recorded(event: WireEvent, names: &mut Names) -> Result<RecordedEvent, Failure> {
    let place = event.position.commit;
    let odd = |error: String| Failure::Damaged(format!("the event at {place}: {error}"));
    let stream = names.stream(event.stream_id()).map_err(|error| odd(format!("{error}")))?;
    // The client's own time has whole seconds only. Ticks are of 100 ns.
    let created = event.metadata.get("created").and_then(|ticks| ticks.parse::<i64>().ok());
    let created = created.ok_or_else(|| odd("it has no time".into()))?;
    Ok(RecordedEvent {
        stream,
        revision: Revision(event.revision),
        position: Position(place),
        recorded_at: created / 10,
        id: event.id,
        kind: names.kind(&event.event_type),
        data: event.data,
        metadata: event.custom_metadata,
        is_json: event.is_json,
    })
}

/// Where a read of a stream begins.
pub(super) fn stream_position(from: Revision, direction: Direction) -> StreamPosition<u64> {
    if from.0 >= MOST && direction == Direction::Backward {
        return StreamPosition::End;
    }
    StreamPosition::Position(from.0.min(MOST))
}

/// Where a read of all events begins. `None` is the end.
pub(super) fn all_position(from: Option<Position>) -> StreamPosition<WirePosition> {
    match from {
        Some(Position(at)) if at < MOST => {
            StreamPosition::Position(WirePosition { commit: at, prepare: at })
        }
        _ => StreamPosition::End,
    }
}

/// The position that an answer tells, if it does.
pub(super) fn told_position(position: WirePosition) -> Option<Position> {
    (1..MOST).contains(&position.commit).then_some(Position(position.commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sent_as_it_stands() {
        for text in ["", "{\"$tb\":", " {\"a\" : 1}\n", "null", "µ€\u{0}"] {
            assert_eq!(serde_json::to_vec(&Verbatim(text)).unwrap(), text.as_bytes());
        }
    }
}
