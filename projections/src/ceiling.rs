//! The rows of a read model loaded by nobody but the engine: what a build is measured against.

use std::time::{Duration, Instant};

use daybook_database::{Table, Value};

use crate::OperateError;
use crate::projection::Projection;
use crate::rebuild::Job;
use crate::registry::{self, Role};
use crate::rows_of::RowsOf;

/// Rows, and the time that the engine took to load them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many.
    pub rows: u64,
    /// From the first to the end of the transaction; reading them is not in it.
    pub time: Duration,
}

/// Loads the rows of the newest generation into new tables of the same kind, and drops these.
pub(crate) async fn load_copy<P: Projection>(job: Job<'_>) -> Result<Loaded, OperateError> {
    let mut tx = job.database.begin().await?;
    tx.make_tables_alone().await?;
    let generations = registry::generations_of(&mut tx, P::NAME).await?;
    let newest = generations.iter().rfind(|generation| generation.role != Role::Retired);
    let from = newest.ok_or(OperateError::Absent { name: P::NAME })?.generation;
    let to = registry::make::<P>(&mut tx, &generations).await?;
    tx.commit().await?;
    let mut loaded = Loaded::default();
    for rows in P::new(to).buffers() {
        let table = rows.table();
        let values = values(job, table, from).await?;
        loaded.rows += (values.len() / table.columns.len()) as u64;
        let began = Instant::now();
        let tx = job.database.begin().await?;
        tx.load(table, values).await?.commit().await?;
        loaded.time += began.elapsed();
    }
    let mut tx = job.database.begin().await?;
    registry::drop_generation::<P>(&mut tx, to).await?;
    tx.commit().await?;
    Ok(loaded)
}

async fn values(job: Job<'_>, table: &Table, generation: u32) -> Result<Vec<Value>, OperateError> {
    let mut rows = RowsOf::table(table, generation);
    let mut tx = job.database.begin().await?;
    let mut values = Vec::new();
    while let Some(row) = rows.next(&mut tx).await? {
        let cells = table.columns.iter().map(|column| row.cell(column.name));
        values.extend(cells.map(|cell| cell.map_or(Value::Null, Value::from)));
    }
    Ok(values)
}
