//! The `projections` table: which generations of a read model's tables there are, which one queries
//! read, who works on each, and how far it has come.
//!
//! A worker holds a generation by the token of its lease. Whoever makes another generation live,
//! pauses a projection or replays its parked events moves the token on in the same transaction, so
//! that nothing is written past it: the worker begins anew, and finds what is so now.

use daybook_database::{Engine, Error, Executor, Query, Row, Tx, query};
use daybook_event_store::Position;

use crate::Database;
use crate::parked::Stuck;
use crate::projection::Projection;

/// The right to write a generation of a projection, as long as nobody took it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) name: &'static str,
    pub(crate) generation: u32,
    /// Fencing token: whoever takes over holds a greater one.
    pub(crate) token: i64,
    /// How far the projection had come.
    pub(crate) position: Option<Position>,
    /// What it may not go on with.
    pub(crate) stuck: Stuck,
}

/// What a generation of a read model is to queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// They read it.
    Live,
    /// It is being built, or waits to be made live.
    Building,
    /// It was live. It is kept as it was, to go back to.
    Retired,
}

/// A generation of a read model: tables of their own, filled from the first event on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The read model.
    pub name: String,
    /// Its number, which its tables' names end in.
    pub generation: u32,
    /// The version of the code that fills it.
    pub version: u32,
    /// What it is to queries.
    pub role: Role,
    /// Every event up to here is in the rows, or parked.
    pub position: Option<Position>,
    /// When that was written: microseconds since 1970.
    pub updated_at: i64,
    /// The worker that holds, or held last, the right to write it.
    pub owner: Option<String>,
    /// When that right lapses: microseconds since 1970.
    pub lease_until: i64,
    /// Events that could not be read or applied, and those held back behind them.
    pub parked: u64,
    /// Whether the read model is paused.
    pub paused: bool,
    /// When it ceased to be live: microseconds since 1970.
    pub retired_at: Option<i64>,
    pub(crate) declaration: String,
}

impl Generation {
    pub(crate) fn is(&self, name: &str, generation: u32) -> bool {
        self.name == name && self.generation == generation
    }
}

/// What came of asking for a lease.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is given.
    Lease(Lease),
    /// Another worker holds it.
    Busy,
    /// The projection is paused.
    Paused,
    /// Another generation is to be worked on by now.
    Moved,
}

/// All generations, by name and number.
pub(crate) async fn generations(executor: impl Executor) -> Result<Vec<Generation>, Error> {
    let all = "SELECT p.*, (SELECT count(*) FROM parked_events e WHERE e.projection = p.name \
               AND e.generation = p.generation) AS parked, \
               EXISTS (SELECT 1 FROM paused_projections s WHERE s.name = p.name) AS paused \
               FROM projections p ORDER BY p.name, p.generation";
    executor.fetch_all(query(all)).await?.iter().map(generation).collect()
}

/// The generations of one projection, by number.
pub(crate) async fn generations_of(
    executor: impl Executor,
    name: &str,
) -> Result<Vec<Generation>, Error> {
    let mut all = generations(executor).await?;
    all.retain(|generation| generation.name == name);
    Ok(all)
}

fn generation(row: &Row) -> Result<Generation, Error> {
    let number = |column| Ok::<_, Error>(u32::try_from(row.i64(column)?).unwrap_or(0));
    let retired_at = row.maybe_i64("retired_at")?;
    let role = match (row.bool("live")?, retired_at) {
        (true, _) => Role::Live,
        (false, None) => Role::Building,
        (false, Some(_)) => Role::Retired,
    };
    Ok(Generation {
        name: row.str("name")?.to_owned(),
        generation: number("generation")?,
        version: number("version")?,
        role,
        position: position(row)?,
        updated_at: row.i64("updated_at")?,
        owner: row.maybe_str("owner")?.map(str::to_owned),
        lease_until: row.i64("lease_until")?,
        parked: row.i64("parked")?.cast_unsigned(),
        paused: row.bool("paused")?,
        retired_at,
        declaration: row.str("declaration")?.to_owned(),
    })
}

fn position(row: &Row) -> Result<Option<Position>, Error> {
    Ok(row.maybe_i64("position")?.map(|position| Position(position.cast_unsigned())))
}

/// The generation that workers of this code are to fill: the live one, or while that is another
/// version's, the newest of their own.
fn current<P: Projection>(generations: &[Generation]) -> Option<&Generation> {
    let ours = || generations.iter().filter(|generation| generation.version == P::VERSION);
    ours().find(|generation| generation.role == Role::Live).or_else(|| ours().next_back())
}

/// How the tables of a generation are declared.
pub(crate) fn declaration<P: Projection>(engine: Engine, generation: u32) -> String {
    engine.declaration(&P::SCHEMA.replace("{generation}", &generation.to_string()))
}

