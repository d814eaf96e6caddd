//! The protocol's messages, and what they say in the store's own types.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::uuid::Uuid;
use bytes::Bytes;
use daybook_event_store::{Position, Recorded, Revision, StreamId};
use tonic::Status;

use crate::errors;

#[expect(
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/protocol.rs"));
}

pub(crate) use generated::event_store::client::persistent_subscriptions as persistent;
pub(crate) use generated::event_store::client::{
    AllStreamPosition, Empty, StreamIdentifier, Uuid as WireUuid, gossip, monitoring, operations,
    server_features as features, streams, users, uuid,
};
pub(crate) use generated::google::rpc;
pub(crate) use generated::kurrentdb::protocol::v2::streams as sessions;

/// What a status within a message tells of its cause.
pub(crate) mod details {
    pub(crate) use super::generated::event_store::client::{
        AccessDenied, BadRequest, MaximumAppendSizeExceeded, StreamDeleted, Timeout, Unknown,
        WrongExpectedVersion, wrong_expected_version,
    };
}

/// A revision that stands for the end of a deleted stream: EventStoreDB gives its tombstones the
/// greatest event number.
pub(crate) const TOMBSTONE: u64 = i64::MAX.cast_unsigned();

/// A position on the wire: one more than the store's, since some clients take 0 for the start.
pub(crate) fn wire_position(position: Position) -> u64 {
    position.0 + 1
}

/// What comes before a position of the wire; `None` for what comes before everything.
pub(crate) fn store_position(wire: u64) -> Option<Position> {
    wire.checked_sub(1).map(Position)
}

/// The name that a message gives to a stream.
pub(crate) fn name(identifier: Option<&StreamIdentifier>) -> Result<&str, Status> {
    let identifier = identifier.ok_or_else(|| errors::required("stream identifier"))?;
    std::str::from_utf8(&identifier.stream_name)
        .map_err(|_| Status::invalid_argument("a stream's name must be UTF-8"))
}

/// The stream that a message names.
pub(crate) fn stream(identifier: Option<&StreamIdentifier>) -> Result<StreamId, Status> {
    name(identifier)?.parse().map_err(|error| Status::invalid_argument(format!("{error}")))
}

/// A stream's name in a message.
pub(crate) fn identifier(name: &str) -> StreamIdentifier {
    StreamIdentifier { stream_name: Bytes::copy_from_slice(name.as_bytes()) }
}

/// How a client wants ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdForm {
    Structured,
    Text,
}

impl IdForm {
    pub(crate) fn encode(self, id: Uuid) -> WireUuid {
        let value = match self {
            Self::Text => uuid::Value::String(id.to_string()),
            Self::Structured => {
                let (most, least) = id.as_u64_pair();
                uuid::Value::Structured(uuid::Structured {
                    most_significant_bits: most.cast_signed(),
                    least_significant_bits: least.cast_signed(),
                })
            }
        };
        WireUuid { value: Some(value) }
    }
}

/// An id in either form.
pub(crate) fn decode_id(id: Option<&WireUuid>) -> Result<Uuid, Status> {
    match id.and_then(|id| id.value.as_ref()) {
        Some(uuid::Value::Structured(uuid::Structured {
            most_significant_bits: most,
            least_significant_bits: least,
        })) => Ok(Uuid::from_u64_pair(most.cast_unsigned(), least.cast_unsigned())),
        Some(uuid::Value::String(text)) => {
            text.parse().map_err(|_| Status::invalid_argument("an id must be a UUID"))
        }
        None => Err(errors::required("event id")),
    }
}

/// The protocol's time of an event: ticks of 100 ns since 1970; from microseconds since then.
pub(crate) fn ticks(micros: i64) -> String {
    (micros * 10).to_string()
}

/// The server's time, since 1970.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The server's time, as a message has it.
pub(crate) fn now() -> prost_types::Timestamp {
    let since = since_epoch();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}

/// The type of the event that ends a stream.
pub(crate) const STREAM_DELETED: &str = "$streamDeleted";

/// The number that an event has in its stream on the wire.
pub(crate) fn wire_revision(event: &Recorded) -> u64 {
    if &*event.kind == STREAM_DELETED { TOMBSTONE } else { event.revision.0 }
}

/// A stream's last revision for people, as EventStoreDB counts: -1 where there is none.
pub(crate) fn version(revision: Option<Revision>) -> String {
    revision.map_or("-1".into(), |revision| revision.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_in_both_forms() {
        for id in [Uuid::nil(), Uuid::max(), Uuid::from_u128(0x8000_0000_0000_0000_7fff << 40)] {
            for form in [IdForm::Structured, IdForm::Text] {
                assert_eq!(decode_id(Some(&form.encode(id))).unwrap(), id);
            }
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let text = |text: &str| WireUuid { value: Some(uuid::Value::String(text.into())) };
        for id in [None, Some(WireUuid { value: None }), Some(text("")), Some(text("12-34"))] {
            assert_eq!(decode_id(id.as_ref()).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }

    #[test]
    fn names_that_no_stream_has_are_refused() {
        let named =
            |name: &[u8]| stream(Some(&StreamIdentifier { stream_name: name.to_vec().into() }));
        assert_eq!(named(b"order-1").unwrap().as_str(), "order-1");
        for name in [&b""[..], b"\xff\xfe", b"a\0b", &[b'x'; 300]] {
            assert_eq!(named(name).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
        assert!(stream(None).is_err());
    }

    #[test]
    fn times_are_told_in_ticks() {
        assert_eq!(ticks(0), "0");
        assert_eq!(ticks(1_635_255_720_000_001), "16352557200000010");
    }
}
