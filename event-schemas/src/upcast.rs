use std::cmp::Ordering;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::DecodeError;

/// The largest payload that is read, in bytes: what a store takes in one append.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// One step of an event type's history: turns a payload of version `from` into one of the next.
#[derive(Debug, Clone, Copy)]
pub struct Upcast {
    /// The event's type.
    pub kind: &'static str,
    /// The version that it reads; it writes the next.
    pub from: u16,
    /// The step itself. Fails where the payload is not of version `from`.
    pub up: fn(Value) -> Result<Value, serde_json::Error>,
}

/// Reads a payload of any version as the newest form. Only payloads of earlier versions go
/// through a [`Value`], step by step.
pub(crate) fn read<T: DeserializeOwned>(
    upcasts: &[Upcast],
    kind: &str,
    newest: u16,
    version: u16,
    data: &[u8],
) -> Result<T, DecodeError> {
    if data.len() > MAX_PAYLOAD {
        let (bytes, max) = (data.len(), MAX_PAYLOAD);
        return Err(DecodeError::TooLarge { kind: kind.into(), bytes, max });
    }
    let form = match version.cmp(&newest) {
        Ordering::Equal => serde_json::from_slice(data),
        Ordering::Greater => {
            return Err(DecodeError::TooNew { kind: kind.into(), version, newest });
        }
        Ordering::Less => {
            let steps = steps(upcasts, kind, newest, version)?;
            serde_json::from_slice(data)
                .and_then(|value| steps.into_iter().try_fold(value, |value, step| (step.up)(value)))
                .and_then(T::deserialize)
        }
    };
    form.map_err(|source| DecodeError::Malformed { kind: kind.into(), version, source })
}

/// The steps that lead from a version to the newest.
fn steps<'a>(
    upcasts: &'a [Upcast],
    kind: &str,
    newest: u16,
    version: u16,
) -> Result<Vec<&'a Upcast>, DecodeError> {
    (version..newest)
        .map(|from| upcasts.iter().find(|step| step.kind == kind && step.from == from))
        .collect::<Option<_>>()
        .ok_or_else(|| DecodeError::UnknownVersion { kind: kind.into(), version })
}
