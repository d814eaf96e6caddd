//! Rows of a read model in memory: loaded in bulk, changed by events, written in bulk.

use std::collections::BTreeMap;

use daybook_database::{Error, Merge, Table, Tx, Value};
use daybook_event_store::Revision;
use futures::FutureExt;
use futures::future::BoxFuture;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};

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
    /// Whether the table is known to have a row of this key.
    stored: bool,
    batch: u64,
}

impl<R> Held<R> {
    /// No row, as far as anybody knows.
    fn absent(batch: u64) -> Self {
        Self { row: None, changed: false, stored: false, batch }
    }
}

/// Changed rows of a table, column after column, each kind in the order of its keys.
#[derive(Debug)]
pub(crate) struct Changes {
    table: Table,
    /// Those that the table has.
    stored: Vec<Value>,
    /// Those that nobody asked for before they were put: new, unless the table has them after all.
    put: Vec<Value>,
}

impl Changes {
    /// Writes them, whatever the table has.
    pub(crate) async fn upsert(mut self, tx: &mut Tx) -> Result<(), Error> {
        self.stored.append(&mut self.put);
        tx.upsert(&self.table, self.stored).await
    }

    /// Writes those that seem to be new by the engine's fastest means, which refuses them if they
    /// are not.
    pub(crate) async fn load(self, mut tx: Tx) -> Result<Tx, Error> {
        tx.upsert(&self.table, self.stored).await?;
        tx.load(&self.table, self.put).await
    }
}

impl<R: Row> Rows<R> {
    /// Keeps rows from one batch to the next: of more than `keep`, those that the last batch touched.
    /// With none to keep, it forgets whatever was written.
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

    /// Says that an event puts this row whole, so that nobody has to read it before.
    pub(crate) fn make(&mut self, key: R::Key) {
        let batch = self.batch;
        self.held.entry(key).or_insert_with(|| Held::absent(batch)).batch = batch;
    }

    /// Asks for the row of a stream, which an event of this revision changes: the first one finds none.
    pub(crate) fn want_at(&mut self, revision: Revision, key: R::Key) {
        if revision == Revision::START { self.make(key) } else { self.want(key) }
    }

    /// A row that was wanted, made or put.
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
        let batch = self.batch;
        let mut entry = match self.held.entry(row.key()) {
            Entry::Occupied(held) => held,
            Entry::Vacant(place) => place.insert_entry(Held::absent(batch)),
        };
        let held = entry.get_mut();
        held.row = Some(row);
        held.batch = batch;
        if !std::mem::replace(&mut held.changed, true) {
            self.changed.push(entry.key().clone());
        }
    }

    /// Lets go of rows that the last batch did not touch, where there are many.
    fn trim(&mut self) {
        if self.keep == 0 {
            self.held.clear();
        } else if self.held.len() > self.keep {
            let recent = self.batch;
            self.held.retain(|_, held| held.batch == recent);
        }
        self.batch += 1;
    }
}

/// [`Rows`] of any kind, as the runner sees them.
pub(crate) trait Buffer: Send + Sync {
    /// The table that they are of.
    fn table(&self) -> &Table;
    /// Whether there is something to be read.
    fn wants(&self) -> bool;
    /// Reads what is wanted.
    fn load<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>>;
    /// Takes what has changed, to be written before anything else is loaded.
    fn take(&mut self) -> Changes;
    /// Forgets everything: the database knows better.
    fn forget(&mut self);
}

impl<R: Row> Buffer for Rows<R> {
    fn table(&self) -> &Table {
        &self.table
    }

    fn wants(&self) -> bool {
        !self.wanted.is_empty()
    }

