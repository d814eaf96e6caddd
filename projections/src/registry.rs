//! The `projections` table: which versions there are, which one queries read, who works on it, and
//! how far it has come.

use daybook_database::{AssertSqlSafe, Error, Executor, Row, Tx, query};
use daybook_event_store::Position;

use crate::Database;
use crate::projection::Projection;

/// The right to write a version of a projection, as long as nobody took it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    /// Fencing token: whoever takes over holds a greater one.
    pub(crate) token: i64,
    /// How far the projection had come.
    pub(crate) position: Option<Position>,
}

/// Makes the tables of a version. Where no version is live, this one is, even while it is empty.
/// `false`: they were made before, and otherwise.
pub(crate) async fn install<P: Projection>(
    database: &Database,
    version: u32,
) -> Result<bool, Error> {
    let template = P::SCHEMA.replace("{version}", &version.to_string());
    let declaration = database.engine().declaration(&template);
    let mut tx = database.begin().await?;
    tx.make_tables_alone().await?;
    let made = query("SELECT declaration FROM projections WHERE name = $1 AND version = $2")
        .bind(P::NAME)
        .bind(i64::from(version));
    if let Some(made) = tx.fetch_optional(made).await? {
        return Ok(made.str("declaration")? == declaration);
    }
    let made = query("INSERT INTO projections (name, version, declaration) VALUES ($1, $2, $3)")
        .bind(P::NAME)
        .bind(i64::from(version))
        .bind(declaration.as_str());
    tx.execute(made).await?;
    tx.script(declaration).await?;
    if live(&mut tx, P::NAME).await?.is_none() {
        publish_in::<P>(&mut tx, version).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// The version that queries read.
async fn live(tx: &mut Tx, name: &str) -> Result<Option<i64>, Error> {
    let live = query("SELECT version FROM projections WHERE name = $1 AND live").bind(name);
    tx.fetch_optional(live).await?.map(|row| row.i64("version")).transpose()
}

/// Has queries read this version, unless they do.
pub(crate) async fn publish<P: Projection>(database: &Database, version: u32) -> Result<(), Error> {
    let mut tx = database.begin().await?;
    tx.make_tables_alone().await?;
    if live(&mut tx, P::NAME).await? != Some(i64::from(version)) {
        publish_in::<P>(&mut tx, version).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn publish_in<P: Projection>(tx: &mut Tx, version: u32) -> Result<(), Error> {
    for name in P::TABLES {
        tx.script(format!(
            "DROP VIEW IF EXISTS {name}; CREATE VIEW {name} AS SELECT * FROM {name}_v{version};"
        ))
        .await?;
    }
    // Two statements, since at no time may two versions be live.
    for (live, versions) in [(false, "version <> $2"), (true, "version = $2")] {
        let sql = format!("UPDATE projections SET live = $3 WHERE name = $1 AND {versions}");
        let turn = query(AssertSqlSafe(sql)).bind(P::NAME).bind(i64::from(version)).bind(live);
        tx.execute(turn).await?;
    }
    Ok(())
}

/// Takes the lease if it is free, has lapsed at `now`, or is `owner`'s already; in each case with
/// a new token.
pub(crate) async fn acquire(
    database: &Database,
    (name, version): (&'static str, u32),
    owner: &str,
    now: i64,
    until: i64,
) -> Result<Option<Lease>, Error> {
    let mut tx = database.begin().await?;
    let take = query(
        "UPDATE projections SET owner = $1, token = token + 1, lease_until = $2 \
         WHERE name = $3 AND version = $4 AND (lease_until <= $5 OR owner = $1) \
         RETURNING token, position",
    )
    .bind(owner)
    .bind(until)
    .bind(name)
    .bind(i64::from(version))
    .bind(now);
    let taken = tx.fetch_optional(take).await?;
    tx.commit().await?;
    let lease = |row: Row| {
        let position = row.maybe_i64("position")?;
        let position = position.map(|position| Position(position.cast_unsigned()));
        Ok(Lease { name, version, token: row.i64("token")?, position })
    };
    taken.map(lease).transpose()
}

/// Moves the checkpoint and renews the lease, in the transaction of the rows. `false`: somebody
/// else took over, or the checkpoint is not where this worker left it, and nothing of this
/// transaction may be kept.
pub(crate) async fn advance(
    tx: &mut Tx,
    lease: &Lease,
    position: Option<Position>,
    now: i64,
    until: i64,
) -> Result<bool, Error> {
    let column = |position: Option<Position>| position.map(|position| position.0.cast_signed());
    let held = query(
        "UPDATE projections SET position = COALESCE($1, position), updated_at = $2, \
         lease_until = $3 WHERE name = $4 AND version = $5 AND token = $6 \
         AND position IS NOT DISTINCT FROM $7",
    )
    .bind(column(position))
    .bind(now)
    .bind(until)
    .bind(lease.name)
    .bind(i64::from(lease.version))
    .bind(lease.token)
    .bind(column(lease.position));
    Ok(tx.execute(held).await? == 1)
}

/// Gives the lease up, so that another worker need not wait for its end.
pub(crate) async fn release(database: &Database, lease: &Lease) -> Result<(), Error> {
    let mut tx = database.begin().await?;
    let release = query(
        "UPDATE projections SET lease_until = 0 WHERE name = $1 AND version = $2 AND token = $3",
    )
    .bind(lease.name)
    .bind(i64::from(lease.version))
    .bind(lease.token);
    tx.execute(release).await?;
    tx.commit().await
}
