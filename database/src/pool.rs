use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Database, PgPool, SqlitePool};
use tokio::time::sleep;

use crate::error::is_busy;
use crate::tx::Inner;
use crate::{Address, Engine, Error, Tx};

/// How often a file is opened once more that another process is making, and the pause between.
const OPENING_TRIES: u32 = 500;
const OPENING_PAUSE: Duration = Duration::from_millis(20);

/// How much of a server is used, and how long it is waited for. Files know no such limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections of one pool.
    pub connections: u32,
    /// The longest wait for a connection, be it made or one of the pool's.
    pub connect: Duration,
    /// The longest that a statement may take.
    pub statement: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (connect, statement) = (Duration::from_secs(5), Duration::from_secs(10));
        Self { connections: 8, connect, statement }
    }
}

/// Connections to a database. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Pool {
    /// To a file.
    Sqlite(SqlitePool),
    /// To a server.
    Postgres(PgPool),
}

/// A writer of `SQLite` is in WAL mode with one connection, since it knows one writer at a time.
impl Pool {
    /// Connects to write, and makes a file that is not there. A power or server failure may undo
    /// its last transactions, each whole: what is written must be such that it can be written again.
    ///
    /// # Errors
    /// [`Error::Configuration`]: the address makes no sense. Others: the database cannot be used.
    pub async fn writer(address: &Address, limits: &Limits) -> Result<Self, Error> {
        Self::open(address, limits, false).await
    }

    /// The same, once something is asked.
    ///
    /// # Errors
    /// The address makes no sense.
    pub fn lazy_writer(address: &Address, limits: &Limits) -> Result<Self, Error> {
        Self::unopened(address, limits, false)
    }

    /// The same for what cannot be written again: a transaction that was committed lasts.
    ///
    /// # Errors
    /// Those of [`writer`](Self::writer).
    pub async fn durable_writer(address: &Address, limits: &Limits) -> Result<Self, Error> {
        Self::open(address, limits, true).await
    }

    async fn open(address: &Address, limits: &Limits, durable: bool) -> Result<Self, Error> {
        let pool = Self::unopened(address, limits, durable)?;
        match &pool {
            Self::Sqlite(pool) => open_file(pool).await?,
            Self::Postgres(pool) => drop(pool.acquire().await?),
        }
        Ok(pool)
    }

    fn unopened(address: &Address, limits: &Limits, durable: bool) -> Result<Self, Error> {
        match address.engine() {
            Engine::Sqlite => {
                let options = sqlite(address)?
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(if durable {
                        SqliteSynchronous::Full
                    } else {
                        SqliteSynchronous::Normal
                    })
                    .busy_timeout(Duration::from_secs(10))
                    .foreign_keys(false)
                    .statement_cache_capacity(512)
                    .pragma("cache_size", "-65536")
                    .pragma("wal_autocheckpoint", "16000");
                let pool = unattended(SqlitePoolOptions::new())
                    .max_connections(1)
                    .acquire_timeout(Duration::from_mins(1))
                    .test_before_acquire(false)
                    .connect_lazy_with(options);
                Ok(Self::Sqlite(pool))
            }
            Engine::Postgres => {
                let commit = if durable { "on" } else { "off" };
                let options = postgres(address, limits)?.options([("synchronous_commit", commit)]);
                Ok(Self::Postgres(postgres_pool(limits).connect_lazy_with(options)))
            }
        }
    }

    /// Connects to read, once something is asked. Nothing can be written.
    ///
    /// # Errors
    /// The address makes no sense.
    pub fn reader(address: &Address, limits: &Limits) -> Result<Self, Error> {
        match address.engine() {
            Engine::Sqlite => {
                let options = sqlite(address)?
                    .create_if_missing(false)
                    .busy_timeout(Duration::from_secs(5))
                    .pragma("query_only", "ON");
                let pool = unattended(SqlitePoolOptions::new())
                    .max_connections(8)
                    .acquire_timeout(Duration::from_secs(5))
                    .test_before_acquire(false)
                    .connect_lazy_with(options);
                Ok(Self::Sqlite(pool))
            }
            Engine::Postgres => {
                let read_only = [("default_transaction_read_only", "on")];
                let options = postgres(address, limits)?.options(read_only);
                Ok(Self::Postgres(postgres_pool(limits).connect_lazy_with(options)))
            }
        }
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Begins a transaction that will write. On `SQLite` it waits for the one before it.
    ///
    /// # Errors
    /// There is no connection to be had.
    pub async fn begin(&self) -> Result<Tx, Error> {
        self.begin_with(self.engine().begin()).await
    }

    /// Begins a transaction that sees everything as of one moment.
    ///
    /// # Errors
    /// There is no connection to be had.
    pub async fn snapshot(&self) -> Result<Tx, Error> {
        self.begin_with(self.engine().begin_snapshot()).await
    }

    async fn begin_with(&self, statement: &'static str) -> Result<Tx, Error> {
        Ok(Tx(match self {
            Self::Sqlite(pool) => Inner::Sqlite(pool.begin_with(statement).await?),
            Self::Postgres(pool) => Inner::Postgres(pool.begin_with(statement).await?),
        }))
    }

    /// Closes the connections. Closing the last one to a file leaves the whole database in it.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Opens a file to write. Whoever opens a new one turns its journal to the other mode, and meanwhile
/// `SQLite` refuses all others at once, however long they would wait.
pub(crate) async fn open_file(pool: &SqlitePool) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        match pool.acquire().await {
            Err(error) if is_busy(&error) && tries < OPENING_TRIES => tries += 1,
            opened => return opened.map(drop),
        }
        sleep(OPENING_PAUSE).await;
    }
}

fn sqlite(address: &Address) -> Result<SqliteConnectOptions, Error> {
    let address = address.reveal();
    let options = if address.contains("://") {
        SqliteConnectOptions::from_str(address)?
    } else {
        SqliteConnectOptions::new().filename(Path::new(address))
    };
    Ok(options.disable_statement_logging())
}

fn postgres(address: &Address, limits: &Limits) -> Result<PgConnectOptions, Error> {
    let timeout = limits.statement.as_millis().to_string();
    let options = PgConnectOptions::from_str(address.reveal())?
        .application_name("daybook")
        .options([("statement_timeout", timeout)]);
    Ok(options.disable_statement_logging())
}

fn postgres_pool(limits: &Limits) -> PgPoolOptions {
    unattended(PgPoolOptions::new())
        .max_connections(limits.connections)
        .acquire_timeout(limits.connect)
}

/// Keeps connections for as long as they work: the task that would close idle and old ones may never end
/// (ADR 0039).
fn unattended<DB: Database>(options: PoolOptions<DB>) -> PoolOptions<DB> {
    options.idle_timeout(None).max_lifetime(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_task_counts_the_connections_of_a_pool() {
        let limits = Limits::default();
        for address in ["read-models.sqlite", "postgres://localhost/daybook"].map(Address::from) {
            let writer = Pool::lazy_writer(&address, &limits).unwrap();
            for pool in [writer, Pool::reader(&address, &limits).unwrap()] {
                let (idle, lifetime) = match &pool {
                    Pool::Sqlite(pool) => times(pool.options()),
                    Pool::Postgres(pool) => times(pool.options()),
                };
                assert_eq!((idle, lifetime), (None, None), "{pool:?}");
            }
        }
    }

    fn times<DB: Database>(of: &PoolOptions<DB>) -> (Option<Duration>, Option<Duration>) {
        (of.get_idle_timeout(), of.get_max_lifetime())
    }
}
