use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, SqlitePool};

use crate::QueryError;

/// Connections kept for queries: `SQLite` answers from memory mostly, so few go a long way.
const CONNECTIONS: u32 = 8;

/// Asks the read models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    pub(crate) pool: SqlitePool,
}

impl Queries {
    /// Asks the database at a file's path or `sqlite://` address, which the projections make.
    /// Until they have, every question is answered with [`QueryError::Unavailable`].
    ///
    /// # Errors
    /// The address makes no sense.
    pub fn open(address: &str) -> Result<Self, QueryError> {
        let options = if address.contains("://") {
            SqliteConnectOptions::from_str(address)?
        } else {
            SqliteConnectOptions::new().filename(Path::new(address))
        };
        let options = options
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(5))
            .pragma("query_only", "ON")
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
