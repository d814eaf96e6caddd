//! What an operator gave up, and why: nobody looks after it any more, and it is not forgotten.

use daybook_database::{Error, Executor, Pool, Row, Tx, query};
use uuid::Uuid;

use crate::database::without_nul;

/// A dead letter that was given up, or a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// Its id.
    pub id: Uuid,
    /// Who could not process it: `relay`, a consumer's name, or [`DELIVERY`] for a notification.
    pub owner: String,
    /// The stream that it is about.
    pub key: String,
    /// The type of its event.
    pub kind: String,
    /// What was wrong with it; empty for what only waited for others.
    pub error: String,
    /// Why it was given up.
    pub reason: String,
    /// Who gave it up.
    pub by: String,
    /// When: microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
}

/// Who notifications that could not be sent belong to.
pub const DELIVERY: &str = "delivery";

/// What was given up, oldest first.
///
/// # Errors
/// The database failed.
pub async fn discarded(pool: &Pool) -> Result<Vec<Discarded>, Error> {
    let all = query("SELECT * FROM discarded_letters ORDER BY discarded_at, id");
    let text = |row: &Row, name| Ok::<_, Error>(row.str(name)?.to_owned());
    let read = |row: &Row| {
        Ok(Discarded {
            id: Uuid::try_parse(row.str("id")?).map_err(|error| Error::Decode(error.into()))?,
            owner: text(row, "owner")?,
            key: text(row, "key")?,
            kind: text(row, "kind")?,
            error: text(row, "error")?,
            reason: text(row, "reason")?,
            by: text(row, "discarded_by")?,
            at: row.i64("discarded_at")?,
        })
    };
    pool.fetch_all(all).await?.iter().map(read).collect()
}

/// Keeps what is given up. A notification may be more than once.
pub(crate) async fn keep(tx: &mut Tx, discarded: &Discarded) -> Result<(), Error> {
    let Discarded { id, owner, key, kind, error, reason, by, at } = discarded;
    let insert = query(
        "INSERT INTO discarded_letters \
         (id, owner, key, kind, error, reason, discarded_by, discarded_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET \
         error = excluded.error, reason = excluded.reason, \
         discarded_by = excluded.discarded_by, discarded_at = excluded.discarded_at",
    )
    .bind(*id)
    .bind(owner.as_str())
    .bind(without_nul(key))
    .bind(without_nul(kind))
    .bind(without_nul(error))
    .bind(without_nul(reason))
    .bind(without_nul(by))
    .bind(*at);
    tx.execute(insert).await.map(drop)
}
