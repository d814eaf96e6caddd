//! Parsed values: what exists of these types is valid.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

/// Why a text or number is not a value of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidValue {
    /// Text of a wrong length.
    #[error("{what} must be {min} to {max} characters long, not {actual}")]
    Length {
        /// What was parsed.
        what: &'static str,
        /// Fewest characters.
        min: usize,
        /// Most characters.
        max: usize,
        /// Characters given.
        actual: usize,
    },
    /// Text with characters or a form that is not allowed.
    #[error("{what} {rule}: {input:?}")]
    Form {
        /// What was parsed.
        what: &'static str,
        /// The rule it breaks.
        rule: &'static str,
        /// What was given.
        input: String,
    },
    /// A number outside its range.
    #[error("{what} must be from {min} to {max}, not {actual}")]
    Range {
        /// What was parsed.
        what: &'static str,
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Value given.
        actual: i64,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(input: &str) -> Result<Self, InvalidValue> {
                Uuid::try_parse(input).map(Self).map_err(|_| InvalidValue::Form {
                    what: stringify!($name),
                    rule: "must be a UUID",
                    input: input.chars().take(64).collect(),
                })
            }
        }
    };
}

id! {
    /// Identifies an order, and its reservations and processes.
    OrderId
}
id! {
    /// Identifies a customer.
    CustomerId
}
id! {
    /// Identifies a payment.
    PaymentId
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $min:literal..=$max:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(input: &str) -> Result<Self, InvalidValue> {
                let actual = input.chars().count();
                if !($min..=$max).contains(&actual) {
                    return Err(InvalidValue::Length { what: $what, min: $min, max: $max, actual });
                }
                let check: fn(&str) -> bool = $check;
                if !check(input) {
                    let input = input.chars().take(64).collect();
                    return Err(InvalidValue::Form { what: $what, rule: $rule, input });
                }
                Ok(Self(input.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }
    };
}

fn is_trimmed(text: &str) -> bool {
    text.trim() == text && !text.chars().any(char::is_control)
}

text! {
    /// A stock keeping unit: 1 to 64 printable ASCII characters, spaces inside allowed, case kept.
    Sku, "a SKU", 1..=64, "must be printable ASCII without spaces at its ends",
    |s| is_trimmed(s) && s.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}
text! {
    /// A seller's handle: 1 to 64 lowercase letters, digits and hyphens.
    SellerId, "a seller", 1..=64, "must be lowercase letters, digits and hyphens",
    |s| s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
text! {
    /// A name that people read: 1 to 200 characters on one line.
    Label, "a name", 1..=200, "must be one line without spaces at its ends", is_trimmed
}
text! {
    /// An e-mail address, checked for its form only.
    Email, "an e-mail address", 3..=254, "must look like name@host",
    |s| is_trimmed(s) && !s.contains(char::is_whitespace)
        && s.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.is_empty() && !host.contains('@')
        })
}
text! {
    /// A country by its ISO 3166-1 alpha-2 code.
    Country, "a country", 2..=2, "must be two capital letters (ISO 3166-1)",
    |s| s.bytes().all(|b| b.is_ascii_uppercase())
}
text! {
    /// What a payment provider knows a means of payment by; never a card number.
    PaymentMethod, "a payment method", 1..=128, "must be printable ASCII without spaces",
    |s| s.bytes().all(|b| b.is_ascii_graphic())
}

/// How many: 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(NonZeroU32);

impl Quantity {
    /// The largest quantity.
    pub const MAX: u32 = 1_000_000_000;

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The sum, unless it is out of range.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::try_from(i64::from(self.get()) + i64::from(other.get())).ok()
    }

    /// The sum, or the largest quantity where that is passed.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        let sum = self.get().saturating_add(other.get()).min(Self::MAX);
        NonZeroU32::new(sum).map_or(self, Self)
    }
}

impl TryFrom<i64> for Quantity {
    type Error = InvalidValue;

    fn try_from(actual: i64) -> Result<Self, InvalidValue> {
        u32::try_from(actual)
            .ok()
            .filter(|&n| n <= Self::MAX)
            .and_then(NonZeroU32::new)
            .map(Self)
            .ok_or(InvalidValue::Range {
                what: "a quantity",
                min: 1,
                max: i64::from(Self::MAX),
                actual,
            })
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        Self::from(quantity.get())
    }
}

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

impl FromStr for Currency {
    type Err = InvalidValue;

    fn from_str(input: &str) -> Result<Self, InvalidValue> {
        iso_currency::Currency::from_code(input).map(Self).ok_or_else(|| InvalidValue::Form {
            what: "a currency",
            rule: "must be an ISO 4217 code",
            input: input.chars().take(64).collect(),
        })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({})", self.code())
    }
}

/// Why two amounts cannot be reckoned together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// They are of different currencies.
    #[error("amounts in {0} and {1} cannot be reckoned together")]
    CurrencyMismatch(Currency, Currency),
    /// The result does not fit.
    #[error("the amount is too large")]
    Overflow,
}

/// An amount in minor units (pence, cents) of a currency. Never a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// How many minor units; below zero is owed.
    pub minor: i64,
    /// Of what.
    pub currency: Currency,
}

impl Money {
    /// An amount of `minor` units of `currency`.
    pub fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in some currency.
    pub fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum.
    ///
    /// # Errors
    /// The currencies differ, or the sum does not fit.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    /// The difference.
    ///
    /// # Errors
    /// The currencies differ, or the difference does not fit.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    /// The price of `quantity` at this price each.
    ///
    /// # Errors
    /// The product does not fit.
    pub fn times(self, quantity: Quantity) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(quantity.into()).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch(self.currency, other.currency))
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.0.exponent().unwrap_or(0).into();
        let (sign, minor) = (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
        let unit = 10_u64.pow(digits);
        let width = digits as usize;
        if digits == 0 {
            return write!(f, "{sign}{minor} {}", self.currency);
        }
        write!(f, "{sign}{}.{:0width$} {}", minor / unit, minor % unit, self.currency)
    }
}

/// An instant: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant that is `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds after the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This much later, or the latest instant there is.
    #[must_use]
    pub fn plus(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}
