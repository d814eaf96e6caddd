//! Everything in which the dialects differ: how rows are written and read in bulk, and how tables
//! are declared. All other SQL is common to both.

use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row as _, Sqlite, Transaction};
use uuid::Uuid;

/// Most rows of one statement; a power of two. Smaller remainders go by smaller powers of two, so
/// that few different statements have to be prepared.
const ROWS: usize = 256;

/// A column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// BIGINT.
    Int,
    /// TEXT.
    Text,
}

/// A column's name and type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// A table: its name, and its columns, the key's first.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: &'static [Column],
    pub(crate) keys: usize,
    pub(crate) merge: Merge,
}

/// What a row does to an earlier one of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// It takes its place.
    Replace,
    /// Its numbers are added to the other's.
    Add,
}

/// A column's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(Arc<str>),
    /// One of a column's fixed words; read as text.
    Word(&'static str),
    /// Written and read as text.
    Id(Uuid),
}

/// The declarations of a read model's tables for one version of it.
pub(crate) fn declaration(template: &str, version: u32) -> String {
    template.replace("{version}", &version.to_string()).replace("{clustered}", "WITHOUT ROWID")
}

/// A transaction that writes. Dropped, it is rolled back.
#[derive(Debug)]
pub(crate) struct Tx {
    inner: Transaction<'static, Sqlite>,
}

impl Tx {
    pub(crate) fn new(inner: Transaction<'static, Sqlite>) -> Self {
        Self { inner }
    }

    /// Makes it last.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }

    /// The connection, for statements that stand beside their use.
    pub(crate) fn connection(&mut self) -> &mut sqlx::SqliteConnection {
        &mut self.inner
    }

    /// Runs a script of statements.
    pub(crate) async fn script(&mut self, sql: String) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.inner).await?;
        Ok(())
    }

    /// Writes whole rows, given column after column.
    pub(crate) async fn upsert(
        &mut self,
        table: &Table,
        values: Vec<Value>,
    ) -> Result<(), sqlx::Error> {
        let width = table.columns.len();
        let mut values = values.into_iter();
        for rows in portions(values.len() / width) {
            let arguments = arguments(values.by_ref().take(rows * width))?;
            let sql = AssertSqlSafe(upsert_statement(table, rows));
            sqlx::query_with(sql, arguments).execute(&mut *self.inner).await?;
        }
        Ok(())
    }

    /// Reads the rows of these keys, given key column after key column. Missing ones are left
    /// out, and the order is any.
    pub(crate) async fn select(
        &mut self,
        table: &Table,
        keys: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, sqlx::Error> {
        let mut found = Vec::new();
        let mut keys = keys.into_iter();
        for rows in portions(keys.len() / table.keys) {
            let arguments = arguments(keys.by_ref().take(rows * table.keys))?;
            let sql = AssertSqlSafe(select_statement(table, rows));
            let rows = sqlx::query_with(sql, arguments).fetch_all(&mut *self.inner).await?;
            for row in rows {
                found.push(values(table, &row)?);
            }
        }
        Ok(found)
    }
}

/// Splits a number of rows into powers of two, the largest first.
fn portions(mut rows: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let portion = ROWS.min(1 << rows.checked_ilog2()?);
        rows -= portion;
        Some(portion)
    })
}

fn arguments(values: impl Iterator<Item = Value>) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    let mut buffer = Uuid::encode_buffer();
    arguments.reserve(values.size_hint().0, 0);
    for value in values {
        match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(int) => arguments.add(int),
            Value::Text(text) => arguments.add(text),
            Value::Word(word) => arguments.add(word),
            Value::Id(id) => {
                let text: &str = id.hyphenated().encode_lower(&mut buffer);
                arguments.add(Arc::<str>::from(text))
            }
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn values(table: &Table, row: &SqliteRow) -> Result<Vec<Value>, sqlx::Error> {
    let value = |(at, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Int => row.try_get::<Option<i64>, _>(at)?.map_or(Value::Null, Value::Int),
            Kind::Text => row
                .try_get::<Option<&str>, _>(at)?
                .map_or(Value::Null, |text| Value::Text(text.into())),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}

/// `SQLite` looks a numbered parameter up by walking through all of them, so these are anonymous.
fn tuples(width: usize, rows: usize) -> String {
    let tuple = format!("({})", vec!["?"; width].join(","));
    vec![tuple; rows].join(",")
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",")
}

fn upsert_statement(table: &Table, rows: usize) -> String {
    let Table { name, columns, keys, merge } = table;
    let updates: Vec<_> = columns[*keys..]
        .iter()
        .map(|Column { name: column, .. }| match merge {
            Merge::Replace => format!("{column}=excluded.{column}"),
            Merge::Add => format!("{column}={name}.{column}+excluded.{column}"),
        })
        .collect();
    format!(
        "INSERT INTO {name} ({}) VALUES {} ON CONFLICT ({}) DO UPDATE SET {}",
        names(columns),
        tuples(columns.len(), rows),
        names(&columns[..*keys]),
        updates.join(","),
    )
}

fn select_statement(table: &Table, rows: usize) -> String {
    let Table { name, columns, keys, .. } = table;
    format!(
        "SELECT {} FROM {name} WHERE ({}) IN (VALUES {})",
        names(columns),
        names(&columns[..*keys]),
        tuples(*keys, rows),
    )
}