/// Makes the tables of the code's version, unless they are there. Where nothing is live, they are,
/// even while they are empty. `false`: they were made before, and otherwise.
pub(crate) async fn install<P: Projection>(database: &Database) -> Result<bool, Error> {
    let mut tx = database.begin().await?;
    tx.make_tables_alone().await?;
    let generations = generations_of(&mut tx, P::NAME).await?;
    if let Some(made) = current::<P>(&generations) {
        return Ok(made.declaration == declaration::<P>(database.engine(), made.generation));
    }
    let generation = make::<P>(&mut tx, &generations).await?;
    if generations.iter().all(|generation| generation.role != Role::Live) {
        turn_views::<P>(&mut tx, generation, 0).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// The number of the generation after all of these.
pub(crate) fn next_number(generations: &[Generation]) -> u32 {
    generations.last().map_or(1, |last| last.generation + 1)
}

/// Makes the tables of the next generation, empty.
pub(crate) async fn make<P: Projection>(
    tx: &mut Tx,
    generations: &[Generation],
) -> Result<u32, Error> {
    let next = next_number(generations);
    let declaration = declaration::<P>(tx.engine(), next);
    let made = query(
        "INSERT INTO projections (name, generation, version, declaration) VALUES ($1, $2, $3, $4)",
    );
    let made = made.bind(P::NAME).bind(i64::from(next)).bind(i64::from(P::VERSION));
    tx.execute(made.bind(declaration.as_str())).await?;
    tx.script(declaration).await?;
    Ok(next)
}

/// Drops the tables of a generation that queries do not read.
pub(crate) async fn drop_generation<P: Projection>(
    tx: &mut Tx,
    generation: u32,
) -> Result<(), Error> {
    for name in P::TABLES {
        tx.script(format!("DROP TABLE IF EXISTS {name}_v{generation};")).await?;
    }
    for sql in [
        "DELETE FROM parked_events WHERE projection = $1 AND generation = $2",
        "DELETE FROM projections WHERE name = $1 AND generation = $2",
    ] {
        tx.execute(of(query(sql), P::NAME, generation)).await?;
    }
    Ok(())
}

fn of(query: Query, name: &str, generation: u32) -> Query {
    query.bind(name).bind(i64::from(generation))
}

/// What came of making a generation live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// Queries read it.
    Live,
    /// What they read is further on; nothing was changed.
    Behind,
    /// Another worker took the generation over; nothing was changed.
    Fenced,
}

/// Has queries read the generation of a lease, unless they do. Whoever fills the one that they read
/// now is stopped first, and the older one that is kept for going back is dropped: all in one
/// transaction. With `hand_over`, anybody may go on with the new one at once.
pub(crate) async fn publish<P: Projection>(
    database: &Database,
    lease: &Lease,
    now: i64,
    hand_over: bool,
) -> Result<Published, Error> {
    let mut tx = database.begin().await?;
    tx.make_tables_alone().await?;
    let generations = generations_of(&mut tx, P::NAME).await?;
    let live = generations.iter().find(|generation| generation.role == Role::Live);
    if live.is_some_and(|live| live.generation == lease.generation) {
        return Ok(Published::Live);
    }
    if let Some((_, reached)) = fence(&mut tx, P::NAME).await?
        && reached > lease.position
    {
        return Ok(Published::Behind);
    }
    let hold = query(
        "UPDATE projections SET lease_until = CASE WHEN $4 THEN 0 ELSE lease_until END \
         WHERE name = $1 AND generation = $2 AND token = $3",
    );
    let hold = of(hold, lease.name, lease.generation).bind(lease.token).bind(hand_over);
    if tx.execute(hold).await? != 1 {
        return Ok(Published::Fenced);
    }
    let older = generations.iter().filter(|generation| {
        generation.role == Role::Retired && generation.generation != lease.generation
    });
    for older in older {
        drop_generation::<P>(&mut tx, older.generation).await?;
    }
    turn_views::<P>(&mut tx, lease.generation, now).await?;
    tx.commit().await?;
    Ok(Published::Live)
}

/// Takes the live generation out of the hands of its worker until this transaction ends, and has it
/// begin anew after that. The answer is the generation and how far it has come.
pub(crate) async fn fence(
    tx: &mut Tx,
    name: &str,
) -> Result<Option<(u32, Option<Position>)>, Error> {
    let fence = "UPDATE projections SET token = token + 1, lease_until = 0 \
                 WHERE name = $1 AND live RETURNING generation, position";
    let Some(row) = tx.fetch_optional(query(fence).bind(name)).await? else { return Ok(None) };
    Ok(Some((u32::try_from(row.i64("generation")?).unwrap_or(0), position(&row)?)))
}

async fn turn_views<P: Projection>(tx: &mut Tx, generation: u32, now: i64) -> Result<(), Error> {
    for name in P::TABLES {
        tx.script(format!(
            "DROP VIEW IF EXISTS {name}; CREATE VIEW {name} AS SELECT * FROM {name}_v{generation};"
        ))
        .await?;
    }
    // Two statements, since at no time may two generations be live.
    let retire = "UPDATE projections SET live = FALSE, retired_at = $3 \
                  WHERE name = $1 AND generation <> $2 AND live";
    tx.execute(of(query(retire), P::NAME, generation).bind(now)).await?;
    let live = "UPDATE projections SET live = TRUE, retired_at = NULL \
                WHERE name = $1 AND generation = $2";
    tx.execute(of(query(live), P::NAME, generation)).await?;
    Ok(())
}

/// Keeps the live generation of a projection where it is, or lets it go on. Whatever its worker has
/// under way is not written any more. `false`: that was so already.
pub(crate) async fn pause(
    database: &Database,
    name: &str,
    paused: bool,
    now: i64,
) -> Result<bool, Error> {
    let mut tx = database.begin().await?;
    let turned = if paused {
        let pause = "INSERT INTO paused_projections (name, paused_at) VALUES ($1, $2) \
                     ON CONFLICT (name) DO NOTHING";
        tx.execute(query(pause).bind(name).bind(now)).await?
    } else {
        tx.execute(query("DELETE FROM paused_projections WHERE name = $1").bind(name)).await?
    };
    if paused {
        fence(&mut tx, name).await?;
    }
    tx.commit().await?;
    Ok(turned == 1)
}

/// The generation that a worker is to fill. With `only_live`, it is not one that queries do not
/// read: another release has taken over. `None`: there is none for this code.
pub(crate) async fn next<P: Projection>(
    executor: impl Executor,
    only_live: bool,
) -> Result<Option<u32>, Error> {
    let generations = generations_of(executor, P::NAME).await?;
    let current = current::<P>(&generations);
    let current = current.filter(|current| !only_live || current.role == Role::Live);
    Ok(current.map(|current| current.generation))
}

/// Takes the lease for the worker of a projection; see [`next`].
pub(crate) async fn take<P: Projection>(
    database: &Database,
    only_live: bool,
    owner: &str,
    now: i64,
    until: i64,
) -> Result<Taken, Error> {
    let mut tx = database.begin().await?;
    let Some(generation) = next::<P>(&mut tx, only_live).await? else { return Ok(Taken::Moved) };
    let taken = acquire_in(&mut tx, (P::NAME, generation), owner, now, until).await?;
    let Some(lease) = taken else { return Ok(Taken::Busy) };
    // With the row in hand: whoever pauses or cuts over now has to wait, and moves the token on.
    let generations = generations_of(&mut tx, P::NAME).await?;
    let Some(ours) = generations.iter().find(|ours| ours.generation == generation) else {
        return Ok(Taken::Moved);
    };
    if ours.paused && ours.role == Role::Live {
        return Ok(Taken::Paused);
    }
    if current::<P>(&generations) != Some(ours) || (only_live && ours.role != Role::Live) {
        return Ok(Taken::Moved);
    }
    tx.commit().await?;
    Ok(Taken::Lease(lease))
}

/// Takes the lease of a generation if it is free, has lapsed at `now`, or is `owner`'s already; in
/// each case with a new token.
pub(crate) async fn acquire(
    database: &Database,
    key: (&'static str, u32),
    owner: &str,
    now: i64,
    until: i64,
) -> Result<Option<Lease>, Error> {
    let mut tx = database.begin().await?;
    let lease = acquire_in(&mut tx, key, owner, now, until).await?;
    tx.commit().await?;
    Ok(lease)
}

async fn acquire_in(
    tx: &mut Tx,
    (name, generation): (&'static str, u32),
    owner: &str,
    now: i64,
    until: i64,
) -> Result<Option<Lease>, Error> {
    let take = query(
        "UPDATE projections SET owner = $1, token = token + 1, lease_until = $2 \
         WHERE name = $3 AND generation = $4 AND (lease_until <= $5 OR owner = $1) \
         RETURNING token, position",
    );
    let take = of(take.bind(owner).bind(until), name, generation).bind(now);
    let Some(row) = tx.fetch_optional(take).await? else { return Ok(None) };
    let stuck = Stuck::load(tx, name, generation).await?;
    let (token, position) = (row.i64("token")?, position(&row)?);
    Ok(Some(Lease { name, generation, token, position, stuck }))
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
         lease_until = $3 WHERE name = $4 AND generation = $5 AND token = $6 \
         AND position IS NOT DISTINCT FROM $7",
    );
    let held = held.bind(column(position)).bind(now).bind(until);
    let held = of(held, lease.name, lease.generation).bind(lease.token);
    Ok(tx.execute(held.bind(column(lease.position))).await? == 1)
}

/// Gives the lease up, so that another worker need not wait for its end.
pub(crate) async fn release(database: &Database, lease: &Lease) -> Result<(), Error> {
    let mut tx = database.begin().await?;
    let release = "UPDATE projections SET lease_until = 0 \
                   WHERE name = $1 AND generation = $2 AND token = $3";
    tx.execute(of(query(release), lease.name, lease.generation).bind(lease.token)).await?;
    tx.commit().await
}
