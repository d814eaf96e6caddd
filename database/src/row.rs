use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, ColumnIndex, Row as _, TypeInfo, ValueRef};

use crate::Error;

/// A row of an answer.
#[derive(Debug)]
pub enum Row {
    /// Of a file.
    Sqlite(SqliteRow),
    /// Of a server.
    Postgres(PgRow),
}

/// A column of a row: its name, or its place from 0.
pub trait At: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> {}

impl<T: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>> At for T {}

/// A column's value, whatever its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw<'r> {
    /// None.
    Null,
    /// A number, or whether something is so.
    Int(i64),
    /// Text.
    Text(&'r str),
}

macro_rules! get {
    ($row:expr, $at:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($at),
            Row::Postgres(row) => row.try_get($at),
        }
    };
}

/// All of these fail where the column is missing or of another type.
impl Row {
    /// A text.
    pub fn str(&self, at: impl At) -> Result<&str, Error> {
        get!(self, at)
    }

    /// A text, if there is one.
    pub fn maybe_str(&self, at: impl At) -> Result<Option<&str>, Error> {
        get!(self, at)
    }

    /// A number.
    pub fn i64(&self, at: impl At) -> Result<i64, Error> {
        get!(self, at)
    }

    /// A number, if there is one.
    pub fn maybe_i64(&self, at: impl At) -> Result<Option<i64>, Error> {
        get!(self, at)
    }

    /// Whether something is so.
    pub fn bool(&self, at: impl At) -> Result<bool, Error> {
        get!(self, at)
    }

    /// Whether something is so, if that is known.
    pub fn maybe_bool(&self, at: impl At) -> Result<Option<bool>, Error> {
        get!(self, at)
    }

    /// The columns' names.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Sqlite(row) => row.columns().iter().map(Column::name).collect(),
            Self::Postgres(row) => row.columns().iter().map(Column::name).collect(),
        }
    }

    /// The value of the column at a place from 0.
    pub fn raw(&self, at: usize) -> Result<Raw<'_>, Error> {
        let (is_null, kind) = match self {
            Self::Sqlite(row) => kind(&row.try_get_raw(at)?),
            Self::Postgres(row) => kind(&row.try_get_raw(at)?),
        };
        Ok(match kind {
            _ if is_null => Raw::Null,
            Type::Text => Raw::Text(self.str(at)?),
            Type::Bool => Raw::Int(self.bool(at)?.into()),
            Type::Int => Raw::Int(self.i64(at)?),
        })
    }
}

enum Type {
    Int,
    Bool,
    Text,
}

/// Whether a value is none, and its type.
fn kind<'r>(value: &impl ValueRef<'r>) -> (bool, Type) {
    let kind = match value.type_info().name() {
        "TEXT" => Type::Text,
        "BOOL" | "BOOLEAN" => Type::Bool,
        _ => Type::Int,
    };
    (value.is_null(), kind)
}
