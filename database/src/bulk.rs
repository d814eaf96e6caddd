//! Rows of a table, many at a time.

use std::borrow::Cow;

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, AssertSqlSafe};

use crate::query::{Query, Value};
use crate::tx::Inner;
use crate::{Engine, Error, Row, Tx};

/// Most rows of one statement on `SQLite`; a power of two. Smaller remainders go by smaller powers
/// of two, so that few different statements have to be prepared.
const ROWS: usize = 256;

/// Rows that are sent at a time to be copied.
const COPIED: usize = 4_096;

/// A column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// BIGINT.
    Int,
    /// TEXT.
    Text,
}

impl Kind {
    /// Its name in SQL.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Int => "BIGINT",
            Self::Text => "TEXT",
        }
    }
}

/// A column's name and type.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
}

/// A table: its name, and its columns, the key's first.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, those of the key first.
    pub columns: &'static [Column],
    /// How many columns make the key.
    pub keys: usize,
    /// What a row does to an earlier one.
    pub merge: Merge,
}

/// What a row does to an earlier one of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// It takes its place.
    Replace,
    /// Its numbers are added to the other's.
    Add,
}

impl Tx {
    /// Writes whole rows, given column after column. No two may have the same key.
    ///
    /// # Errors
    /// The database refuses the rows, or fails.
    pub async fn upsert(&mut self, table: &Table, values: Vec<Value>) -> Result<(), Error> {
        let engine = self.engine();
        for (rows, values) in portions(engine, table.columns.len(), values) {
            let sql = AssertSqlSafe(engine.upsert(table, rows));
            self.execute(bulk(engine, sql, table.columns, values)?).await?;
        }
        Ok(())
    }

    /// Writes whole rows into a table that has none of their keys, given column after column, as fast
    /// as the engine can: by COPY into `PostgreSQL`, by statements of many rows into `SQLite`.
    ///
    /// # Errors
    /// The database refuses the rows, or fails.
    pub async fn load(&mut self, table: &Table, values: Vec<Value>) -> Result<(), Error> {
        let width = table.columns.len();
        let Inner::Postgres(tx) = &mut self.0 else {
            for (rows, values) in portions(Engine::Sqlite, width, values) {
                let sql = AssertSqlSafe(Engine::insert(table, rows));
                self.execute(Query::with(sql, values)).await?;
            }
            return Ok(());
        };
        let mut copy = tx.copy_in_raw(&Engine::copy(table)).await?;
        for rows in values.chunks(width * COPIED) {
            copy.send(rows.chunks(width).map(copied).collect::<String>().into_bytes()).await?;
        }
        copy.finish().await?;
        Ok(())
    }

    /// Reads the rows of these keys, given key column after key column. Missing ones are left
    /// out, and the order is any.
    ///
    /// # Errors
    /// The database fails.
    pub async fn select(
        &mut self,
        table: &Table,
        keys: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let (engine, columns) = (self.engine(), &table.columns[..table.keys]);
        let mut found = Vec::new();
        for (rows, keys) in portions(engine, table.keys, keys) {
            let sql = AssertSqlSafe(engine.select(table, rows));
            for row in self.rows(bulk(engine, sql, columns, keys)?).await? {
                found.push(values(table, &row)?);
            }
        }
        Ok(found)
    }
}

/// The values of some rows, as one statement takes them.
fn bulk(
    engine: Engine,
    sql: AssertSqlSafe<String>,
    columns: &[Column],
    values: Vec<Value>,
) -> Result<Query, Error> {
    match engine {
        Engine::Sqlite => Ok(Query::with(sql, values)),
        Engine::Postgres => Ok(Query::encoded(sql, arrays(columns, &values)?)),
    }
}

/// A row as COPY takes it.
fn copied(row: &[Value]) -> String {
    let mut line = String::new();
    for (at, value) in row.iter().enumerate() {
        if at > 0 {
            line.push('\t');
        }
        match (value.int(), value.text()) {
            (Some(int), _) => line.extend([int.to_string()]),
            (None, Some(text)) => line.extend(text.chars().map(escaped)),
            (None, None) => line.push_str("\\N"),
        }
    }
    line.push('\n');
    line
}

fn escaped(char: char) -> Cow<'static, str> {
    match char {
        '\\' => "\\\\".into(),
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        other => String::from(other).into(),
    }
}

/// Splits values into those of each statement, with the number of its rows.
fn portions(
    engine: Engine,
    width: usize,
    values: Vec<Value>,
) -> impl Iterator<Item = (usize, Vec<Value>)> {
    let mut left = values.len() / width;
    let mut values = values.into_iter();
    std::iter::from_fn(move || {
        let rows = match engine {
            Engine::Sqlite => ROWS.min(1 << left.checked_ilog2()?),
            Engine::Postgres => (left > 0).then_some(left)?,
        };
        left -= rows;
        Some((rows, values.by_ref().take(rows * width).collect()))
    })
}

/// Each column as an array.
fn arrays(columns: &[Column], values: &[Value]) -> Result<PgArguments, Error> {
    let mut arguments = PgArguments::default();
    for (at, column) in columns.iter().enumerate() {
        let values = values.iter().skip(at).step_by(columns.len());
        match column.kind {
            Kind::Int => arguments.add(values.map(Value::int).collect::<Vec<Option<i64>>>()),
            Kind::Text => {
                arguments.add(values.map(Value::text).collect::<Vec<Option<Cow<'_, str>>>>())
            }
        }
        .map_err(Error::Encode)?;
    }
    Ok(arguments)
}

fn values(table: &Table, row: &Row) -> Result<Vec<Value>, Error> {
    let value = |(at, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Int => row.maybe_i64(at)?.map_or(Value::Null, Value::Int),
            Kind::Text => row.maybe_str(at)?.map_or(Value::Null, |text| Value::Text(text.into())),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(engine: Engine, rows: usize) -> Vec<usize> {
        let values = vec![Value::Null; rows * 2];
        portions(engine, 2, values)
            .map(|(rows, values)| {
                assert_eq!(values.len(), rows * 2);
                rows
            })
            .collect()
    }

    #[test]
    fn what_would_end_a_field_is_escaped() {
        let row = [Value::Null, Value::Int(-7), Value::from("a\tb\\c\r\n"), Value::Word("é")];
        assert_eq!(copied(&row), "\\N\t-7\ta\\tb\\\\c\\r\\n\té\n");
    }

    #[test]
    fn sqlite_takes_powers_of_two_and_postgresql_everything_at_once() {
        assert_eq!(sizes(Engine::Sqlite, 600), [256, 256, 64, 16, 8]);
        assert_eq!(sizes(Engine::Postgres, 600), [600]);
        assert_eq!(sizes(Engine::Postgres, 0), [0; 0]);
    }
}
