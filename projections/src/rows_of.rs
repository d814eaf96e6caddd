//! All rows of a table in the order of their keys, page by page, and their checksums.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

use daybook_database::{AssertSqlSafe, Error, Executor, Query, Raw, Row, Table, Tx, Value, query};
use sha2::{Digest, Sha256};

use crate::compare::KeyRange;

/// Rows of one page: so many that a page is read well within what a statement may take.
const PAGE: i64 = 4_096;

/// A column's value. Nothing comes before numbers, and text is ordered byte by byte, as the engines
/// order their keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Int(int) => int.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<&Cell> for Value {
    fn from(cell: &Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Int(int) => Self::Int(*int),
            Cell::Text(text) => text.as_str().into(),
        }
    }
}

/// A row of any table.
#[derive(Debug)]
pub(crate) struct TableRow {
    pub(crate) key: Vec<Cell>,
    /// Every column, the key's too.
    pub(crate) cells: Vec<(String, Cell)>,
}

impl TableRow {
    fn new(row: &Row, keys: &[&'static str]) -> Result<Self, Error> {
        let mut cells = Vec::new();
        for (at, name) in row.names().into_iter().enumerate() {
            let cell = match row.raw(at)? {
                Raw::Null => Cell::Null,
                Raw::Int(int) => Cell::Int(int),
                Raw::Text(text) => Cell::Text(text.to_owned()),
            };
            cells.push((name.to_owned(), cell));
        }
        let key = |name: &&str| cells.iter().find(|(column, _)| column == name);
        let key = keys.iter().filter_map(key).map(|(_, cell)| cell.clone()).collect();
        Ok(Self { key, cells })
    }

    pub(crate) fn cell(&self, column: &str) -> Option<&Cell> {
        self.cells.iter().find(|(name, _)| name == column).map(|(_, cell)| cell)
    }

    /// The key for people and patterns.
    pub(crate) fn name(&self) -> String {
        self.key.iter().map(ToString::to_string).collect::<Vec<_>>().join("/")
    }
}

/// The rows of one table, or of a part of one.
pub(crate) struct RowsOf {
    /// Without the key from which to go on.
    select: String,
    keys: Vec<&'static str>,
    parameters: Vec<Value>,
    page: VecDeque<TableRow>,
    last: Option<Vec<Cell>>,
    is_over: bool,
}

impl RowsOf {
    /// All rows of a read model's table in a generation.
    pub(crate) fn table(table: &Table, generation: u32) -> Self {
        let name = table.name.rsplit_once("_v").map_or(&*table.name, |(name, _)| name);
        let keys = table.columns[..table.keys].iter().map(|column| column.name).collect();
        Self::new(format!("SELECT * FROM {name}_v{generation} WHERE true"), keys, Vec::new())
    }

    /// What a generation has parked, and why.
    pub(crate) fn parked(projection: &'static str, generation: u32) -> Self {
        let select = "SELECT position, stream, kind, error FROM parked_events \
                      WHERE projection = $1 AND generation = $2";
        let of = vec![Value::Word(projection), i64::from(generation).into()];
        Self::new(select.to_owned(), vec!["position"], of)
    }

    fn new(select: String, keys: Vec<&'static str>, parameters: Vec<Value>) -> Self {
        Self { select, keys, parameters, page: VecDeque::new(), last: None, is_over: false }
    }

    /// The next row.
    pub(crate) async fn next(&mut self, tx: &mut Tx) -> Result<Option<TableRow>, Error> {
        if self.page.is_empty() && !self.is_over {
            self.read(tx).await?;
        }
        Ok(self.page.pop_front())
    }

    async fn read(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let mut sql = self.select.clone();
        let mut parameters = self.parameters.clone();
        let keys = self.keys.join(", ");
        if let Some(last) = &self.last {
            let from = parameters.len() + 1;
            let places: Vec<_> = (from..from + last.len()).map(|n| format!("${n}")).collect();
            // Written to a String, which takes everything.
            let _ = write!(sql, " AND ({keys}) > ({})", places.join(", "));
            parameters.extend(last.iter().map(Value::from));
        }
        let _ = write!(sql, " ORDER BY {keys} LIMIT {PAGE}");
        let query = parameters.into_iter().fold(query(AssertSqlSafe(sql)), Query::bind);
        for row in tx.fetch_all(query).await? {
            self.page.push_back(TableRow::new(&row, &self.keys)?);
        }
        self.is_over = self.page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        self.last = self.page.back().map(|row| row.key.clone());
        Ok(())
    }
}

/// Checksums of two sides, over all rows and range by range.
pub(crate) struct Sums {
    all: [Sha256; 2],
    range: [Sha256; 2],
    rows: usize,
    most: usize,
    from: String,
    to: String,
}

impl Sums {
    /// Ranges of so many keys.
    pub(crate) fn new(most: usize) -> Self {
        let (from, to) = (String::new(), String::new());
        Self {
            all: [(); 2].map(|()| Sha256::new()),
            range: [(); 2].map(|()| Sha256::new()),
            rows: 0,
            most,
            from,
            to,
        }
    }

    /// Adds the row of a key, where a side has it. Gives the range that this ends, if it differs.
    pub(crate) fn add(&mut self, pair: [Option<&TableRow>; 2]) -> Option<KeyRange> {
        let ended = if self.rows == self.most { self.end_range() } else { None };
        let Some(key) = pair.iter().flatten().next().map(|row| row.name()) else { return ended };
        if self.rows == 0 {
            self.from.clone_from(&key);
        }
        self.to = key;
        self.rows += 1;
        for (side, row) in pair.into_iter().enumerate() {
            let Some(row) = row else { continue };
            let bytes = canonical(row);
            self.all[side].update(&bytes);
            self.range[side].update(&bytes);
        }
        ended
    }

    /// Ends the range that is open. It is of interest only where the sides differ.
    pub(crate) fn end_range(&mut self) -> Option<KeyRange> {
        self.rows = 0;
        let checksums = self.range.each_mut().map(|sum| hex(&sum.finalize_reset()));
        let differs = checksums[0] != checksums[1];
        differs.then(|| KeyRange { from: self.from.clone(), to: self.to.clone(), checksums })
    }

    /// The checksums over everything.
    pub(crate) fn all(self) -> [String; 2] {
        self.all.map(|sum| hex(&sum.finalize()))
    }
}

/// A row as bytes that are the same on every engine: each column's name, type, length and value.
fn canonical(row: &TableRow) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, cell) in &row.cells {
        let (kind, value) = match cell {
            Cell::Null => (0, String::new()),
            Cell::Int(int) => (1, int.to_string()),
            Cell::Text(text) => (2, text.clone()),
        };
        for text in [name, &value] {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.push(kind);
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Written to a String, which takes everything.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
