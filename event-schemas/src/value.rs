//! The form of single values in JSON: each has one, wherever it stands.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use daybook_domain::values::{
    Country, Currency, CustomerId, Email, Label, Money, OrderId, PaymentId, PaymentMethod,
    Quantity, SellerId, Sku, Timestamp,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::timestamp;

/// A type that has a form in JSON. It stands in for `Serialize`, `Deserialize` and `JsonSchema`,
/// which the domain's types do not have. Only this crate can name it.
pub trait Form: Clone {
    /// What the form is called in a schema; `None` where it is spelt out in place.
    const NAME: Option<&'static str>;

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A value in its form: borrowed to be written, owned once read.
pub(crate) struct Json<'a, T: Form>(pub(crate) Cow<'a, T>);

impl<'a, T: Form> Json<'a, T> {
    pub(crate) fn of(value: &'a T) -> Self {
        Self(Cow::Borrowed(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_owned()
    }
}

impl<T: Form> Serialize for Json<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<'de, T: Form> Deserialize<'de> for Json<'_, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(|value| Self(Cow::Owned(value)))
    }
}

impl<T: Form> JsonSchema for Json<'_, T> {
    fn inline_schema() -> bool {
        T::NAME.is_none()
    }

    fn schema_name() -> Cow<'static, str> {
        T::NAME.unwrap_or_else(std::any::type_name::<T>).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

/// Numbers and texts that serde and schemars know, as they are there.
macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Form for $type {
            const NAME: Option<&'static str> = None;

            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.serialize(to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::deserialize(from)
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                Self::json_schema(generator)
            }
        }
    )*};
}

plain!(String, bool, i64, u16, u32, u64, Value);

/// Reads text without copying it first.
struct Parsed<T, F>(&'static str, F, PhantomData<T>);

impl<T, E: fmt::Display, F: FnOnce(&str) -> Result<T, E>> Visitor<'_> for Parsed<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<D: Error>(self, text: &str) -> Result<T, D> {
        (self.1)(text).map_err(D::custom)
    }
}

pub(crate) fn parse<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    from: D,
    what: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    from.deserialize_str(Parsed(what, parse, PhantomData))
}

/// Texts that the domain parses.
macro_rules! text {
    ($($type:ident, $as_str:ident, $what:literal, $schema:tt;)*) => {$(
        impl Form for $type {
            const NAME: Option<&'static str> = Some(stringify!($type));

            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.$as_str())
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                parse(from, $what, Self::from_str)
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

text! {
    Sku, as_str, "a SKU", {
        "description": "A stock keeping unit: printable ASCII, no space at its ends.",
        "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]([ -~]*[!-~])?$"
    };
    SellerId, as_str, "a seller", {
        "description": "A seller's handle.",
        "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z0-9-]+$"
    };
    Label, as_str, "a name", {
        "description": "A name that people read, on one line, no space at its ends.",
        "type": "string", "minLength": 1, "maxLength": 200
    };
    Email, as_str, "an e-mail address", {
        "description": "An e-mail address, checked for its form only.",
        "type": "string", "minLength": 3, "maxLength": 254, "pattern": "^[^ @]+@[^ @]+$"
    };
    Country, as_str, "a country", {
        "description": "A country: ISO 3166-1 alpha-2.",
        "type": "string", "pattern": "^[A-Z]{2}$"
    };
    PaymentMethod, as_str, "a payment method", {
        "description": "What a payment provider knows a means of payment by; never a card number.",
        "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"
    };
    Currency, code, "a currency", {
        "description": "A currency: ISO 4217.",
        "type": "string", "pattern": "^[A-Z]{3}$"
    };
}

fn read_uuid<'de, D: Deserializer<'de>>(from: D) -> Result<Uuid, D::Error> {
    parse(from, "a UUID", |text| {
        let hyphenated = text.len() == uuid::fmt::Hyphenated::LENGTH;
        Uuid::try_parse(text).ok().filter(|_| hyphenated).ok_or("a UUID must be hyphenated hex")
    })
}

impl Form for Uuid {
    const NAME: Option<&'static str> = Some("Uuid");

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.hyphenated().encode_lower(&mut Self::encode_buffer()))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        read_uuid(from)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A UUID: lowercase, hyphenated.",
            "type": "string", "format": "uuid"
        })
    }
}

macro_rules! id {
    ($($type:ident, $description:literal;)*) => {$(
        impl Form for $type {
            const NAME: Option<&'static str> = Some(stringify!($type));

            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.0.write(to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                read_uuid(from).map(Self)
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $description, "type": "string", "format": "uuid" })
            }
        }
    )*};
}

id! {
    OrderId, "An order's id: a UUID, lowercase, hyphenated.";
    CustomerId, "A customer's id: a UUID, lowercase, hyphenated.";
    PaymentId, "A payment's id: a UUID, lowercase, hyphenated.";
}

impl Form for Quantity {
    const NAME: Option<&'static str> = Some("Quantity");

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(self.get())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(i64::deserialize(from)?).map_err(D::Error::custom)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How many.",
            "type": "integer", "minimum": 1, "maximum": Self::MAX
        })
    }
}

impl Form for Timestamp {
    const NAME: Option<&'static str> = Some("Timestamp");

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(timestamp::write(*self).as_str())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse(from, "an instant", |text| {
            timestamp::parse_timestamp(text)
                .ok_or("an instant must be YYYY-MM-DDTHH:MM:SS.ffffffZ and exist")
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An instant: RFC 3339, UTC, with six digits of the second's fraction.",
            "type": "string", "format": "date-time",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"
        })
    }
}

/// An amount of money.
#[derive(Serialize, Deserialize, JsonSchema)]
struct MoneyForm<'a> {
    /// Minor units (pence, cents); below zero is owed.
    amount: i64,
    /// The currency.
    currency: Json<'a, Currency>,
}

impl Form for Money {
    const NAME: Option<&'static str> = Some("Money");

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        MoneyForm { amount: self.minor, currency: Json::of(&self.currency) }.serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let form = MoneyForm::deserialize(from)?;
        Ok(Self::new(form.amount, form.currency.into_inner()))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        MoneyForm::json_schema(generator)
    }
}

impl<T: Form> Form for Vec<T> {
    const NAME: Option<&'static str> = None;

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Json::of))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);

        impl<'de, T: Form> Visitor<'de> for Items<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<Vec<T>, A::Error> {
                let mut read = Vec::new();
                while let Some(item) = items.next_element::<Json<'_, T>>()? {
                    read.push(item.into_inner());
                }
                Ok(read)
            }
        }

        from.deserialize_seq(Items(PhantomData))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Json<'_, T>>::json_schema(generator)
    }
}

impl<T: Form> Form for Option<T> {
    const NAME: Option<&'static str> = None;

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Json::of).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::<Json<'_, T>>::deserialize(from).map(|value| value.map(Json::into_inner))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<Json<'_, T>>::json_schema(generator)
    }
}

impl<A: Form, B: Form> Form for (A, B) {
    const NAME: Option<&'static str> = None;

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (Json::of(&self.0), Json::of(&self.1)).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (a, b) = <(Json<'_, A>, Json<'_, B>)>::deserialize(from)?;
        Ok((a.into_inner(), b.into_inner()))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <(Json<'_, A>, Json<'_, B>)>::json_schema(generator)
    }
}
