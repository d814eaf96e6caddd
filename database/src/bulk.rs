//! Rows of a table, many at a time.

use std::borrow::Cow;
use std::num::TryFromIntError;

use futures::future::join;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, AssertSqlSafe, Postgres, Transaction};

use crate::query::{Parameters, Query, Value, sqlite_arguments};
use crate::tx::Inner;
use crate::{Engine, Error, Row, Tx};

/// Most rows of one statement on `SQLite`; a power of two. Smaller remainders go by smaller powers
/// of two, so that few different statements have to be prepared.
const ROWS: usize = 256;

/// Rows that are worth a COPY. The driver leaves Nagle's algorithm on and ends a COPY by a packet of
/// its own, for which the server may be waited for 40 ms.
const WORTH_A_COPY: usize = 4_096;

/// Bytes that are sent at a time to be copied, or little more.
const COPIED: usize = 1 << 20;

/// What binary data of COPY begins with: the signature, no flags, no extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What it ends with, in place of a row's number of fields.
const COPY_TRAILER: i16 = -1;

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
        let portions = Portions::new(engine, table.columns, values);
        self.write(portions, |rows| engine.upsert(table, rows)).await
    }

    /// Writes whole rows into a table that has none of their keys, given column after column, as fast
    /// as the engine can: by COPY into `PostgreSQL`, unless they are few, and by statements of many rows
    /// into `SQLite`. Dropped meanwhile, or with an error, the transaction is rolled back.
    ///
    /// # Errors
    /// The database refuses the rows, or fails. A key that is there is refused, unless the rows are few.
    pub async fn load(mut self, table: &Table, values: Vec<Value>) -> Result<Self, Error> {
        let width = table.columns.len();
        match self.0 {
            Inner::Postgres(_) if values.len() / width < WORTH_A_COPY => {
                self.upsert(table, values).await?;
                Ok(self)
            }
            Inner::Postgres(tx) => {
                // A COPY that the driver breaks off leaves a connection whose answers are taken for
                // those to later questions. So each is gone through, whoever waits for it or not.
                let copying = tokio::spawn(copy(tx, Engine::copy(table), width, values));
                Ok(Self(Inner::Postgres(copying.await.map_err(|_| Error::WorkerCrashed)??)))
            }
            Inner::Sqlite(tx) => {
                let mut tx = Self(Inner::Sqlite(tx));
                let portions = Portions::new(Engine::Sqlite, table.columns, values);
                tx.write(portions, |rows| Engine::insert(table, rows)).await?;
                Ok(tx)
            }
        }
    }

    /// Writes rows by the statement for so many. While the engine's thread or server is at one, the next
    /// is made ready.
    async fn write(
        &mut self,
        mut portions: Portions<'_>,
        statement: impl Fn(usize) -> String,
    ) -> Result<(), Error> {
        let mut next = portions.next()?;
        while let Some((rows, parameters)) = next {
            let sql = AssertSqlSafe(statement(rows));
            let executing = self.execute(Query::with(sql, parameters));
            let (executed, following) = join(executing, async { portions.next() }).await;
            executed?;
            next = following?;
        }
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
        let mut portions = Portions::new(engine, columns, keys);
        while let Some((rows, parameters)) = portions.next()? {
            let sql = AssertSqlSafe(engine.select(table, rows));
            for row in self.rows(Query::with(sql, parameters)).await? {
                found.push(values(table, &row)?);
            }
        }
        Ok(found)
    }
}

/// Copies rows of so many columns.
async fn copy(
    mut tx: Transaction<'static, Postgres>,
    statement: String,
    width: usize,
    values: Vec<Value>,
) -> Result<Transaction<'static, Postgres>, Error> {
    let mut copy = tx.copy_in_raw(&statement).await?;
    let mut data = COPY_HEADER.to_vec();
    for row in values.chunks(width) {
        if let Err(error) = copied(row, &mut data) {
            copy.abort("a value is too long").await?;
            return Err(error);
        }
        if data.len() >= COPIED {
            copy.send(std::mem::take(&mut data)).await?;
        }
    }
    data.extend(COPY_TRAILER.to_be_bytes());
    copy.send(data).await?;
    copy.finish().await?;
    Ok(tx)
}

/// Adds a row as COPY takes it in binary: the number of fields, then each field.
fn copied(row: &[Value], data: &mut Vec<u8>) -> Result<(), Error> {
    let width = i16::try_from(row.len()).map_err(too_long)?;
    data.extend(width.to_be_bytes());
    for value in row {
        match value {
            Value::Null => data.extend((-1_i32).to_be_bytes()),
            Value::Int(int) => field(&int.to_be_bytes(), data)?,
            Value::Bool(is) => field(&[u8::from(*is)], data)?,
            Value::Text(text) => field(text.as_bytes(), data)?,
            Value::Word(word) => field(word.as_bytes(), data)?,
            Value::Id(id) => {
                field(id.hyphenated().encode_lower(&mut [0; 36]).as_bytes(), data)?;
            }
        }
    }
    Ok(())
}

/// Adds a field: its length, then its bytes.
fn field(bytes: &[u8], data: &mut Vec<u8>) -> Result<(), Error> {
    let length = i32::try_from(bytes.len()).map_err(too_long)?;
    data.extend(length.to_be_bytes());
    data.extend_from_slice(bytes);
    Ok(())
}

fn too_long(error: TryFromIntError) -> Error {
    Error::Encode(error.into())
}

/// Rows on their way into statements: as many into each as the engine takes.
struct Portions<'a> {
    engine: Engine,
    columns: &'a [Column],
    values: std::vec::IntoIter<Value>,
}

impl<'a> Portions<'a> {
    /// Values of these columns, row after row.
    fn new(engine: Engine, columns: &'a [Column], values: Vec<Value>) -> Self {
        Self { engine, columns, values: values.into_iter() }
    }

