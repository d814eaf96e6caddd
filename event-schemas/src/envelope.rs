use std::convert::Infallible;
use std::sync::Arc;

use daybook_event_store::{NewEvent, Position, Recorded, Revision, StreamId};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::contract::write_json;
use crate::value::parse;
use crate::{Contract, DecodeError};

/// On whose behalf something is done: `kind:name`, such as `user:alice` or `process:checkout`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(#[serde(deserialize_with = "shared_text")] pub Arc<str>);

/// Reads text into its shared place at once: metadata are read with every event.
fn shared_text<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
    parse(from, "text", |text| Ok::<_, Infallible>(text.into()))
}

fn optional_shared_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Arc<str>>, D::Error> {
    Ok(Option::<Actor>::deserialize(from)?.map(|Actor(text)| text))
}

/// What is said about every event, beside what its store says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The version of the payload's form.
    #[serde(rename = "schemaVersion")]
    pub schema_version: u16,
    /// Shared by everything that one request set off.
    #[serde(rename = "$correlationId")]
    pub correlation_id: Uuid,
    /// The command that decided this event.
    #[serde(rename = "$causationId")]
    pub causation_id: Uuid,
    /// On whose behalf.
    pub actor: Actor,
    /// W3C Trace Context of the request, where there was one.
    #[serde(
        default,
        deserialize_with = "optional_shared_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub traceparent: Option<Arc<str>>,
}

/// An event of the business, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<E> {
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub revision: Revision,
    /// Its place in the store.
    pub position: Position,
    /// When the store took it: microseconds since 1970-01-01T00:00:00Z.
    pub recorded_at: i64,
    /// Its id.
    pub id: Uuid,
    /// What is said about it.
    pub metadata: Metadata,
    /// What happened.
    pub event: E,
}

/// Makes an event ready to be appended. The schema version in `metadata` is set here.
pub fn seal<E: Contract>(id: Uuid, event: &E, metadata: &Metadata) -> NewEvent {
    let wire = event.encode();
    let metadata = Metadata { schema_version: wire.version, ..metadata.clone() };
    let metadata = write_json(&metadata).into();
    NewEvent { id, kind: wire.kind.into(), data: wire.data.into(), metadata, is_json: true }
}

/// Reads a recorded event for a reader that may skip what does not concern it. `None`: its type is
/// retired or not of this contract.
///
/// # Errors
/// Its type is of this contract, but it is not what it should be.
pub fn open_known<E: Contract>(recorded: &Recorded) -> Result<Option<Envelope<E>>, DecodeError> {
    if E::KINDS.contains(&&*recorded.kind) { open(recorded) } else { Ok(None) }
}

/// Reads a recorded event for a reader that may not skip any. `None`: its type is retired.
///
/// # Errors
/// Its type is not of this contract, or it is not what it should be.
pub fn open<E: Contract>(recorded: &Recorded) -> Result<Option<Envelope<E>>, DecodeError> {
    let metadata: Metadata = serde_json::from_slice(&recorded.metadata)
        .map_err(|source| DecodeError::Metadata { id: recorded.id, source })?;
    let event = E::decode(&recorded.kind, metadata.schema_version, &recorded.data)?;
    Ok(event.map(|event| Envelope {
        stream: recorded.stream.clone(),
        revision: recorded.revision,
        position: recorded.position,
        recorded_at: recorded.recorded_at,
        id: recorded.id,
        metadata,
        event,
    }))
}
