//! What records become: events, as many and as large as one append may have.

use daybook_event_store::{NewEvent, StreamId};
use prost_types::value::Kind;
use tonic::Status;
use uuid::Uuid;

use super::refusals::{append_too_large, record_too_large};
use crate::budget::{Held, Share};
use crate::errors;
use crate::protocol::sessions::{AppendRecord, SchemaFormat};
use crate::streams::append::{EVENT_BYTES, MOST_EVENTS};

/// How much of one append has come.
#[derive(Debug)]
pub(super) struct Tally {
    most: usize,
    bytes: usize,
    events: usize,
    held: Held,
}

impl Tally {
    /// Of an append of so many bytes at most.
    pub(super) fn new(most: usize, share: &Share) -> Self {
        Self { most, bytes: 0, events: 0, held: share.nothing() }
    }

    /// Holds memory that is none of an event's.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Status> {
        self.held.grow(bytes)
    }

    /// A record as an event. Its payload is copied, so that it does not keep the whole message.
    pub(super) fn event(
        &mut self,
        stream: &StreamId,
        record: AppendRecord,
    ) -> Result<NewEvent, Status> {
        let id = match &record.record_id {
            Some(text) => {
                text.parse().map_err(|_| Status::invalid_argument("an id must be a UUID"))?
            }
            None => Uuid::now_v7(),
        };
        let schema = record.schema.ok_or_else(|| errors::required("schema of a record"))?;
        let metadata = metadata(record.properties);
        let size = schema.name.len() + metadata.len() + record.data.len();
        if size > self.most {
            return Err(record_too_large(stream, id, size, self.most));
        }
        (self.bytes, self.events) = (self.bytes + size, self.events + 1);
        if self.bytes > self.most {
            return Err(append_too_large(self.bytes, self.most));
        }
        if self.events > MOST_EVENTS {
            let most = format!("an append has at most {MOST_EVENTS} events");
            return Err(Status::invalid_argument(most));
        }
        // Once for the store, once more for what is said where it is refused.
        self.held.grow(2 * (size + EVENT_BYTES))?;
        let is_json = schema.format() == SchemaFormat::Json;
        let data = record.data.to_vec().into();
        Ok(NewEvent { id, kind: schema.name.into(), data, metadata: metadata.into(), is_json })
    }
}

/// Properties as the JSON object that the first version's clients have for metadata.
fn metadata(properties: impl IntoIterator<Item = (String, prost_types::Value)>) -> Vec<u8> {
    let object = object(properties);
    if object.is_empty() {
        Vec::new()
    } else {
        serde_json::Value::Object(object).to_string().into()
    }
}

fn object(
    fields: impl IntoIterator<Item = (String, prost_types::Value)>,
) -> serde_json::Map<String, serde_json::Value> {
    fields.into_iter().map(|(key, value)| (key, json(value))).collect()
}

fn json(value: prost_types::Value) -> serde_json::Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(truth)) => truth.into(),
        Some(Kind::StructValue(fields)) => object(fields.fields).into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_told_as_json() {
        let value = |kind| prost_types::Value { kind: Some(kind) };
        let list = prost_types::ListValue { values: vec![value(Kind::BoolValue(true))] };
        assert_eq!(metadata([]), b"");
        assert_eq!(metadata([("a".into(), value(Kind::ListValue(list)))]), br#"{"a":[true]}"#);
    }
}
