//! Two generations of a read model, compared at one and the same position.
//!
//! The live one is read as of one moment, in a transaction that sees nothing later. The built one is
//! brought to the position that the live one had at that moment, and read as of then. So nothing need
//! stand still, and a difference is one of rows, never one of time.

use std::time::Duration;

use daybook_database::{Error, Pool, Tx};
use daybook_event_store::Position;
use tokio::time::{Instant, sleep};

use crate::OperateError;
use crate::batch::Times;
use crate::error::Done;
use crate::projection::Projection;
use crate::rebuild::{Build as _, LEASE, TableBuild};
use crate::registry::{self, Generation, Role};
use crate::rows_of::{Cell, RowsOf, TableRow};

/// Keys of one range, for which the two sides have a checksum each.
const RANGE: usize = 4_096;

/// Most differences of a table that are told one by one.
const MOST: usize = 100;

/// Time between two looks at a live generation that is behind.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The longest wait for a live generation that is behind.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A pattern of differences that are expected. In each part `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The table, without its generation.
    pub table: String,
    /// The key: its columns' values, with `/` between them.
    pub key: String,
    /// The column; `row` for a row that only one side has.
    pub column: String,
}

/// How a built generation compares with the live one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The live generation.
    pub live: u32,
    /// The other.
    pub built: u32,
    /// Where both were.
    pub position: Option<Position>,
    /// Table by table; what was parked comes last.
    pub tables: Vec<TableComparison>,
}

/// How a table compares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableComparison {
    /// Its name, without the generation.
    pub table: String,
    /// Rows of the live one and of the other.
    pub rows: [u64; 2],
    /// Checksums over all rows in the order of their keys: SHA-256 of columns' names and values. The
    /// same rows have the same checksum on every engine.
    pub checksums: [String; 2],
    /// The ranges of keys whose checksums differ.
    pub ranges: Vec<KeyRange>,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// How many rows differ as was expected.
    pub expected: u64,
    /// How many rows differ otherwise.
    pub unexpected: u64,
}

/// Rows of a table whose checksums differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub from: String,
    /// The last key.
    pub to: String,
    /// The checksums of the live rows and of the others.
    pub checksums: [String; 2],
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its key.
    pub key: String,
    /// Whether it was expected to.
    pub expected: bool,
    /// In what.
    pub what: What,
}

/// In what a row differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Only the live generation has it.
    Missing,
    /// Only the built generation has it.
    Extra,
    /// Columns have other values.
    Changed(Vec<Change>),
}

/// A column with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The column.
    pub column: String,
    /// Its value in the live generation; none if there is no such column.
    pub live: Option<String>,
    /// Its value in the built one; none if there is no such column.
    pub built: Option<String>,
}

impl Comparison {
    /// How many rows differ although nobody expected it.
    pub fn unexpected(&self) -> u64 {
        self.tables.iter().map(|table| table.unexpected).sum()
    }
}

impl Expected {
    fn covers(&self, table: &str, key: &str, column: &str) -> bool {
        matches(&self.table, table) && matches(&self.key, key) && matches(&self.column, column)
    }
}

/// Whether a text is as a pattern says, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    let begins = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    begins.into_iter().any(|at| matches(rest, &text[at..]))
}

/// Compares a generation with the live one.
pub(crate) async fn verify<P: Projection>(
    build: &mut TableBuild<'_, P>,
    expected: &[Expected],
) -> Done<Comparison> {
    let pool = build.job.database.own_reader()?;
    let compared = verify_in(build, &pool, expected).await;
    pool.close().await;
    compared
}

async fn verify_in<P: Projection>(
    build: &mut TableBuild<'_, P>,
    pool: &Pool,
    expected: &[Expected],
) -> Done<Comparison> {
    let (mut before, live) = live_at_least(build, pool).await?;
    if let Some(position) = live.position {
        build.reach(position).await?;
    }
    let (mut after, generation) = (pool.snapshot().await?, build.lease.generation);
    let ours = registry::generations_of(&mut after, P::NAME).await?;
    let is_there =
        |ours: &Generation| ours.generation == generation && ours.position == live.position;
    if !ours.iter().any(is_there) {
        return Err(OperateError::TakenOver { name: P::NAME });
    }
    let mut tables = Vec::new();
    for rows in P::new(generation).buffers() {
        let (table, generations) = (rows.table(), [live.generation, generation]);
        let [left, right] = generations.map(|generation| RowsOf::table(table, generation));
        let sides = [Rows::Table(left, &mut before), Rows::Table(right, &mut after)];
        tables.push(compare(&table.name, sides, expected).await?);
    }
    let [left, right] = [live.generation, generation].map(|it| RowsOf::parked(P::NAME, it));
    let sides = [Rows::Table(left, &mut before), Rows::Table(right, &mut after)];
    tables.push(compare("parked_events", sides, expected).await?);
    Ok(Comparison { live: live.generation, built: generation, position: live.position, tables })
}

