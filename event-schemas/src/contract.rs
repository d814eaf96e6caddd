use schemars::Schema;
use serde::Serialize;
use thiserror::Error;

/// An event as it is written: a type, the version of its form, and JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire<D = Vec<u8>> {
    /// The event's type, such as `OrderPlaced`. Unique over all categories.
    pub kind: &'static str,
    /// The version of its form, from 1.
    pub version: u16,
    /// UTF-8 JSON.
    pub data: D,
}

impl Wire {
    /// Writes a form as JSON.
    ///
    /// # Panics
    /// JSON cannot express the form: one of its maps has keys that are not text, or its own
    /// `Serialize` fails. No form of this crate does either.
    pub fn json(kind: &'static str, version: u16, form: &impl Serialize) -> Self {
        Self { kind, version, data: write_json(form) }
    }
}

/// Most events, and most metadata, fit without growing the buffer.
const USUAL_BYTES: usize = 256;

pub(crate) fn write_json(form: &impl Serialize) -> Vec<u8> {
    let mut data = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut data, form).expect("every event can be written as JSON");
    data
}

/// Why bytes are not an event.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// No such type is known here. Readers that follow many types may skip it.
    #[error("unknown event type {kind:?}")]
    UnknownKind {
        /// The type.
        kind: String,
    },
    /// The event was written by a later release.
    #[error(
        "{kind} is of version {version}, and this release knows versions up to {newest}: upgrade it"
    )]
    TooNew {
        /// The type.
        kind: String,
        /// As written.
        version: u16,
        /// As known here.
        newest: u16,
    },
    /// The version lies before those that can be read.
    #[error("{kind} has no version {version}")]
    UnknownVersion {
        /// The type.
        kind: String,
        /// As written.
        version: u16,
    },
    /// The payload is larger than any store takes.
    #[error("{kind} has {bytes} bytes, and at most {max} are read")]
    TooLarge {
        /// The type.
        kind: String,
        /// As found.
        bytes: usize,
        /// As allowed.
        max: usize,
    },
    /// The payload is not of the form that its type and version promise.
    #[error("{kind} version {version} is malformed")]
    Malformed {
        /// The type.
        kind: String,
        /// As written.
        version: u16,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The metadata is not of the form that it should have.
    #[error("the metadata of event {id} is malformed")]
    Metadata {
        /// The event's id.
        id: uuid::Uuid,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Events that can be written and read back, whatever version they were written in.
pub trait Contract: Sized + Send + Sync + 'static {
    /// Every event type of this contract, retired ones included.
    const KINDS: &'static [&'static str];

    /// The newest wire form.
    fn encode(&self) -> Wire;

    /// Reads any version that was ever written. `None`: the type is retired and means nothing
    /// today.
    ///
    /// # Errors
    /// The type is not of this contract, or the payload is not what it should be.
    fn decode(kind: &str, version: u16, data: &[u8]) -> Result<Option<Self>, DecodeError>;
}

/// What is known of one event type: the entry of a catalogue.
#[derive(Debug, Clone, Copy)]
pub struct EventForm {
    /// The event's type.
    pub kind: &'static str,
    /// The newest version of its form; all from 1 can be read.
    pub version: u16,
    /// The JSON Schema (draft 2020-12) of the newest version.
    pub schema: fn() -> Schema,
    /// Reads a payload of this type and writes it again in its newest version.
    pub renew: fn(version: u16, data: &[u8]) -> Result<Option<Wire>, DecodeError>,
}
