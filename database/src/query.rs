use std::borrow::Cow;
use std::sync::Arc;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, SqlSafeStr, SqlStr};
use uuid::Uuid;

use crate::Error;

/// A column's or parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// None; as a single parameter it is none of a number.
    Null,
    /// BIGINT.
    Int(i64),
    /// BOOLEAN.
    Bool(bool),
    /// TEXT.
    Text(Arc<str>),
    /// One of a column's fixed words; read as text.
    Word(&'static str),
    /// Written and read as text.
    Id(Uuid),
}

impl Value {
    /// The number in it.
    pub(crate) fn int(&self) -> Option<i64> {
        if let Self::Int(int) = self { Some(*int) } else { None }
    }

    /// The text of it, unless it is none.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null | Self::Int(_) | Self::Bool(_) => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Word(word) => Some(Cow::Borrowed(word)),
            Self::Id(id) => Some(Cow::Owned(id.to_string())),
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Self::Id(value)
    }
}

/// A statement of SQL with its parameters.
#[derive(Debug)]
pub struct Query {
    pub(crate) sql: SqlStr,
    parameters: Parameters,
}

#[derive(Debug)]
pub(crate) enum Parameters {
    Values(Vec<Value>),
    /// As `SQLite` takes them.
    Sqlite(SqliteArguments),
    /// As `PostgreSQL` takes them.
    Postgres(PgArguments),
}

/// A statement, whose parameters are called `$1`, `$2` and so on.
pub fn query(sql: impl SqlSafeStr) -> Query {
    Query::with(sql, Parameters::Values(Vec::new()))
}

impl Query {
    pub(crate) fn with(sql: impl SqlSafeStr, parameters: Parameters) -> Self {
        Self { sql: sql.into_sql_str(), parameters }
    }

    /// Gives the next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        if let Parameters::Values(values) = &mut self.parameters {
            values.push(value.into());
        }
        self
    }

    /// The statement, and its parameters as `SQLite` takes them.
    pub(crate) fn sqlite(self) -> Result<(SqlStr, SqliteArguments), Error> {
        let arguments = match self.parameters {
            Parameters::Values(values) => sqlite_arguments(values.len(), values)?,
            Parameters::Sqlite(arguments) => arguments,
            Parameters::Postgres(_) => return Err(other_engine()),
        };
        Ok((self.sql, arguments))
    }

    pub(crate) fn postgres(&self) -> Result<PgArguments, Error> {
        let values = match &self.parameters {
            Parameters::Values(values) => values,
            Parameters::Sqlite(_) => return Err(other_engine()),
            Parameters::Postgres(arguments) => return Ok(arguments.clone()),
        };
        let mut arguments = PgArguments::default();
        for value in values {
            match value {
                Value::Null => arguments.add(None::<i64>),
                Value::Int(int) => arguments.add(*int),
                Value::Bool(is) => arguments.add(*is),
                Value::Text(_) | Value::Word(_) | Value::Id(_) => arguments.add(value.text()),
            }
            .map_err(Error::Encode)?;
        }
        Ok(arguments)
    }
}

/// So many parameters as `SQLite` takes them.
pub(crate) fn sqlite_arguments(
    count: usize,
    values: impl IntoIterator<Item = Value>,
) -> Result<SqliteArguments, Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(count, 0);
    for value in values {
        match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(int) => arguments.add(int),
            Value::Bool(is) => arguments.add(is),
            Value::Text(text) => arguments.add(text),
            Value::Word(word) => arguments.add(Arc::<str>::from(word)),
            Value::Id(id) => {
                arguments.add(Arc::<str>::from(&*id.hyphenated().encode_lower(&mut [0; 36])))
            }
        }
        .map_err(Error::Encode)?;
    }
    Ok(arguments)
}

fn other_engine() -> Error {
    Error::Encode("these parameters are another engine's".into())
}
