//! Events as messages. A read has many of them, so they are written from where the store has
//! them, without the strings and the map that the message would be of if it was generated.

use std::sync::LazyLock;

use daybook_event_store::Recorded;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, encoded_len_varint, message, skip_field};
use prost::{DecodeError, Message};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::links::Item;
use crate::protocol::{IdForm, ticks, wire_position};

const ID: u8 = 1;
const STREAM_IDENTIFIER: u8 = 2;
const STREAM_REVISION: u8 = 3;
const PREPARE_POSITION: u8 = 4;
const COMMIT_POSITION: u8 = 5;
const METADATA: u8 = 6;
const CUSTOM_METADATA: u8 = 7;
const DATA: u8 = 8;

/// An id as text, in a message of ids.
const TEXT: u8 = 2;
/// The only field of a stream's identifier.
const STREAM_NAME: u8 = 3;
/// The fields of an entry of the metadata.
const KEY: u8 = 1;
const VALUE: u8 = 2;

/// The bytes of a message beside names and payloads, at most.
const AROUND: usize = 192;

/// What the metadata say of a payload that is not JSON, and of one that is.
static CONTENT_TYPES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    ["application/octet-stream", "application/json"].map(|content_type| {
        let mut said = Vec::new();
        entry("content-type", content_type, &mut said);
        said
    })
});

/// The message `RecordedEvent` of reads and of persistent subscriptions, to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WireEvent {
    /// All of it but the payload, which comes last, as it is sent.
    head: Vec<u8>,
    event: Option<Recorded>,
}

impl WireEvent {
    pub(crate) fn new(item: Item, ids: IdForm) -> Self {
        let (event, stream) = (&item.event, item.stream());
        let room = AROUND + stream.len() + event.kind.len() + event.metadata.len();
        let mut head = Vec::with_capacity(room);
        id(event.id, ids, &mut head);
        begin(STREAM_IDENTIFIER, length(stream.as_bytes()), &mut head);
        bytes(STREAM_NAME, stream.as_bytes(), &mut head);
        let position = wire_position(event.position);
        number(STREAM_REVISION, item.revision(), &mut head);
        number(PREPARE_POSITION, position, &mut head);
        number(COMMIT_POSITION, position, &mut head);
        entry("type", &event.kind, &mut head);
        entry("created", &ticks(event.recorded_at), &mut head);
        head.extend_from_slice(&CONTENT_TYPES[usize::from(event.is_json)]);
        if !event.metadata.is_empty() {
            bytes(CUSTOM_METADATA, &event.metadata, &mut head);
        }
        if !event.data.is_empty() {
            begin(DATA, event.data.len(), &mut head);
        }
        Self { head, event: Some(item.event) }
    }

    fn data(&self) -> &[u8] {
        self.event.as_ref().map_or(&[], |event| &event.data)
    }
}

impl Message for WireEvent {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.head);
        buffer.put_slice(self.data());
    }

    fn encoded_len(&self) -> usize {
        self.head.len() + self.data().len()
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

fn varint(mut value: u64, to: &mut Vec<u8>) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push((value & 0x7f) as u8);
}

/// A field of a number. Tags up to 15 have one byte.
fn number(tag: u8, number: u64, to: &mut Vec<u8>) {
    to.push(tag << 3 | WireType::Varint as u8);
    varint(number, to);
}

/// The beginning of a field of so many bytes.
fn begin(tag: u8, length: usize, to: &mut Vec<u8>) {
    to.push(tag << 3 | WireType::LengthDelimited as u8);
    varint(length as u64, to);
}

fn bytes(tag: u8, bytes: &[u8], to: &mut Vec<u8>) {
    begin(tag, bytes.len(), to);
    to.extend_from_slice(bytes);
}

/// The length of a field of bytes.
fn length(bytes: &[u8]) -> usize {
    1 + encoded_len_varint(bytes.len() as u64) + bytes.len()
}

fn id(id: Uuid, form: IdForm, to: &mut Vec<u8>) {
    if form == IdForm::Structured {
        return message::encode(ID.into(), &form.encode(id), to);
    }
    let mut text = [0; Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text).as_bytes();
    begin(ID, length(text), to);
    bytes(TEXT, text, to);
}

fn entry(key: &str, value: &str, to: &mut Vec<u8>) {
    let (key, value) = (key.as_bytes(), value.as_bytes());
    begin(METADATA, length(key) + length(value), to);
    bytes(KEY, key, to);
    bytes(VALUE, value, to);
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
