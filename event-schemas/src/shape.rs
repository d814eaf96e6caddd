//! The tables in which wire forms are written down.
//!
//! A table mirrors a type of the domain; the compiler sees to it that no variant and no field is
//! forgotten. Names are camelCase on the wire, and fields that are not known are passed over, so
//! that a later release can add some without locking earlier ones out.

/// The wire forms of an event enum: one line of head and one struct per event type, in its newest
/// version. Earlier versions live on in `upcasts`, and types that mean nothing any more in
/// `retired`.
macro_rules! contract {
    (
        $event:ty, upcasts: $upcasts:expr, retired: [$($retired:literal),*];
        $(
            $(#[$doc:meta])*
            $kind:ident $version:literal = $variant:ident {
                $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)?
            }
        )*
    ) => {
        $(
            $(#[$doc])*
            #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
            #[serde(rename_all = "camelCase")]
            struct $kind<'a> {
                $( $(#[$field_doc])* $field: $crate::value::Json<'a, $type>, )*
            }
        )*

        impl $crate::Contract for $event {
            const KINDS: &'static [&'static str] = &[$(stringify!($kind),)* $($retired,)*];

            fn encode(&self) -> $crate::Wire {
                match self {
                    $( Self::$variant { $($field),* } => {
                        let form = $kind { $($field: $crate::value::Json::of($field)),* };
                        $crate::Wire::json(stringify!($kind), $version, &form)
                    } )*
                }
            }

            fn decode(
                kind: &str,
                version: u16,
                data: &[u8],
            ) -> Result<Option<Self>, $crate::DecodeError> {
                match kind {
                    $( stringify!($kind) => {
                        let form: $kind<'_> =
                            $crate::upcast::read($upcasts, kind, $version, version, data)?;
                        Ok(Some(Self::$variant { $($field: form.$field.into_inner()),* }))
                    } )*
                    $( $retired => Ok(None), )*
                    _ => Err($crate::DecodeError::UnknownKind { kind: kind.into() }),
                }
            }
        }

        impl $crate::catalogue::Catalogued for $event {
            const FORMS: &'static [$crate::EventForm] = &[$(
                $crate::EventForm {
                    kind: stringify!($kind),
                    version: $version,
                    schema: || $crate::catalogue::schema::<$kind<'_>>(stringify!($kind)),
                    renew: |version, data| {
                        $crate::catalogue::renew::<Self>(stringify!($kind), version, data)
                    },
                },
            )*];
        }
    };
}

/// The form of a struct: an object with its fields.
macro_rules! record {
    (
        $(#[$doc:meta])*
        $type:ident as $form:ident {
            $( $(#[$field_doc:meta])* $field:ident: $field_type:ty ),* $(,)?
        }
    ) => {
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $(#[$doc])*
        #[serde(rename_all = "camelCase")]
        struct $form<'a> {
            $( $(#[$field_doc])* $field: $crate::value::Json<'a, $field_type>, )*
        }

        impl $crate::value::Form for $type {
            const NAME: Option<&'static str> = Some(stringify!($type));

            fn write<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let form = $form { $($field: $crate::value::Json::of(&self.$field)),* };
                serde::Serialize::serialize(&form, to)
            }

            fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let form: $form<'_> = serde::Deserialize::deserialize(from)?;
                Ok(Self { $($field: form.$field.into_inner()),* })
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$form<'_> as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
}

/// The form of an enum: an object named after the variant (`{"shipped": {…}}`), or text where the
/// variant has no fields; with `#[serde(tag = "type")]` an object that names its variant beside
/// the fields.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        $type:ident as $form:ident {
            $(
                $(#[$doc:meta])*
                $variant:ident
                $({ $( $(#[$field_doc:meta])* $field:ident: $field_type:ty ),* $(,)? })?
                $(( $inner:ident: $inner_type:ty ))?
            ),* $(,)?
        }
    ) => {
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
        enum $form<'a> {
            $(
                $(#[$doc])*
                $variant
                $({ $( $(#[$field_doc])* $field: $crate::value::Json<'a, $field_type> ),* })?
                $(( $crate::value::Json<'a, $inner_type> ))?,
            )*
        }

        impl $crate::value::Form for $type {
            const NAME: Option<&'static str> = Some(stringify!($type));

            fn write<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let form = match self {
                    $( Self::$variant $({ $($field),* })? $(( $inner ))? => $form::$variant
                        $({ $($field: $crate::value::Json::of($field)),* })?
                        $(( $crate::value::Json::of($inner) ))?,
                    )*
                };
                serde::Serialize::serialize(&form, to)
            }

            fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Ok(match serde::Deserialize::deserialize(from)? {
                    $( $form::$variant $({ $($field),* })? $(( $inner ))? => Self::$variant
                        $({ $($field: $field.into_inner()),* })?
                        $(( $inner.into_inner() ))?,
                    )*
                })
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$form<'_> as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
}

/// The form of an enum whose variants have no fields: text.
macro_rules! words {
    ($(#[$meta:meta])* $type:ident as $form:ident { $($(#[$doc:meta])* $variant:ident),* $(,)? }) => {
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(rename_all = "camelCase")]
        enum $form { $($(#[$doc])* $variant),* }

        impl $crate::value::Form for $type {
            const NAME: Option<&'static str> = Some(stringify!($type));

            fn write<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let form = match self { $(Self::$variant => $form::$variant),* };
                serde::Serialize::serialize(&form, to)
            }

            fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Ok(match serde::Deserialize::deserialize(from)? {
                    $($form::$variant => Self::$variant),*
                })
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$form as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
}

pub(crate) use {choice, contract, record, words};