/// The database as it is at a moment when the live generation is not behind the built one. Where no
/// worker fills it, it is filled here.
async fn live_at_least<P: Projection>(
    build: &TableBuild<'_, P>,
    pool: &Pool,
) -> Done<(Tx, Generation)> {
    let (name, began) = (P::NAME, Instant::now());
    loop {
        let mut tx = pool.snapshot().await?;
        let generations = registry::generations_of(&mut tx, name).await?;
        let live = generations.into_iter().find(|generation| generation.role == Role::Live);
        let live = live.ok_or(OperateError::Absent { name })?;
        if live.position >= build.lease.position {
            return Ok((tx, live));
        }
        drop(tx);
        if live.paused || began.elapsed() > PATIENCE {
            return Err(OperateError::LiveBehind { name });
        }
        build.bring_live(&live).await?;
        sleep(LOOK_EVERY).await;
    }
}

/// The rows of one side, in the order of their keys.
pub(crate) enum Rows<'t> {
    /// Of a table, as a transaction sees them.
    Table(RowsOf, &'t mut Tx),
    /// That are there already.
    Given(std::vec::IntoIter<TableRow>),
}

impl Rows<'_> {
    async fn next(&mut self) -> Result<Option<TableRow>, Error> {
        match self {
            Self::Table(rows, tx) => rows.next(tx).await,
            Self::Given(rows) => Ok(rows.next()),
        }
    }
}

/// Compares the rows of the live side and of the built one.
pub(crate) async fn compare(
    table: &str,
    [mut live, mut built]: [Rows<'_>; 2],
    expected: &[Expected],
) -> Done<TableComparison> {
    let mut found = TableComparison { table: base(table).to_owned(), ..Default::default() };
    let mut sums = crate::rows_of::Sums::new(RANGE);
    let (mut left, mut right) = (live.next().await?, built.next().await?);
    loop {
        let order = match (&left, &right) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => left.key.cmp(&right.key),
        };
        let takes = [order.is_le(), order.is_ge()];
        let pair = [left.as_ref().filter(|_| takes[0]), right.as_ref().filter(|_| takes[1])];
        found.rows[0] += u64::from(takes[0]);
        found.rows[1] += u64::from(takes[1]);
        found.ranges.extend(sums.add(pair));
        if let Some(what) = difference(pair) {
            let key = pair.iter().flatten().next().map_or_else(String::new, |row| row.name());
            found.note(key, what, expected);
        }
        if takes[0] {
            left = live.next().await?;
        }
        if takes[1] {
            right = built.next().await?;
        }
    }
    found.ranges.extend(sums.end_range());
    found.checksums = sums.all();
    Ok(found)
}

/// A table's name without its generation.
fn base(table: &str) -> &str {
    table.rsplit_once("_v").map_or(table, |(base, _)| base)
}

fn difference(pair: [Option<&TableRow>; 2]) -> Option<What> {
    let (live, built) = match pair {
        [Some(live), Some(built)] => (live, built),
        [Some(_), None] => return Some(What::Missing),
        _ => return Some(What::Extra),
    };
    if live.cells == built.cells {
        return None;
    }
    let text = |cell: Option<&Cell>| cell.map(ToString::to_string);
    let mut changes = Vec::new();
    for (column, cell) in &live.cells {
        let other = built.cell(column);
        if other != Some(cell) {
            let (column, live) = (column.clone(), text(Some(cell)));
            changes.push(Change { column, live, built: text(other) });
        }
    }
    let added = built.cells.iter().filter(|(column, _)| live.cell(column).is_none());
    changes.extend(added.map(|(column, cell)| Change {
        column: column.clone(),
        live: None,
        built: text(Some(cell)),
    }));
    Some(What::Changed(changes))
}

impl TableComparison {
    fn note(&mut self, key: String, what: What, expected: &[Expected]) {
        let covers = |column: &str| expected.iter().any(|e| e.covers(&self.table, &key, column));
        let expected = match &what {
            What::Missing | What::Extra => covers("row"),
            What::Changed(changes) => changes.iter().all(|change| covers(&change.column)),
        };
        *(if expected { &mut self.expected } else { &mut self.unexpected }) += 1;
        if self.differences.len() < MOST {
            self.differences.push(Difference { key, expected, what });
        }
    }
}

impl<P: Projection> TableBuild<'_, P> {
    /// Brings the live generation on to where this one is, if no worker does.
    async fn bring_live(&self, live: &Generation) -> Done {
        if live.version != P::VERSION {
            return Ok(());
        }
        let (job, key) = (self.job, (P::NAME, live.generation));
        let Times { now, lease_until } = Times::holding(LEASE);
        let lease = registry::acquire(job.database, key, job.owner, now, lease_until).await?;
        let (Some(lease), Some(goal)) = (lease, self.lease.position) else { return Ok(()) };
        let mut build = TableBuild::<P>::new(job, lease);
        build.reach(goal).await?;
        Ok(registry::release(job.database, &build.lease).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in
            [("*", ""), ("*", "a/b"), ("a*", "a"), ("*b", "aab"), ("a*c*e", "abcde"), ("", "")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", "ab"), ("a*", "ba"), ("a*c", "ab"), ("*é", "e")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        assert!(matches("2011-*/GBP", "2011-03-01/GBP"));
    }
}
