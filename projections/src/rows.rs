//! Rows of a read model in memory: loaded in bulk, changed by events, written in bulk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::sql::{Column, Kind, Merge, Table, Value};
use crate::{ApplyError, Tx};

/// A row of a table whose name, columns and key are known.
pub(crate) trait Row: Send + Sync + Sized + 'static {
    /// What tells rows apart.
    type Key: Clone + Debug + Eq + Hash + Ord + Send + Sync;
    /// The table's name without its version.
    const NAME: &'static str;
    /// The columns, the key's first.
    const COLUMNS: &'static [Column];
    /// How many columns make the key.
    const KEYS: usize;

    fn key(&self) -> Self::Key;
    fn write_key(key: &Self::Key, out: &mut Vec<Value>);
    fn write(&self, out: &mut Vec<Value>);
    fn read(values: Vec<Value>) -> Result<Self, sqlx::Error>;
}

/// A type that a column can have.
pub(crate) trait Field: Sized {
    const KIND: Kind;
    fn to_value(&self) -> Value;
    fn from_value(value: Value) -> Option<Self>;
}

impl Field for i64 {
    const KIND: Kind = Kind::Int;

    fn to_value(&self) -> Value {
        Value::Int(*self)
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Int(int) = value { Some(int) } else { None }
    }
}

impl Field for Arc<str> {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}

impl Field for Uuid {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value {
        Value::Id(*self)
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Self::try_parse(&text).ok() } else { None }
    }
}

impl<F: Field> Field for Option<F> {
    const KIND: Kind = F::KIND;

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, F::to_value)
    }

    fn from_value(value: Value) -> Option<Self> {
        if value == Value::Null { Some(None) } else { F::from_value(value).map(Some) }
    }
}

/// A column of a fixed set of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl $crate::rows::Field for $name {
            const KIND: $crate::sql::Kind = $crate::sql::Kind::Text;

            fn to_value(&self) -> $crate::sql::Value {
                $crate::sql::Value::Word(match self { $(Self::$variant => $word),+ })
            }

            fn from_value(value: $crate::sql::Value) -> Option<Self> {
                let $crate::sql::Value::Text(text) = value else { return None };
                match &*text { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

/// Declares a row: the table's name, the key's columns, then the others.
macro_rules! row {
    (
        $(#[$doc:meta])*
        $name:ident in $table:literal {
            key { $($key:ident: $key_type:ty),+ $(,)? }
            $($field:ident: $type:ty),+ $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name {
            $(pub(crate) $key: $key_type,)+
            $(pub(crate) $field: $type,)+
        }

        impl $crate::rows::Row for $name {
            type Key = ($($key_type,)+);
            const NAME: &'static str = $table;
            const COLUMNS: &'static [$crate::sql::Column] = &[
                $($crate::sql::Column {
                    name: stringify!($key),
                    kind: <$key_type as $crate::rows::Field>::KIND,
                },)+
                $($crate::sql::Column {
                    name: stringify!($field),
                    kind: <$type as $crate::rows::Field>::KIND,
                },)+
            ];
            const KEYS: usize = [$(stringify!($key)),+].len();

            fn key(&self) -> Self::Key {
                ($(self.$key.clone(),)+)
            }

            fn write_key(($($key,)+): &Self::Key, out: &mut Vec<$crate::sql::Value>) {
                use $crate::rows::Field as _;
                $(out.push($key.to_value());)+
            }

            fn write(&self, out: &mut Vec<$crate::sql::Value>) {
                use $crate::rows::Field as _;
                $(out.push(self.$key.to_value());)+
                $(out.push(self.$field.to_value());)+
            }

            fn read(values: Vec<$crate::sql::Value>) -> Result<Self, sqlx::Error> {
                let mut values = values.into_iter();
                Ok(Self {
                    $($key: $crate::rows::next(&mut values, stringify!($key))?,)+
                    $($field: $crate::rows::next(&mut values, stringify!($field))?,)+
                })
            }
        }
    };
}
pub(crate) use row;

/// The next column's value as what it should be.
pub(crate) fn next<F: Field>(
    values: &mut impl Iterator<Item = Value>,
    column: &'static str,
) -> Result<F, sqlx::Error> {
    values.next().and_then(F::from_value).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "not of the column's type".into(),
    })
}

fn table<R: Row>(version: u32, merge: Merge) -> Table {
    let name = format!("{}_v{version}", R::NAME);
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
    pub(crate) fn new(version: u32, keep: usize) -> Self {
        Self {
            table: table::<R>(version, Merge::Replace),
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
    /// Reads what is wanted.
    fn load<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), sqlx::Error>>;
    /// Writes what has changed.
    fn flush<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), sqlx::Error>>;
    /// Forgets everything: the database knows better.
    fn forget(&mut self);
}

impl<R: Row> Buffer for Rows<R> {
    fn load<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), sqlx::Error>> {
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

    fn flush<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), sqlx::Error>> {
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
    pub(crate) fn new(version: u32) -> Self {
        Self { table: table::<R>(version, Merge::Add), added: BTreeMap::new() }
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
    fn load<'a>(&'a mut self, _: &'a mut Tx) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        futures::future::ready(Ok(())).boxed()
    }

    fn flush<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), sqlx::Error>> {
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
