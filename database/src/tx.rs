use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction,
};

use crate::error::is_stale_plan;
use crate::{Engine, Error, Pool, Query, Row};

/// What two migrations, or two that make or publish tables, may not do at the same time.
const MAKING_TABLES: i64 = 0x64_6179_626f_6f6b;

/// A transaction. Dropped, it is rolled back.
#[derive(Debug)]
pub struct Tx(pub(crate) Inner);

#[derive(Debug)]
pub(crate) enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Whatever can be asked: a pool, or a transaction.
pub trait Executor: Send {
    /// All rows of an answer.
    fn fetch_all(self, query: Query) -> impl Future<Output = Result<Vec<Row>, Error>> + Send;

    /// The first row of an answer, if there is one.
    fn fetch_optional(self, query: Query) -> impl Future<Output = Result<Option<Row>, Error>> + Send
    where
        Self: Sized,
    {
        async { Ok(self.fetch_all(query).await?.into_iter().next()) }
    }
}

impl Executor for &Pool {
    async fn fetch_all(self, query: Query) -> Result<Vec<Row>, Error> {
        match self {
            Pool::Sqlite(pool) => sqlite_rows(&mut *pool.acquire().await?, query).await,
            Pool::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                match postgres_rows(&mut connection, &query).await {
                    // A view was turned to tables of another shape: planned anew, it is answered.
                    Err(error) if is_stale_plan(&error) => {
                        postgres_rows(&mut connection, &query).await
                    }
                    answered => answered,
                }
            }
        }
    }
}

impl Executor for &mut Tx {
    async fn fetch_all(self, query: Query) -> Result<Vec<Row>, Error> {
        self.rows(query).await
    }
}

impl Tx {
    /// Which engine it is of.
    pub fn engine(&self) -> Engine {
        match &self.0 {
            Inner::Sqlite(_) => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    pub(crate) async fn rows(&mut self, query: Query) -> Result<Vec<Row>, Error> {
        match &mut self.0 {
            Inner::Sqlite(tx) => sqlite_rows(tx, query).await,
            Inner::Postgres(tx) => postgres_rows(tx, &query).await,
        }
    }

    /// Runs a statement, and says how many rows it wrote.
    ///
    /// # Errors
    /// The database refuses it, or fails.
    pub async fn execute(&mut self, query: Query) -> Result<u64, Error> {
        match &mut self.0 {
            Inner::Sqlite(tx) => {
                let (sql, arguments) = query.sqlite()?;
                let done = sqlx::query_with(sql, arguments).execute(&mut **tx).await?;
                Ok(done.rows_affected())
            }
            Inner::Postgres(tx) => {
                let arguments = query.postgres()?;
                let done = sqlx::query_with(query.sql, arguments).execute(&mut **tx).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// The rows of an answer one after the other, for answers that are too long to be held.
    pub fn stream(&mut self, query: Query) -> BoxStream<'_, Result<Row, Error>> {
        let failed = |error| stream::iter([Err(error)]).boxed();
        match &mut self.0 {
            Inner::Sqlite(tx) => match query.sqlite() {
                Ok((sql, with)) => {
                    sqlx::query_with(sql, with).fetch(&mut **tx).map_ok(Row::Sqlite).boxed()
                }
                Err(error) => failed(error),
            },
            Inner::Postgres(tx) => match query.postgres() {
                Ok(with) => {
                    sqlx::query_with(query.sql, with).fetch(&mut **tx).map_ok(Row::Postgres).boxed()
                }
                Err(error) => failed(error),
            },
        }
    }

    /// Runs a script of statements.
    ///
    /// # Errors
    /// The database refuses one of them, or fails.
    pub async fn script(&mut self, sql: String) -> Result<(), Error> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql));
        match &mut self.0 {
            Inner::Sqlite(tx) => script.execute(&mut **tx).await.map(drop),
            Inner::Postgres(tx) => script.execute(&mut **tx).await.map(drop),
        }
    }

    /// Keeps every other process from making or publishing tables until this ends.
    ///
    /// # Errors
    /// The database fails, or another process does not come to an end.
    pub async fn make_tables_alone(&mut self) -> Result<(), Error> {
        // A writer on SQLite is alone as it is.
        if let Inner::Postgres(tx) = &mut self.0 {
            let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MAKING_TABLES);
            lock.execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// Makes it last.
    ///
    /// # Errors
    /// The database fails. Then it may have been kept or not.
    pub async fn commit(self) -> Result<(), Error> {
        match self.0 {
            Inner::Sqlite(tx) => tx.commit().await,
            Inner::Postgres(tx) => tx.commit().await,
        }
    }
}

async fn sqlite_rows(connection: &mut SqliteConnection, query: Query) -> Result<Vec<Row>, Error> {
    let (sql, arguments) = query.sqlite()?;
    let rows = sqlx::query_with(sql, arguments).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

async fn postgres_rows(connection: &mut PgConnection, query: &Query) -> Result<Vec<Row>, Error> {
    let query = sqlx::query_with(query.sql.clone(), query.postgres()?);
    let rows = query.fetch_all(&mut *connection).await;
    if rows.as_ref().is_err_and(is_stale_plan) {
        connection.clear_cached_statements().await?;
    }
    Ok(rows?.into_iter().map(Row::Postgres).collect())
}
