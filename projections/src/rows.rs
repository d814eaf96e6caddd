//! Rows of a read model in memory: loaded in bulk, changed by events, written in bulk.

use std::collections::{BTreeMap, HashMap, HashSet};

use daybook_database::{Error, Merge, Table, Tx, Value};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::ApplyError;
use crate::row::{Field, Row};

fn table<R: Row>(generation: u32, merge: Merge) -> Table {
    let name = format!("{}_v{generation}", R::NAME);
    Table { name, columns: R::COLUMNS, keys: R::KEYS, merge }
}

/// The rows of one table that a projection works with.
///
/// A row stays here for as long as events keep concerning it, so that a busy one is read once.
/// That is sound because only the holder of the lease writes it; whoever loses the lease, or
/// a transaction, [forgets](Rows::forget) everything.
#[derive(Debug)]
pub(crate) struct Rows<R: Row> {
    table: Table,
    held: HashMap<R::Key, Held<R>>,
    wanted: HashSet<R::Key>,
    changed: Vec<R::Key>,
    batch: u64,
    keep: usize,
}

#[derive(Debug)]
struct Held<R> {
    row: Option<R>,
    changed: bool,
    batch: u64,
}

impl<R: Row> Rows<R> {
    /// Keeps at most about `keep` rows from one batch to the next.
    pub(crate) fn new(generation: u32, keep: usize) -> Self {
        Self {
            table: table::<R>(generation, Merge::Replace),
            held: HashMap::new(),
            wanted: HashSet::new(),
            changed: Vec::new(),
            batch: 0,
            keep,
        }
    }

    /// Asks for a row to be there when events are applied.
    pub(crate) fn want(&mut self, key: R::Key) {
        match self.held.get_mut(&key) {
            Some(held) => held.batch = self.batch,
            None => {
                self.wanted.insert(key);
            }
        }
    }

    /// A row that was wanted or put.
    pub(crate) fn get(&self, key: &R::Key) -> Option<&R> {
        self.held.get(key)?.row.as_ref()
    }

    /// A row that is to be changed.
    pub(crate) fn change(&mut self, key: &R::Key) -> Result<&mut R, ApplyError> {
        let missing = || ApplyError::Missing { table: R::NAME, key: format!("{key:?}") };
        let held = self.held.get_mut(key).ok_or_else(missing)?;
        let row = held.row.as_mut().ok_or_else(missing)?;
        if !held.changed {
            held.changed = true;
            self.changed.push(key.clone());
        }
        Ok(row)
    }

    /// Puts a row where there may have been one.
    pub(crate) fn put(&mut self, row: R) {
        let key = row.key();
        let held = Held { row: Some(row), changed: true, batch: self.batch };
        let before = self.held.insert(key.clone(), held);
        if !before.is_some_and(|before| before.changed) {
            self.changed.push(key);
        }
    }

    fn values(&mut self) -> Vec<Value> {
        self.changed.sort_unstable();
        let mut values = Vec::with_capacity(self.changed.len() * R::COLUMNS.len());
        for key in self.changed.drain(..) {
            let Some(held) = self.held.get_mut(&key) else { continue };
            held.changed = false;
            if let Some(row) = &held.row {
                row.write(&mut values);
            }
        }
        values
    }

    /// Lets go of rows that the last batches did not touch.
    fn trim(&mut self) {
        if self.held.len() > self.keep {
            let recent = self.batch;
            self.held.retain(|_, held| held.batch == recent);
        }
        if self.held.len() > self.keep {
            self.held.clear();
        }
        self.batch += 1;
    }
}

/// [`Rows`] of any kind, as the runner sees them.
pub(crate) trait Buffer: Send + Sync {
    /// The table that they are of.
    fn table(&self) -> &Table;
    /// Reads what is wanted.
    fn load<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>>;
    /// Writes what has changed.
    fn flush<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>>;
    /// Forgets everything: the database knows better.
    fn forget(&mut self);
}

impl<R: Row> Buffer for Rows<R> {
    fn table(&self) -> &Table {
        &self.table
    }

    fn load<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let mut keys = Vec::with_capacity(self.wanted.len() * R::KEYS);
            for key in self.wanted.drain() {
                R::write_key(&key, &mut keys);
                self.held.insert(key, Held { row: None, changed: false, batch: self.batch });
            }
            for values in tx.select(&self.table, keys).await? {
                let row = R::read(values)?;
                let held = Held { row: Some(row), changed: false, batch: self.batch };
                if let Some(row) = &held.row {
                    self.held.insert(row.key(), held);
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn flush<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let values = self.values();
            tx.upsert(&self.table, values).await?;
            self.trim();
            Ok(())
        }
        .boxed()
    }

    fn forget(&mut self) {
        self.held.clear();
        self.wanted.clear();
        self.changed.clear();
    }
}

/// Sums by key: a table whose columns beside the key are all numbers, to which events add. Nothing
/// has to be read for that.
#[derive(Debug)]
pub(crate) struct Sums<R: Row> {
    table: Table,
    added: BTreeMap<R::Key, Vec<i64>>,
}

impl<R: Row> Sums<R> {
    pub(crate) fn new(generation: u32) -> Self {
        Self { table: table::<R>(generation, Merge::Add), added: BTreeMap::new() }
    }

    /// Adds a row's numbers to those of the same key.
    pub(crate) fn add(&mut self, row: &R) -> Result<(), ApplyError> {
        let mut values = Vec::with_capacity(R::COLUMNS.len());
        row.write(&mut values);
        let numbers = values.drain(R::KEYS..).filter_map(i64::from_value);
        let Some(sums) = self.added.get_mut(&row.key()) else {
            self.added.insert(row.key(), numbers.collect());
            return Ok(());
        };
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum = sum.checked_add(number).ok_or(ApplyError::Range { what: R::NAME })?;
        }
        Ok(())
    }
}

impl<R: Row> Buffer for Sums<R> {
    fn table(&self) -> &Table {
        &self.table
    }

    fn load<'a>(&'a mut self, _: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        futures::future::ready(Ok(())).boxed()
    }

    fn flush<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        let mut values = Vec::with_capacity(self.added.len() * R::COLUMNS.len());
        for (key, sums) in std::mem::take(&mut self.added) {
            R::write_key(&key, &mut values);
            values.extend(sums.into_iter().map(Value::Int));
        }
        async move { tx.upsert(&self.table, values).await }.boxed()
    }

    fn forget(&mut self) {
        self.added.clear();
    }
}
