//! From a row of the database to an answer.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqliteExecutor};
use uuid::Uuid;

use crate::{Instant, Money, QueryError};

/// An answer that is made of one row.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error>;
}

/// The columns of a row, by name.
pub(crate) trait Columns {
    fn text(&self, name: &str) -> Result<String, sqlx::Error>;
    fn maybe_text(&self, name: &str) -> Result<Option<String>, sqlx::Error>;
    fn int(&self, name: &str) -> Result<i64, sqlx::Error>;
    fn id(&self, name: &str) -> Result<Uuid, sqlx::Error>;
    fn maybe_id(&self, name: &str) -> Result<Option<Uuid>, sqlx::Error>;
    fn instant(&self, name: &str) -> Result<Instant, sqlx::Error>;
    fn maybe_instant(&self, name: &str) -> Result<Option<Instant>, sqlx::Error>;

    /// A number that is never below zero, such as a revision.
    fn count(&self, name: &str) -> Result<u64, sqlx::Error> {
        self.int(name).map(i64::cast_unsigned)
    }

    /// An amount in the currency of the row.
    fn money(&self, name: &str) -> Result<Money, sqlx::Error> {
        Ok(Money { amount: self.int(name)?, currency: self.text("currency")? })
    }
}

impl Columns for SqliteRow {
    fn text(&self, name: &str) -> Result<String, sqlx::Error> {
        self.try_get(name)
    }

    fn maybe_text(&self, name: &str) -> Result<Option<String>, sqlx::Error> {
        self.try_get(name)
    }

    fn int(&self, name: &str) -> Result<i64, sqlx::Error> {
        self.try_get(name)
    }

    fn id(&self, name: &str) -> Result<Uuid, sqlx::Error> {
        parse(name, self.try_get(name)?)
    }

    fn maybe_id(&self, name: &str) -> Result<Option<Uuid>, sqlx::Error> {
        self.try_get::<Option<&str>, _>(name)?.map(|text| parse(name, text)).transpose()
    }

    fn instant(&self, name: &str) -> Result<Instant, sqlx::Error> {
        self.int(name).map(Instant::from_micros)
    }

    fn maybe_instant(&self, name: &str) -> Result<Option<Instant>, sqlx::Error> {
        self.try_get::<Option<i64>, _>(name).map(|micros| micros.map(Instant::from_micros))
    }
}

fn parse(name: &str, text: &str) -> Result<Uuid, sqlx::Error> {
    let broken = |source: uuid::Error| sqlx::Error::ColumnDecode {
        index: name.to_owned(),
        source: Box::new(source),
    };
    Uuid::try_parse(text).map_err(broken)
}

type Select<'q> = Query<'q, Sqlite, SqliteArguments>;

/// The answer that a query's only row makes, if there is one.
pub(crate) async fn one<T: FromRow>(
    database: impl SqliteExecutor<'_>,
    query: Select<'_>,
) -> Result<Option<T>, QueryError> {
    let row = query.fetch_optional(database).await?;
    Ok(row.as_ref().map(T::from_row).transpose()?)
}

/// The answers that a query's rows make.
pub(crate) async fn many<T: FromRow>(
    database: impl SqliteExecutor<'_>,
    query: Select<'_>,
) -> Result<Vec<T>, QueryError> {
    let rows = query.fetch_all(database).await?;
    Ok(rows.iter().map(T::from_row).collect::<Result<_, _>>()?)
}
