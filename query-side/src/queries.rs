use daybook_database::{Address, Error, Executor, Limits, PerModel, Pool, Query, Row};

use crate::QueryError;

/// Asks the read models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    pools: PerModel<Pool>,
}

impl Queries {
    /// Asks the database at an address, whose tables the projections make, or a replica of it.
    /// Until they have, every question is answered with [`QueryError::Unavailable`].
    ///
    /// # Errors
    /// The address makes no sense.
    pub fn open(address: &Address, limits: &Limits) -> Result<Self, QueryError> {
        Self::open_apart(&address.clone().into(), limits)
    }

    /// Asks each read model where it is. Those that are in a database that is away cannot be asked;
    /// the others can.
    ///
    /// # Errors
    /// An address makes no sense.
    pub fn open_apart(addresses: &PerModel<Address>, limits: &Limits) -> Result<Self, QueryError> {
        Ok(Self { pools: addresses.try_map(|address| reader(address, limits))? })
    }

    /// Where a read model is asked.
    pub(crate) fn of(&self, model: &str) -> &Pool {
        self.pools.of(model)
    }

    /// Every database, with the read models that it is of; none for that of all others.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (&[String], &Pool)> {
        self.pools.iter()
    }

    /// The rows of an answer, from every database those about the read models that are in it. The
    /// column `named` has a model's name.
    pub(crate) async fn of_all(
        &self,
        question: impl Fn() -> Query,
        named: &str,
    ) -> Result<Vec<Row>, Error> {
        let mut all = Vec::new();
        for (_, pool) in self.pools.iter() {
            all.extend(self.of_one(pool, question(), named).await?);
        }
        Ok(all)
    }

    /// The same from one of the databases.
    pub(crate) async fn of_one(
        &self,
        pool: &Pool,
        question: Query,
        named: &str,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for row in pool.fetch_all(question).await? {
            if self.pools.is_of(pool, row.str(named)?) {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The read models that are in databases other than the usual one, by database.
    pub fn apart(&self) -> impl Iterator<Item = &[String]> {
        self.pools.iter().map(|(models, _)| models).filter(|models| !models.is_empty())
    }

    /// Closes the connections.
    pub async fn close(&self) {
        for (_, pool) in self.pools.iter() {
            pool.close().await;
        }
    }
}

/// Connects to read, once something is asked.
pub(crate) fn reader(address: &Address, limits: &Limits) -> Result<Pool, QueryError> {
    let refused = |source| QueryError::Address { address: address.clone(), source };
    Pool::reader(address, limits).map_err(refused)
}
