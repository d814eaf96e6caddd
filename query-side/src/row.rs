//! From a row of the database to an answer.

use daybook_database::{Error, Executor, Query, Row};
use uuid::Uuid;

use crate::{Instant, Money, QueryError};

/// An answer that is made of one row.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, Error>;
}

/// The columns of a row, by name, as what answers are made of.
pub(crate) trait Columns {
    fn text(&self, name: &str) -> Result<String, Error>;
    fn maybe_text(&self, name: &str) -> Result<Option<String>, Error>;
    fn int(&self, name: &str) -> Result<i64, Error>;
    fn id(&self, name: &str) -> Result<Uuid, Error>;
    fn maybe_id(&self, name: &str) -> Result<Option<Uuid>, Error>;
    fn instant(&self, name: &str) -> Result<Instant, Error>;
    fn maybe_instant(&self, name: &str) -> Result<Option<Instant>, Error>;

    /// A number that is never below zero, such as a revision.
    fn count(&self, name: &str) -> Result<u64, Error> {
        self.int(name).map(i64::cast_unsigned)
    }

    /// An amount in the currency of the row.
    fn money(&self, name: &str) -> Result<Money, Error> {
        Ok(Money { amount: self.int(name)?, currency: self.text("currency")? })
    }
}

impl Columns for Row {
    fn text(&self, name: &str) -> Result<String, Error> {
        self.str(name).map(str::to_owned)
    }

    fn maybe_text(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.maybe_str(name)?.map(str::to_owned))
    }

    fn int(&self, name: &str) -> Result<i64, Error> {
        self.i64(name)
    }

    fn id(&self, name: &str) -> Result<Uuid, Error> {
        parse(name, self.str(name)?)
    }

    fn maybe_id(&self, name: &str) -> Result<Option<Uuid>, Error> {
        self.maybe_str(name)?.map(|text| parse(name, text)).transpose()
    }

    fn instant(&self, name: &str) -> Result<Instant, Error> {
        self.int(name).map(Instant::from_micros)
    }

    fn maybe_instant(&self, name: &str) -> Result<Option<Instant>, Error> {
        Ok(self.maybe_i64(name)?.map(Instant::from_micros))
    }
}

fn parse(name: &str, text: &str) -> Result<Uuid, Error> {
    let broken = |source: uuid::Error| Error::ColumnDecode {
        index: name.to_owned(),
        source: Box::new(source),
    };
    Uuid::try_parse(text).map_err(broken)
}

/// The answer that a query's only row makes, if there is one.
pub(crate) async fn one<T: FromRow>(
    database: impl Executor,
    query: Query,
) -> Result<Option<T>, QueryError> {
    let row = database.fetch_optional(query).await?;
    Ok(row.as_ref().map(T::from_row).transpose()?)
}

/// The answers that a query's rows make.
pub(crate) async fn many<T: FromRow>(
    database: impl Executor,
    query: Query,
) -> Result<Vec<T>, QueryError> {
    each(&database.fetch_all(query).await?)
}

/// The answers that rows make.
pub(crate) fn each<T: FromRow>(rows: &[Row]) -> Result<Vec<T>, QueryError> {
    Ok(rows.iter().map(T::from_row).collect::<Result<_, _>>()?)
}
