//! Events as messages. A read has many of them, so they are written from where the store has
//! them, without the strings and the map that the message would be of if it was generated.

use daybook_event_store::Recorded;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{
    DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, message, skip_field,
    uint64,
};
use prost::{DecodeError, Message};

use super::links::Item;
use crate::protocol::{IdForm, ticks, wire_position};

const ID: u32 = 1;
const STREAM_IDENTIFIER: u32 = 2;
const STREAM_REVISION: u32 = 3;
const PREPARE_POSITION: u32 = 4;
const COMMIT_POSITION: u32 = 5;
const METADATA: u32 = 6;
const CUSTOM_METADATA: u32 = 7;
const DATA: u32 = 8;

/// The only field of a stream's identifier.
const STREAM_NAME: u32 = 3;
/// The fields of an entry of the metadata.
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// The bytes of a message beside names and payloads, at most.
const AROUND: usize = 192;

/// The message `RecordedEvent` of reads and of persistent subscriptions, to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WireEvent {
    /// All fields but the payload and what is said about it, as they are sent.
    head: Vec<u8>,
    event: Option<Recorded>,
}

impl WireEvent {
    pub(crate) fn new(item: Item, ids: IdForm) -> Self {
        let (event, stream) = (&item.event, item.stream());
        let mut head = Vec::with_capacity(AROUND + stream.len() + event.kind.len());
        message::encode(ID, &ids.encode(event.id), &mut head);
        begin(STREAM_IDENTIFIER, length(stream.as_bytes()), &mut head);
        bytes(STREAM_NAME, stream.as_bytes(), &mut head);
        let position = wire_position(event.position);
        uint64::encode(STREAM_REVISION, &item.revision(), &mut head);
        uint64::encode(PREPARE_POSITION, &position, &mut head);
        uint64::encode(COMMIT_POSITION, &position, &mut head);
        let content_type = ["application/octet-stream", "application/json"];
        entry("type", &event.kind, &mut head);
        entry("created", &ticks(event.recorded_at), &mut head);
        entry("content-type", content_type[usize::from(event.is_json)], &mut head);
        Self { head, event: Some(item.event) }
    }

    /// What is not in the head.
    fn payloads(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let event = self.event.iter();
        let payloads = event.flat_map(|e| [(CUSTOM_METADATA, &*e.metadata), (DATA, &*e.data)]);
        payloads.filter(|(_, payload)| !payload.is_empty())
    }
}

impl Message for WireEvent {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.head);
        for (tag, payload) in self.payloads() {
            bytes(tag, payload, buffer);
        }
    }

    fn encoded_len(&self) -> usize {
        self.head.len() + self.payloads().map(|(_, payload)| length(payload)).sum::<usize>()
    }

    /// Nobody sends events to a server in this form.
    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire, tag, buffer, context)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The beginning of a field of so many bytes.
fn begin(tag: u32, length: usize, buffer: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(length as u64, buffer);
}

fn bytes(tag: u32, bytes: &[u8], buffer: &mut impl BufMut) {
    begin(tag, bytes.len(), buffer);
    buffer.put_slice(bytes);
}

/// The length of a field of bytes. Tags up to 15 have one byte.
fn length(bytes: &[u8]) -> usize {
    1 + encoded_len_varint(bytes.len() as u64) + bytes.len()
}

fn entry(key: &str, value: &str, buffer: &mut impl BufMut) {
    let (key, value) = (key.as_bytes(), value.as_bytes());
    begin(METADATA, length(key) + length(value), buffer);
    bytes(KEY, key, buffer);
    bytes(VALUE, value, buffer);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use daybook_event_store::{IndexStream, Listed, Position, RecordedEvent, Revision};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::protocol::{StreamIdentifier, WireUuid, identifier};
    use crate::streams::Resolved;

    /// The message as it is generated from its definition.
    #[derive(Clone, PartialEq, Message)]
    struct Generated {
        #[prost(message, optional, tag = "1")]
        id: Option<WireUuid>,
        #[prost(message, optional, tag = "2")]
        stream_identifier: Option<StreamIdentifier>,
        #[prost(uint64, tag = "3")]
        stream_revision: u64,
        #[prost(uint64, tag = "4")]
        prepare_position: u64,
        #[prost(uint64, tag = "5")]
        commit_position: u64,
        #[prost(map = "string, string", tag = "6")]
        metadata: HashMap<String, String>,
        #[prost(bytes = "bytes", tag = "7")]
        custom_metadata: Bytes,
        #[prost(bytes = "bytes", tag = "8")]
        data: Bytes,
    }

    fn generated(item: &Item, ids: IdForm) -> Generated {
        let event = &item.event;
        let content_type =
            if event.is_json { "application/json" } else { "application/octet-stream" };
        let metadata = [
            ("type", event.kind.to_string()),
            ("created", ticks(event.recorded_at)),
            ("content-type", content_type.into()),
        ];
        let position = wire_position(event.position);
        Generated {
            id: Some(ids.encode(event.id)),
            stream_identifier: Some(identifier(item.stream())),
            stream_revision: item.revision(),
            prepare_position: position,
            commit_position: position,
            metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into(),
            custom_metadata: event.metadata.clone(),
            data: event.data.clone(),
        }
    }

    fn events() -> impl Strategy<Value = Recorded> {
        let payload = || prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        let names = ("[a-z]{1,9}-[^\\p{Cc}]{0,40}", prop_oneof![".{0,200}", Just("$>".to_owned())]);
        let places = (0..i64::MAX.cast_unsigned(), 0..i64::MAX.cast_unsigned());
        let told = (any::<u128>(), -1_000_000..i64::MAX / 10, any::<bool>());
        (names, places, told, payload(), payload()).prop_map(
            |((stream, kind), (revision, position), (id, recorded_at, is_json), data, metadata)| {
                RecordedEvent {
                    stream: stream.parse().expect("it is a name"),
                    revision: Revision(revision),
                    position: Position(position),
                    recorded_at,
                    id: Uuid::from_u128(id),
                    kind: kind.into(),
                    data,
                    metadata,
                    is_json,
                }
                .into()
            },
        )
    }

    proptest! {
        #[test]
        fn it_is_read_as_the_message_that_would_be_generated(
            event in events(),
            ordinal in any::<u64>(),
            as_text in any::<bool>(),
        ) {
            let ids = if as_text { IdForm::Text } else { IdForm::Structured };
            let listed = Listed { ordinal: Revision(ordinal), event };
            let index = IndexStream::Category("order".into()).to_string().into();
            let resolved = Resolved::listed(&index, listed, true);
            for item in [resolved.event, resolved.link].into_iter().flatten() {
                let expected = generated(&item, ids);
                let sent = WireEvent::new(item, ids);
                let bytes = sent.encode_to_vec();
                prop_assert_eq!(bytes.len(), sent.encoded_len());
                prop_assert_eq!(Generated::decode(&*bytes), Ok(expected));
            }
        }
    }
}
