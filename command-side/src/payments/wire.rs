//! The JSON forms that the ledger, the server and the client share.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use daybook_domain::values::{Currency, Money, PaymentId, PaymentMethod};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Values that are written as their text.
pub(super) mod text {
    use super::{Cow, Deserialize, Deserializer, Display, FromStr, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        Cow::<str>::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// `{"amount": <minor units>, "currency": "GBP"}`.
pub(super) mod money {
    use super::{Currency, Deserialize, Deserializer, Money, Serialize, Serializer, text};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Amount {
        amount: i64,
        #[serde(with = "text")]
        currency: Currency,
    }

    pub(crate) fn serialize<S: Serializer>(value: &Money, to: S) -> Result<S::Ok, S::Error> {
        Amount { amount: value.minor, currency: value.currency }.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Money, D::Error> {
        let Amount { amount, currency } = Amount::deserialize(from)?;
        Ok(Money::new(amount, currency))
    }
}

/// The body of `POST /v1/authorizations`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthorizationBody {
    #[serde(with = "text")]
    pub(super) payment: PaymentId,
    #[serde(with = "money")]
    pub(super) amount: Money,
    #[serde(with = "text")]
    pub(super) method: PaymentMethod,
}

/// The body of a capture or a refund.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AmountBody {
    #[serde(with = "money")]
    pub(super) amount: Money,
}

/// The body of every success.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReceiptBody {
    pub(super) reference: String,
}

/// The body of every failure (RFC 9457).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub(super) kind: Cow<'static, str>,
    pub(super) title: Cow<'static, str>,
    pub(super) status: u16,
    #[serde(default)]
    pub(super) detail: String,
}

impl Problem {
    /// The media type of a problem.
    pub(super) const MEDIA_TYPE: &'static str = "application/problem+json";
    /// The type of the problem that a key was used for another request.
    pub(super) const KEY_REUSED: &'static str = "urn:daybook:problem:key-reused";
}
