use daybook_database::{Address, Limits, Pool};

use crate::QueryError;

/// Asks the read models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    pub(crate) pool: Pool,
}

impl Queries {
    /// Asks the database at an address, whose tables the projections make, or a replica of it.
    /// Until they have, every question is answered with [`QueryError::Unavailable`].
    ///
    /// # Errors
    /// The address makes no sense.
    pub fn open(address: &Address, limits: &Limits) -> Result<Self, QueryError> {
        Ok(Self { pool: Pool::reader(address, limits)? })
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
