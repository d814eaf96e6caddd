//! How values of the domain are read from JSON and from addresses.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use daybook_domain::values::{Currency, InvalidValue, Money, Quantity, Timestamp};
use daybook_query_side::Limit;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

/// A value that is written as text; what is read is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed<T>(pub(crate) T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(Error::custom)
    }
}

/// Takes the values out of optional fields.
pub(crate) fn value<T>(field: Option<Parsed<T>>) -> Option<T> {
    field.map(|Parsed(value)| value)
}

/// An amount of money.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Amount {
    /// Minor units (pence, cents).
    #[schema(example = 1299)]
    amount: i64,
    /// ISO 4217 code.
    #[schema(value_type = String, example = "GBP")]
    currency: Parsed<Currency>,
}

impl From<Amount> for Money {
    fn from(Amount { amount, currency: Parsed(currency) }: Amount) -> Self {
        Self::new(amount, currency)
    }
}

/// An instant as RFC 3339 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instant(pub(crate) Timestamp);

impl FromStr for Instant {
    type Err = InvalidValue;

    fn from_str(input: &str) -> Result<Self, InvalidValue> {
        let instant = DateTime::parse_from_rfc3339(input);
        let instant = instant.map_err(|_| InvalidValue::Form {
            what: "an instant",
            rule: "must be RFC 3339, such as 2026-01-31T12:00:00Z",
            input: input.chars().take(64).collect(),
        })?;
        Ok(Self(Timestamp::from_micros(instant.timestamp_micros())))
    }
}

/// The present instant.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(Utc::now().timestamp_micros())
}

/// Free text: up to [`Prose::MAX`] characters, possibly none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prose(pub(crate) String);

impl Prose {
    /// The most characters.
    pub(crate) const MAX: usize = 10_000;
}

impl FromStr for Prose {
    type Err = InvalidValue;

    fn from_str(input: &str) -> Result<Self, InvalidValue> {
        let actual = input.chars().count();
        if actual > Self::MAX {
            return Err(InvalidValue::Length { what: "a text", min: 0, max: Self::MAX, actual });
        }
        Ok(Self(input.to_owned()))
    }
}

/// Optional free text; none reads as empty.
pub(crate) fn prose(field: Option<Parsed<Prose>>) -> String {
    value(field).unwrap_or_default().0
}

/// A quantity written as JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count(pub(crate) Quantity);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Quantity::try_from(i64::deserialize(deserializer)?).map(Self).map_err(Error::custom)
    }
}

/// How many entries a page may have, in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageSize(Limit);

impl FromStr for PageSize {
    type Err = String;

    fn from_str(input: &str) -> Result<Self, String> {
        let number: i64 =
            input.parse().map_err(|_| "limit: it must be a whole number".to_owned())?;
        Limit::try_from(number).map(Self).map_err(|error| format!("limit: {error}"))
    }
}

/// The size of a page, or the usual one.
pub(crate) fn limit(field: Option<Parsed<PageSize>>) -> Limit {
    value(field).map(|size| size.0).unwrap_or_default()
}

/// What may not stand in a segment of a path as it is.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes one segment of a path.
pub(crate) fn segment(text: impl Display) -> String {
    utf8_percent_encode(&text.to_string(), &RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339() {
        let instant: Instant = "2010-12-01T08:26:00.5+01:00".parse().expect("an instant");
        assert_eq!(instant.0.as_micros(), 1_291_188_360_500_000);
        for wrong in ["2010-12-01", "2010-12-01T08:26:00", "yesterday", "2010-13-01T00:00:00Z"] {
            assert!(wrong.parse::<Instant>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_segment_survives_any_sku() {
        assert_eq!(segment("A/B 1%"), "A%2FB%201%25");
    }
}
