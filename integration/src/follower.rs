//! The `followers` table: who follows the store, and how far each has come.

use std::sync::Arc;
use std::time::Duration;

use daybook_database::{Error, Executor, Pool, Tx, micros, now, query};
use daybook_event_store::Position;

/// How a follower holds its place.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Names this process. Must differ from process to process.
    pub owner: Arc<str>,
    /// How long a process that falls silent keeps others from taking over.
    pub length: Duration,
}

/// The right to move a checkpoint, as long as nobody took it over.
#[derive(Debug)]
pub(crate) struct Follower {
    name: &'static str,
    lease: Lease,
    token: i64,
    /// Every event up to here is done with.
    pub(crate) position: Option<Position>,
}

impl Follower {
    /// Takes the place if it is free, has lapsed, or is this process's already.
    pub(crate) async fn take(
        pool: &Pool,
        name: &'static str,
        lease: &Lease,
    ) -> Result<Option<Self>, Error> {
        let mut tx = pool.begin().await?;
        let place = "INSERT INTO followers (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
        tx.execute(query(place).bind(name)).await?;
        let take = query(
            "UPDATE followers SET owner = $1, token = token + 1, lease_until = $2 \
             WHERE name = $3 AND (lease_until <= $4 OR owner = $1) RETURNING token, position",
        )
        .bind(&*lease.owner)
        .bind(now() + micros(lease.length))
        .bind(name)
        .bind(now());
        let Some(row) = tx.fetch_optional(take).await? else { return Ok(None) };
        let position = row.maybe_i64("position")?.map(|at| Position(at.cast_unsigned()));
        let token = row.i64("token")?;
        tx.commit().await?;
        Ok(Some(Self { name, lease: lease.clone(), token, position }))
    }

    /// Moves the checkpoint, or only renews the lease. `false`: somebody else took over, or the
    /// checkpoint is not where this process left it, and the transaction must not be kept.
    pub(crate) async fn advance(
        &mut self,
        tx: &mut Tx,
        to: Option<Position>,
    ) -> Result<bool, Error> {
        let column = |at: Option<Position>| at.map(|at| at.0.cast_signed());
        let advance = query(
            "UPDATE followers SET position = $1, updated_at = $2, lease_until = $3 \
             WHERE name = $4 AND token = $5 AND position IS NOT DISTINCT FROM $6",
        )
        .bind(column(to.or(self.position)))
        .bind(now())
        .bind(now() + micros(self.lease.length))
        .bind(self.name)
        .bind(self.token)
        .bind(column(self.position));
        Ok(tx.execute(advance).await? == 1)
    }

    /// Gives the place up, so that another process need not wait for the end of the lease.
    pub(crate) async fn release(&self, pool: &Pool) -> Result<(), Error> {
        let mut tx = pool.begin().await?;
        let release = "UPDATE followers SET lease_until = 0 WHERE name = $1 AND token = $2";
        tx.execute(query(release).bind(self.name).bind(self.token)).await?;
        tx.commit().await
    }

    /// How often the lease is to be renewed.
    pub(crate) fn renewal(&self) -> Duration {
        self.lease.length / 4
    }
}
