use std::collections::BTreeMap;

use daybook_database::{AssertSqlSafe, Error, Raw, Row, Tx, query};
use futures::TryStreamExt;

use crate::verify::books::Books;
use crate::verify::findings::Findings;
use crate::verify::row::{Cell, Digest};

/// A read model: what a projection writes.
pub(super) struct Model {
    /// The projection.
    pub(super) name: &'static str,
    pub(super) tables: &'static [Table],
}

/// A table of a read model, and what it should hold.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
    pub(super) columns: &'static [&'static str],
    /// Whether rows that share a key are compared by a digest of them all, as there are too many
    /// to keep.
    pub(super) digested: bool,
    pub(super) expected: for<'b> fn(&'b Books) -> Rows<'b>,
}

/// Rows by their key.
pub(super) type Rows<'a> = BTreeMap<String, Vec<Cell<'a>>>;

/// What a digest has for columns.
const DIGEST: &[&str] = &["the number of rows", "the fingerprint of the rows"];

impl Table {
    /// Compares the table with the books, and says how many rows it has.
    pub(super) async fn compare(
        &self,
        books: &Books,
        tx: &mut Tx,
        findings: &mut Findings,
    ) -> Result<usize, Error> {
        let columns = if self.digested { DIGEST } else { self.columns };
        let mut comparison = Comparison::new(self.name, columns, (self.expected)(books), findings);
        let mut digests: BTreeMap<String, Digest> = BTreeMap::new();
        let mut count = 0;
        let select = query(AssertSqlSafe(self.select()));
        let mut rows = tx.stream(select);
        while let Some(row) = rows.try_next().await? {
            count += 1;
            let (key, cells) = self.read(&row)?;
            if self.digested {
                digests.entry(key).or_default().add(&cells);
            } else {
                comparison.row(&key, &cells);
            }
        }
        for (key, digest) in digests {
            comparison.row(&key, &digest.cells());
        }
        comparison.finish();
        Ok(count)
    }

    fn select(&self) -> String {
        let columns = [self.key, self.columns].concat().join(", ");
        format!("SELECT {columns} FROM {}", self.name)
    }

    fn read<'r>(&self, row: &'r Row) -> Result<(String, Vec<Cell<'r>>), Error> {
        let keys = self.key.len();
        let key = (0..keys).map(|n| row.str(n)).collect::<Result<Vec<_>, _>>()?;
        let cells =
            (keys..keys + self.columns.len()).map(|n| cell(row, n)).collect::<Result<_, _>>()?;
        Ok((key.join(" "), cells))
    }
}

fn cell(row: &Row, n: usize) -> Result<Cell<'_>, Error> {
    Ok(match row.raw(n)? {
        Raw::Null => Cell::Null,
        Raw::Int(int) => int.into(),
        Raw::Text(text) => text.into(),
    })
}

/// The rows that should be there against those that are.
pub(super) struct Comparison<'a, 'f> {
    table: &'a str,
    columns: &'a [&'a str],
    expected: Rows<'a>,
    findings: &'f mut Findings,
}

impl<'a, 'f> Comparison<'a, 'f> {
    pub(super) fn new(
        table: &'a str,
        columns: &'a [&'a str],
        expected: Rows<'a>,
        findings: &'f mut Findings,
    ) -> Self {
        Self { table, columns, expected, findings }
    }

    /// Compares a row that is there.
    pub(super) fn row(&mut self, key: &str, cells: &[Cell<'_>]) {
        let table = self.table;
        match self.expected.remove(key) {
            Some(expected) if expected == cells => {}
            Some(expected) => {
                let columns = self.columns;
                let told = || format!("{table} {key}: {}", differences(columns, cells, &expected));
                self.findings.add(told);
            }
            // A sum that came back to nothing may stay as a row.
            None if cells.iter().all(|cell| *cell == Cell::Int(0)) => {}
            None => self.findings.add(|| format!("{table} {key} should not be there")),
        }
    }

    /// What is still expected is missing.
    pub(super) fn finish(self) {
        for key in self.expected.keys() {
            self.findings.add(|| format!("{} {key} is missing", self.table));
        }
    }
}

fn differences(columns: &[&str], actual: &[Cell<'_>], expected: &[Cell<'_>]) -> String {
    let differing = columns.iter().zip(actual.iter().zip(expected)).filter(|(_, (a, e))| a != e);
    let told = differing.map(|(column, (a, e))| format!("{column} is {a} and should be {e}"));
    told.collect::<Vec<_>>().join(", ")
}
