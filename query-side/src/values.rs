use std::fmt;

use daybook_domain::values::Timestamp;
use daybook_event_schemas::format_timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Money {
    /// Minor units (pence, cents); below zero is owed.
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(example = "GBP")]
    pub currency: String,
}

/// An instant, in JSON as RFC 3339 in UTC with six digits of the second's fraction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2011-12-09T12:50:00.000000Z")]
pub struct Instant(pub Timestamp);

impl Instant {
    /// The instant that is `micros` microseconds after 1970-01-01T00:00:00Z.
    pub fn from_micros(micros: i64) -> Self {
        Self(Timestamp::from_micros(micros))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_timestamp(self.0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
