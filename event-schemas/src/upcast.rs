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
    /// The step itself; never panics. Fails where the payload is not of version `from`.
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

#[cfg(test)]
mod tests {
    use daybook_domain::values::Quantity;
    use serde::de::Error;
    use serde_json::json;

    use super::*;
    use crate::shape::contract;
    use crate::{Contract, Wire};

    /// An event with a past: version 1 had a lone weight in pounds, version 2 called it by its
    /// unit, and version 3 weighs in grams and counts.
    #[derive(Debug, Clone, PartialEq)]
    enum ParcelEvent {
        Weighed { grams: i64, pieces: Quantity },
    }

    const UPCASTS: &[Upcast] = &[
        Upcast {
            kind: "ParcelWeighed",
            from: 2,
            up: |old| Ok(json!({ "grams": number(&old, "pounds")? * 454, "pieces": 1 })),
        },
        Upcast {
            kind: "ParcelWeighed",
            from: 1,
            up: |old| Ok(json!({ "pounds": number(&old, "weight")? })),
        },
    ];

    fn number(payload: &Value, field: &str) -> Result<i64, serde_json::Error> {
        payload[field].as_i64().ok_or_else(|| Error::custom(format!("{field} is no number")))
    }

    contract! {
        ParcelEvent, upcasts: UPCASTS, retired: ["ParcelSniffed"];

        /// A parcel was weighed.
        ParcelWeighed 3 = Weighed {
            /// How heavy.
            grams: i64,
            /// How many pieces.
            pieces: Quantity,
        }
    }

    fn weighed(grams: i64) -> ParcelEvent {
        ParcelEvent::Weighed { grams, pieces: Quantity::try_from(1).unwrap() }
    }

    #[test]
    fn every_version_reads_as_the_newest() {
        for (version, data) in
            [(1, r#"{"weight":2}"#), (2, r#"{"pounds":2}"#), (3, r#"{"grams":908,"pieces":1}"#)]
        {
            let event = ParcelEvent::decode("ParcelWeighed", version, data.as_bytes());

            assert_eq!(event.unwrap(), Some(weighed(908)), "version {version}");
        }
    }

    #[test]
    fn only_the_newest_version_is_written() {
        let Wire { kind, version, data } = weighed(908).encode();

        assert_eq!((kind, version), ("ParcelWeighed", 3));
        assert_eq!(data, br#"{"grams":908,"pieces":1}"#);
    }

    #[test]
    fn an_old_payload_that_is_not_of_its_version_is_malformed() {
        for (version, data) in [(1, r#"{"pounds":2}"#), (2, r#"{"weight":2}"#), (1, "[]"), (2, "")]
        {
            let result = ParcelEvent::decode("ParcelWeighed", version, data.as_bytes());

            let right =
                matches!(&result, Err(DecodeError::Malformed { version: v, .. }) if *v == version);
            assert!(right, "{result:?}");
        }
    }

    #[test]
    fn what_an_upcast_gives_is_checked_like_any_payload() {
        let without_pieces = Upcast { up: |_| Ok(json!({ "grams": 1 })), ..UPCASTS[0] };

        let result = read::<ParcelWeighed<'_>>(&[without_pieces], "ParcelWeighed", 3, 2, b"{}");

        assert!(matches!(result.err(), Some(DecodeError::Malformed { version: 2, .. })));
    }

    #[test]
    fn a_gap_in_the_chain_is_reported() {
        let result = read::<Value>(&UPCASTS[..1], "ParcelWeighed", 3, 1, b"{}");

        assert!(
            matches!(result, Err(DecodeError::UnknownVersion { version: 1, .. })),
            "{result:?}"
        );
    }

    #[test]
    fn a_version_of_a_later_release_is_reported() {
        let result = ParcelEvent::decode("ParcelWeighed", 4, b"{}");

        assert!(matches!(result, Err(DecodeError::TooNew { version: 4, newest: 3, .. })));
    }

    #[test]
    fn a_retired_type_reads_as_nothing() {
        let event = ParcelEvent::decode("ParcelSniffed", 1, b"whatever it was").unwrap();

        assert_eq!(event, None);
        assert!(ParcelEvent::KINDS.contains(&"ParcelSniffed"));
    }
}
