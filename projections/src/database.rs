use std::sync::Arc;

use daybook_database::{
    Address, Engine, Error, Limits, MigrateError, Migrations, PerModel, Pool, Step, Tx,
};
use thiserror::Error;
use tokio::sync::OnceCell;

/// The runner's own tables, step by step. Read models do not migrate: a new version is built
/// beside the old one.
const MIGRATIONS: Migrations = Migrations {
    record: "_sqlx_migrations",
    steps: &[
        (1, "runner", include_str!("../migrations/0001_runner.sql")),
        (2, "generations", include_str!("../migrations/0002_generations.sql")),
        (3, "discarded_by", include_str!("../migrations/0003_discarded_by.sql")),
    ],
};

/// Why a database could not be opened.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// No database can be at such an address.
    #[error(
        "{address} is not the address of a database: give a file's path, sqlite://PATH or \
         postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Address {
        /// As given.
        address: Address,
        /// What is wrong with it.
        source: Error,
    },
    /// It was written by another release, or its own record of migrations is damaged.
    #[error(
        "the read models in {address} are of another release: use that release, or give an empty \
         database and let this one build them again"
    )]
    Release {
        /// Which database.
        address: Address,
        /// What does not fit.
        source: MigrateError,
    },
    /// It is not a database, its folder or server cannot be used, or it failed.
    #[error(
        "the database of the read models at {address} cannot be used: check its folder or server; \
         one that is damaged may be moved away, since the read models can be built again"
    )]
    Unusable {
        /// Which database.
        address: Address,
        /// What failed.
        source: Error,
    },
}

/// Where each read model is. Its rows, checkpoints, leases and parked events are in one database.
pub type Databases = PerModel<Database>;

/// A database that holds read models and their checkpoints.
///
/// A failure of power, or of the server, may undo the last transactions, rows and checkpoint
/// together, and their events are then projected once more.
#[derive(Debug, Clone)]
pub struct Database {
    writer: Pool,
    reader: Pool,
    address: Address,
    limits: Limits,
    /// Whether the runner's tables were brought up to date.
    ready: Arc<OnceCell<()>>,
}

impl Database {
    /// Opens the database and brings the runner's tables up to date. A file that is not there is
    /// made.
    ///
    /// # Errors
    /// The address makes no sense, the database cannot be used, or it is of a later release.
    pub async fn open(address: &Address, limits: &Limits) -> Result<Self, DatabaseError> {
        let database = Self::connect(address, limits)?;
        database.ready().await?;
        Ok(database)
    }

    /// Opens the database as it is, once something is asked of it.
    ///
    /// # Errors
    /// The address makes no sense.
    pub fn connect(address: &Address, limits: &Limits) -> Result<Self, DatabaseError> {
        let refused = |source| DatabaseError::Address { address: address.clone(), source };
        Ok(Self {
            writer: Pool::lazy_writer(address, limits).map_err(refused)?,
            reader: Pool::reader(address, limits).map_err(refused)?,
            address: address.clone(),
            limits: *limits,
            ready: Arc::default(),
        })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Brings the runner's tables up to date, unless that was done.
    ///
    /// # Errors
    /// The database cannot be used, or is of a later release.
    pub async fn ready(&self) -> Result<(), DatabaseError> {
        if !self.ready.initialized() {
            self.migrate().await?;
            // Whoever was faster has done the same.
            let _ = self.ready.set(());
        }
        Ok(())
    }

    /// Brings the runner's tables up to date.
    ///
    /// # Errors
    /// The database is of a later release, or failed.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        let address = self.address.clone();
        MIGRATIONS.run(&self.writer).await.map_err(|error| match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
                DatabaseError::Unusable { address, source }
            }
            source => DatabaseError::Release { address, source },
        })
    }

    /// The steps by which the runner's tables are made, and which of them were taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn migrations(&self) -> Result<Vec<Step>, DatabaseError> {
        let address = self.address.clone();
        let steps = MIGRATIONS.status(&self.writer).await;
        steps.map_err(|source| DatabaseError::Unusable { address, source })
    }

    /// Makes a schema of a server, for tables beside those that are there. The answer is the address
    /// of the database with tables in it.
    ///
    /// # Errors
    /// The database is a file, or it failed.
    pub async fn make_schema(&self, schema: &str) -> Result<Address, DatabaseError> {
        self.script(format!("CREATE SCHEMA {schema};")).await?;
        Ok(self.address.with_schema(schema))
    }

    /// Drops a schema of a server with everything in it.
    ///
    /// # Errors
    /// The database is a file, or it failed.
    pub async fn drop_schema(&self, schema: &str) -> Result<(), DatabaseError> {
        self.script(format!("DROP SCHEMA {schema} CASCADE;")).await
    }

    async fn script(&self, sql: String) -> Result<(), DatabaseError> {
        let run = async {
            let mut tx = self.begin().await?;
            tx.script(sql).await?;
            tx.commit().await
        };
        let address = self.address.clone();
        run.await.map_err(|source| DatabaseError::Unusable { address, source })
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(&self) -> Result<Tx, Error> {
        self.writer.begin().await
    }

    /// For a question that takes one statement and holds nobody up.
    pub(crate) fn pool(&self) -> &Pool {
        &self.writer
    }

    /// Begins a transaction that sees everything as of one moment, beside whoever writes.
    pub(crate) async fn snapshot(&self) -> Result<Tx, Error> {
        self.reader.snapshot().await
    }

    /// Connections of their own for who holds several at a time: two of those might wait for each
    /// other's, of a few that all share.
    pub(crate) fn own_reader(&self) -> Result<Pool, Error> {
        Pool::reader(&self.address, &self.limits)
    }

    pub(crate) fn engine(&self) -> Engine {
        self.writer.engine()
    }

    /// Closes the connections, which leaves the whole of a file's database in that file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}
