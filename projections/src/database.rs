use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, SqlSafeStr, SqlitePool};
use thiserror::Error;

use crate::Tx;

/// The runner's own tables, step by step. Read models do not migrate: a new version is built
/// beside the old one.
const MIGRATIONS: &[(i64, &str, &str)] =
    &[(1, "runner", include_str!("../migrations/0001_runner.sql"))];

/// Why a database could not be opened.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// No database can be at such an address.
    #[error("{address:?} is not the address of a database: give a file's path or sqlite://PATH")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        source: sqlx::Error,
    },
    /// It was written by another release, or its own record of migrations is damaged.
    #[error(
        "the read models in {address:?} are of another release: use that release, or move the \
         file away and let this one build them again"
    )]
    Release {
        /// Which database.
        address: String,
        /// What does not fit.
        source: MigrateError,
    },
    /// It is not a database, its folder cannot be used, or it failed.
    #[error(
        "the database of the read models at {address:?} cannot be used: check its folder; a \
         damaged file may be moved away, since the read models can be built again"
    )]
    Unusable {
        /// Which database.
        address: String,
        /// What failed.
        source: sqlx::Error,
    },
}

/// The database that holds the read models and their checkpoints.
///
/// `SQLite` in WAL mode with one connection for all writing, since it knows one writer at a time.
/// `synchronous` is NORMAL: a power failure may undo the last transactions, rows and checkpoint
/// together, and their events are then projected once more.
#[derive(Debug, Clone)]
pub struct Database {
    writer: SqlitePool,
}

impl Database {
    /// Opens the database at a file's path or `sqlite://` address, creates it where there is
    /// none, and brings the runner's tables up to date.
    ///
    /// # Errors
    /// The address makes no sense, the file cannot be used, or it is of a later release.
    pub async fn open(address: &str) -> Result<Self, DatabaseError> {
        let options = connect_options(address)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(false)
            .statement_cache_capacity(512)
            .pragma("cache_size", "-65536")
            .pragma("wal_autocheckpoint", "4000")
            .disable_statement_logging();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_mins(1))
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(|source| DatabaseError::Unusable { address: address.to_owned(), source })?;
        let migrated = migrator().run(&writer).await;
        migrated.map_err(|source| migration_error(address.to_owned(), source))?;
        Ok(Self { writer })
    }

    /// Begins a transaction that will write. It waits for the one before it.
    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(Tx::new(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    /// Closes the connection, which leaves the whole database in one file.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

fn connect_options(address: &str) -> Result<SqliteConnectOptions, DatabaseError> {
    if !address.contains("://") {
        return Ok(SqliteConnectOptions::new().filename(Path::new(address)));
    }
    SqliteConnectOptions::from_str(address)
        .map_err(|source| DatabaseError::Address { address: address.to_owned(), source })
}

fn migration_error(address: String, error: MigrateError) -> DatabaseError {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            DatabaseError::Unusable { address, source }
        }
        source => DatabaseError::Release { address, source },
    }
}

fn migrator() -> Migrator {
    let steps = MIGRATIONS.iter().map(|&(version, name, sql)| {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(steps.collect())
}
