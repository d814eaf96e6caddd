//! The texts in which the engines differ.

use crate::{Column, Merge, Table};

/// Which database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file of this machine.
    Sqlite,
    /// A server.
    Postgres,
}

impl Engine {
    /// A declaration of tables as the engine takes it. `{clustered}` stands where a table is to be
    /// kept in the order of its key. Text is ordered byte by byte on both engines, so that the
    /// pages of a list are the same.
    pub fn declaration(self, template: &str) -> String {
        match self {
            Self::Sqlite => template.replace("{clustered}", "WITHOUT ROWID"),
            Self::Postgres => {
                template.replace(" {clustered}", "").replace(" TEXT", " TEXT COLLATE \"C\"")
            }
        }
    }

    /// Whether a table of this name is there.
    pub(crate) fn has_table(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT count(*) > 0 FROM sqlite_master WHERE name = $1",
            Self::Postgres => "SELECT to_regclass($1) IS NOT NULL",
        }
    }

    /// Begins a transaction that will write. `SQLite` knows one writer at a time.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Begins a transaction that sees everything as of one moment.
    pub(crate) fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// Writes rows of a table. `PostgreSQL` takes whole columns as arrays, however many rows there
    /// are; `SQLite` one parameter for each value.
    pub(crate) fn upsert(self, table: &Table, rows: usize) -> String {
        let Table { name, columns, keys, merge } = table;
        let source = match self {
            Self::Sqlite => format!("VALUES {}", tuples(columns.len(), rows)),
            Self::Postgres => format!("SELECT * FROM {}", arrays(columns)),
        };
        let updates: Vec<_> = columns[*keys..]
            .iter()
            .map(|Column { name: column, .. }| match merge {
                Merge::Replace => format!("{column}=excluded.{column}"),
                Merge::Add => format!("{column}={name}.{column}+excluded.{column}"),
            })
            .collect();
        format!(
            "INSERT INTO {name} ({}) {source} ON CONFLICT ({}) DO UPDATE SET {}",
            names(columns),
            names(&columns[..*keys]),
            updates.join(","),
        )
    }

    /// Writes rows of a table that has none of their keys.
    pub(crate) fn insert(table: &Table, rows: usize) -> String {
        let Table { name, columns, .. } = table;
        format!("INSERT INTO {name} ({}) VALUES {}", names(columns), tuples(columns.len(), rows))
    }

    /// Takes rows of a table in binary.
    pub(crate) fn copy(table: &Table) -> String {
        format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, names(table.columns))
    }

    /// Reads rows of a table by their keys.
    pub(crate) fn select(self, table: &Table, rows: usize) -> String {
        let Table { name, columns, keys, .. } = table;
        let keys = &columns[..*keys];
        let source = match self {
            Self::Sqlite => format!("VALUES {}", tuples(keys.len(), rows)),
            Self::Postgres => format!("SELECT * FROM {}", arrays(keys)),
        };
        format!("SELECT {} FROM {name} WHERE ({}) IN ({source})", names(columns), names(keys))
    }
}

/// `SQLite` looks a numbered parameter up by walking through all of them, so these are anonymous.
fn tuples(width: usize, rows: usize) -> String {
    let tuple = format!("({})", vec!["?"; width].join(","));
    vec![tuple; rows].join(",")
}

fn arrays(columns: &[Column]) -> String {
    let arrays =
        columns.iter().zip(1..).map(|(column, n)| format!("${n}::{}[]", column.kind.sql()));
    format!("UNNEST({})", arrays.collect::<Vec<_>>().join(","))
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    const COLUMNS: &[Column] =
        &[Column { name: "sku", kind: Kind::Text }, Column { name: "sold", kind: Kind::Int }];

    fn table(merge: Merge) -> Table {
        Table { name: "sales_v1".into(), columns: COLUMNS, keys: 1, merge }
    }

    #[test]
    fn rows_are_values_of_sqlite_and_columns_of_postgresql() {
        let update = "ON CONFLICT (sku) DO UPDATE SET sold=excluded.sold";
        assert_eq!(
            Engine::Sqlite.upsert(&table(Merge::Replace), 2),
            format!("INSERT INTO sales_v1 (sku,sold) VALUES (?,?),(?,?) {update}")
        );
        assert_eq!(
            Engine::Postgres.upsert(&table(Merge::Replace), 2),
            format!(
                "INSERT INTO sales_v1 (sku,sold) SELECT * FROM UNNEST($1::TEXT[],$2::BIGINT[]) \
                 {update}"
            )
        );
    }

    #[test]
    fn sums_are_added_up() {
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let sql = engine.upsert(&table(Merge::Add), 1);
            assert!(sql.ends_with("SET sold=sales_v1.sold+excluded.sold"), "{sql}");
        }
    }

    #[test]
    fn text_is_ordered_byte_by_byte() {
        let template = "CREATE TABLE a (b TEXT NOT NULL, c TEXT) {clustered};";
        assert_eq!(
            Engine::Sqlite.declaration(template),
            "CREATE TABLE a (b TEXT NOT NULL, c TEXT) WITHOUT ROWID;"
        );
        assert_eq!(
            Engine::Postgres.declaration(template),
            "CREATE TABLE a (b TEXT COLLATE \"C\" NOT NULL, c TEXT COLLATE \"C\");"
        );
    }
}
