//! The shape of a table's rows, declared once: as a struct, as columns, and as values.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use daybook_database::{Column, Error, Kind, Value};
use uuid::Uuid;

/// A row of a table whose name, columns and key are known.
pub(crate) trait Row: Send + Sync + Sized + 'static {
    /// What tells rows apart.
    type Key: Clone + Debug + Eq + Hash + Ord + Send + Sync;
    /// The table's name without its version.
    const NAME: &'static str;
    /// The columns, the key's first.
    const COLUMNS: &'static [Column];
    /// How many columns make the key.
    const KEYS: usize;

    fn key(&self) -> Self::Key;
    fn write_key(key: &Self::Key, out: &mut Vec<Value>);
    fn write(&self, out: &mut Vec<Value>);
    fn read(values: Vec<Value>) -> Result<Self, Error>;
}

/// A type that a column can have.
pub(crate) trait Field: Sized {
    const KIND: Kind;
    fn to_value(&self) -> Value;
    fn from_value(value: Value) -> Option<Self>;
}

impl Field for i64 {
    const KIND: Kind = Kind::Int;

    fn to_value(&self) -> Value {
        Value::Int(*self)
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Int(int) = value { Some(int) } else { None }
    }
}

impl Field for Arc<str> {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}

impl Field for Uuid {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value {
        Value::Id(*self)
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Self::try_parse(&text).ok() } else { None }
    }
}

impl<F: Field> Field for Option<F> {
    const KIND: Kind = F::KIND;

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, F::to_value)
    }

    fn from_value(value: Value) -> Option<Self> {
        if value == Value::Null { Some(None) } else { F::from_value(value).map(Some) }
    }
}

/// A column of a fixed set of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl $crate::row::Field for $name {
            const KIND: daybook_database::Kind = daybook_database::Kind::Text;

            fn to_value(&self) -> daybook_database::Value {
                daybook_database::Value::Word(match self { $(Self::$variant => $word),+ })
            }

            fn from_value(value: daybook_database::Value) -> Option<Self> {
                let daybook_database::Value::Text(text) = value else { return None };
                match &*text { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

/// Declares a row: the table's name, the key's columns, then the others.
macro_rules! row {
    (
        $(#[$doc:meta])*
        $name:ident in $table:literal {
            key { $($key:ident: $key_type:ty),+ $(,)? }
            $($field:ident: $type:ty),+ $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name {
            $(pub(crate) $key: $key_type,)+
            $(pub(crate) $field: $type,)+
        }

        impl $crate::row::Row for $name {
            type Key = ($($key_type,)+);
            const NAME: &'static str = $table;
            const COLUMNS: &'static [daybook_database::Column] = &[
                $(daybook_database::Column {
                    name: stringify!($key),
                    kind: <$key_type as $crate::row::Field>::KIND,
                },)+
                $(daybook_database::Column {
                    name: stringify!($field),
                    kind: <$type as $crate::row::Field>::KIND,
                },)+
            ];
            const KEYS: usize = [$(stringify!($key)),+].len();

            fn key(&self) -> Self::Key {
                ($(self.$key.clone(),)+)
            }

            fn write_key(($($key,)+): &Self::Key, out: &mut Vec<daybook_database::Value>) {
                use $crate::row::Field as _;
                $(out.push($key.to_value());)+
            }

            fn write(&self, out: &mut Vec<daybook_database::Value>) {
                use $crate::row::Field as _;
                $(out.push(self.$key.to_value());)+
                $(out.push(self.$field.to_value());)+
            }

            fn read(values: Vec<daybook_database::Value>) -> Result<Self, daybook_database::Error> {
                let mut values = values.into_iter();
                Ok(Self {
                    $($key: $crate::row::next(&mut values, stringify!($key))?,)+
                    $($field: $crate::row::next(&mut values, stringify!($field))?,)+
                })
            }
        }
    };
}
pub(crate) use row;

/// The next column's value as what it should be.
pub(crate) fn next<F: Field>(
    values: &mut impl Iterator<Item = Value>,
    column: &'static str,
) -> Result<F, Error> {
    values.next().and_then(F::from_value).ok_or_else(|| Error::ColumnDecode {
        index: column.to_owned(),
        source: "not of the column's type".into(),
    })
}