    /// The number of rows of the next statement, and its parameters.
    fn next(&mut self) -> Result<Option<(usize, Parameters)>, Error> {
        let width = self.columns.len();
        let left = self.values.len() / width;
        if left == 0 {
            return Ok(None);
        }
        Ok(Some(match self.engine {
            Engine::Sqlite => {
                let rows = ROWS.min(1 << left.ilog2());
                let values = self.values.by_ref().take(rows * width);
                (rows, Parameters::Sqlite(sqlite_arguments(rows * width, values)?))
            }
            Engine::Postgres => {
                let all = std::mem::take(&mut self.values);
                (left, Parameters::Postgres(arrays(self.columns, all.as_slice())?))
            }
        }))
    }
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
        const COLUMNS: &[Column] =
            &[Column { name: "a", kind: Kind::Int }, Column { name: "b", kind: Kind::Int }];
        let mut portions = Portions::new(engine, COLUMNS, vec![Value::Null; rows * 2]);
        let next = || {
            let (rows, parameters) = portions.next().unwrap()?;
            match parameters {
                Parameters::Sqlite(arguments) => assert_eq!(arguments.len(), rows * 2),
                Parameters::Postgres(arguments) => assert_eq!(arguments.len(), 2),
                Parameters::Values(_) => panic!("neither engine's"),
            }
            Some(rows)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_row_is_copied_with_the_lengths_of_its_fields() {
        let mut data = Vec::new();
        copied(&[Value::Null, Value::Int(-7), Value::Word("é"), Value::from("")], &mut data)
            .unwrap();
        let fields: [&[u8]; 5] = [&[0, 4], &[0xff; 4], &[0, 0, 0, 8], &[0xff; 7], &[0xf9]];
        let texts: [&[u8]; 3] = [&[0, 0, 0, 2], "é".as_bytes(), &[0; 4]];
        assert_eq!(data, [fields.concat(), texts.concat()].concat());
    }

    #[test]
    fn sqlite_takes_powers_of_two_and_postgresql_everything_at_once() {
        assert_eq!(sizes(Engine::Sqlite, 600), [256, 256, 64, 16, 8]);
        assert_eq!(sizes(Engine::Postgres, 600), [600]);
        assert_eq!(sizes(Engine::Postgres, 0), [0; 0]);
    }

    #[cfg(feature = "testing")]
    mod loads {
        use std::ops::Range;
        use std::path::Path;
        use std::time::Duration;

        use tempfile::tempdir;
        use tokio::time::timeout;

        use super::super::*;
        use crate::{Limits, Pool, is_refusal, testing};

        /// A table that has no rows yet.
        async fn empty(folder: &Path) -> (Pool, Table) {
            const COLUMNS: &[Column] = &[
                Column { name: "name", kind: Kind::Text },
                Column { name: "note", kind: Kind::Text },
                Column { name: "number", kind: Kind::Int },
            ];
            let address = testing::prepare(folder, "load.db").await.unwrap();
            let pool = Pool::writer(&address, &Limits::default()).await.unwrap();
            let declaration = "CREATE TABLE loaded (name TEXT NOT NULL, note TEXT, number BIGINT, \
                               PRIMARY KEY (name)) {clustered};";
            let mut tx = pool.begin().await.unwrap();
            tx.script(pool.engine().declaration(declaration)).await.unwrap();
            tx.commit().await.unwrap();
            let table =
                Table { name: "loaded".into(), columns: COLUMNS, keys: 1, merge: Merge::Replace };
            (pool, table)
        }

        fn rows(numbers: Range<i64>) -> Vec<Value> {
            let note = |n: i64| if n % 3 == 0 { Value::Null } else { "a\tb\\N\n\u{e9}".into() };
            numbers.flat_map(|n| [format!("{n:05}").into(), note(n), (-n).into()]).collect()
        }

        #[tokio::test]
        async fn what_was_loaded_is_there_and_not_loaded_once_more() {
            let folder = tempdir().unwrap();
            let (pool, table) = empty(folder.path()).await;
            for numbers in [0..10, 10..10_000] {
                let tx = pool.begin().await.unwrap().load(&table, rows(numbers)).await.unwrap();
                tx.commit().await.unwrap();
            }

            let twice = pool.begin().await.unwrap().load(&table, rows(9_000..19_000)).await;
            let twice = twice.unwrap_err();

            assert!(is_refusal(&twice), "{twice:?}");
            let mut tx = pool.begin().await.unwrap();
            let keys = (0..19_000).map(|n| format!("{n:05}").into()).collect();
            let mut found = tx.select(&table, keys).await.unwrap();
            found.sort_by(|a, b| a[0].text().cmp(&b[0].text()));
            let expected = rows(0..10_000);
            assert!(found.iter().map(Vec::as_slice).eq(expected.chunks(3)));
        }

        #[tokio::test]
        async fn a_load_that_is_broken_off_leaves_nothing_and_its_connection_sound() {
            let folder = tempdir().unwrap();
            let (pool, table) = empty(folder.path()).await;

            for patience in 0..40 {
                let load = async { pool.begin().await?.load(&table, rows(0..10_000)).await };
                let patience = Duration::from_millis(patience);
                drop(timeout(patience, load).await);
                let mut tx = pool.begin().await.unwrap();
                let key = Value::from(format!("broken {patience:?}"));
                tx.upsert(&table, vec![key.clone(), Value::Null, 1.into()]).await.unwrap();
                let found = tx.select(&table, vec![key.clone(), "00001".into()]).await.unwrap();
                assert_eq!(found, [[key, Value::Null, 1.into()]], "{patience:?}");
            }
        }
    }
}