    fn load<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let batch = self.batch;
            let mut keys = Vec::with_capacity(self.wanted.len() * R::KEYS);
            for key in self.wanted.drain() {
                R::write_key(&key, &mut keys);
                self.held.insert(key, Held::absent(batch));
            }
            for values in tx.select(&self.table, keys).await? {
                let row = R::read(values)?;
                let key = row.key();
                let held = Held { row: Some(row), stored: true, ..Held::absent(batch) };
                self.held.insert(key, held);
            }
            Ok(())
        }
        .boxed()
    }

    fn take(&mut self) -> Changes {
        self.changed.sort_unstable();
        // Room for all, so that nothing is copied where all are new.
        let put = Vec::with_capacity(self.changed.len() * R::COLUMNS.len());
        let mut changes = Changes { table: self.table.clone(), stored: Vec::new(), put };
        for key in self.changed.drain(..) {
            let Some(held) = self.held.get_mut(&key) else { continue };
            held.changed = false;
            let is_stored = std::mem::replace(&mut held.stored, true);
            if let Some(row) = &held.row {
                row.write(if is_stored { &mut changes.stored } else { &mut changes.put });
            }
        }
        self.trim();
        changes
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

    fn wants(&self) -> bool {
        false
    }

    fn load<'a>(&'a mut self, _: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        futures::future::ready(Ok(())).boxed()
    }

    fn take(&mut self) -> Changes {
        let mut stored = Vec::with_capacity(self.added.len() * R::COLUMNS.len());
        for (key, sums) in std::mem::take(&mut self.added) {
            R::write_key(&key, &mut stored);
            stored.extend(sums.into_iter().map(Value::Int));
        }
        // They are added to what there is, so none can be loaded as new.
        Changes { table: self.table.clone(), stored, put: Vec::new() }
    }

    fn forget(&mut self) {
        self.added.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::row;

    row! {
        /// A name and a number.
        Counted in "counted" {
            key { name: std::sync::Arc<str> }
            number: i64,
        }
    }

    fn counted(name: &str, number: i64) -> Counted {
        Counted { name: name.into(), number }
    }

    /// The numbers of rows that the table has, and of those that were put.
    fn taken(rows: &mut Rows<Counted>) -> [Vec<i64>; 2] {
        let Changes { stored, put, .. } = rows.take();
        [stored, put].map(|values| values.into_iter().filter_map(i64::from_value).collect())
    }

    #[test]
    fn a_row_is_put_once_and_stored_from_then_on() {
        let mut rows = Rows::new(1, 1);
        for row in [counted("b", 1), counted("a", 2), counted("b", 3)] {
            rows.put(row);
        }
        assert_eq!(taken(&mut rows), [vec![], vec![2, 3]], "each once, by their keys");

        rows.change(&("a".into(),)).unwrap().number = 4;
        rows.put(counted("b", 5));
        rows.put(counted("c", 6));
        assert_eq!(taken(&mut rows), [vec![4, 5], vec![6]]);
        assert_eq!(taken(&mut rows), [Vec::<i64>::new(), vec![]]);
    }

    #[test]
    fn a_row_that_an_event_makes_is_not_read() {
        let mut rows = Rows::<Counted>::new(1, 1);
        rows.want_at(Revision::START, ("a".into(),));
        rows.want_at(Revision(1), ("a".into(),));
        assert!(!rows.wants() && rows.get(&("a".into(),)).is_none());

        rows.put(counted("a", 1));
        rows.make(("a".into(),));
        assert_eq!(rows.get(&("a".into(),)).unwrap().number, 1, "what is there stays");

        rows.want_at(Revision(1), ("b".into(),));
        assert!(rows.wants(), "its stream began before");
    }

    #[test]
    fn only_rows_of_the_last_batch_are_kept_where_there_are_many() {
        let mut rows = Rows::new(1, 1);
        rows.put(counted("a", 1));
        rows.put(counted("b", 2));
        rows.take();
        rows.want(("a".into(),));
        rows.take();
        assert!(rows.get(&("a".into(),)).is_some() && rows.get(&("b".into(),)).is_none());
        rows.want(("b".into(),));
        assert!(rows.wants(), "what is gone is read again");
    }
}
