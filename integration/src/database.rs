use daybook_database::{Address, Error, Limits, MigrateError, Migrations, Pool};
use thiserror::Error;

/// The tables of this crate, step by step.
pub const MIGRATIONS: Migrations = Migrations {
    record: "integration_migrations",
    steps: &[
        (1, "integration", include_str!("../migrations/0001_integration.sql")),
        (2, "analytics", include_str!("../migrations/0002_analytics.sql")),
        (3, "notifications", include_str!("../migrations/0003_notifications.sql")),
        (4, "discarded", include_str!("../migrations/0004_discarded.sql")),
    ],
};

/// Why the database of the relay and the consumers could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It cannot be used.
    #[error(
        "the database of the consumers at {address} cannot be used: check its folder or server"
    )]
    Unusable {
        /// Which database.
        address: Address,
        /// What failed.
        source: Error,
    },
    /// It is of a later release, or damaged.
    #[error("the tables of the consumers in {address} are of another release: use that release")]
    Release {
        /// Which database.
        address: Address,
        /// What does not fit.
        source: MigrateError,
    },
}

/// Opens the database and brings its tables up to date. What is in it cannot be made again from
/// the events alone (what was sent to whom, what customers wish), so commits last.
///
/// # Errors
/// The database cannot be used, or is of a later release.
pub async fn open(address: &Address, limits: &Limits) -> Result<Pool, OpenError> {
    let pool = connect(address, limits).await?;
    MIGRATIONS
        .run(&pool)
        .await
        .map_err(|source| OpenError::Release { address: address.clone(), source })?;
    Ok(pool)
}

/// Opens the database as it is.
///
/// # Errors
/// The database cannot be used.
pub async fn connect(address: &Address, limits: &Limits) -> Result<Pool, OpenError> {
    Pool::durable_writer(address, limits)
        .await
        .map_err(|source| OpenError::Unusable { address: address.clone(), source })
}

/// A text as PostgreSQL takes it: without NUL.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
