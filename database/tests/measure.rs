//! What the bulk path of `PostgreSQL` is worth, beside simpler ones and beside its own COPY. Run it
//! with `scripts/with-postgres cargo test --release -p daybook-database --features testing --
//! --ignored --nocapture measure`.

#![cfg(test)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use daybook_database::{
    AssertSqlSafe, Column, Kind, Limits, Merge, Pool, Query, Table, Tx, Value, query, testing,
};
use sqlx::postgres::PgPoolCopyExt;
use uuid::Uuid;

const ROWS: i64 = 100_000;
const BATCH: i64 = 5_000;

const COLUMNS: &[Column] = &[
    Column { name: "order_id", kind: Kind::Text },
    Column { name: "line", kind: Kind::Int },
    Column { name: "sku", kind: Kind::Text },
    Column { name: "quantity", kind: Kind::Int },
    Column { name: "price", kind: Kind::Int },
];

fn row(n: i64) -> Vec<Value> {
    let order = Uuid::from_u128(u128::from((n / 20).unsigned_abs()) << 64);
    let sku = format!("SKU-{}", n * 7 % 4_000);
    vec![order.into(), (n % 20).into(), sku.into(), 3.into(), 125.into()]
}

/// A statement with a parameter for each value.
fn single(table: &Table, rows: &[Vec<Value>]) -> Query {
    let width = COLUMNS.len();
    let tuple = |row: usize| {
        let names: Vec<_> = (1..=width).map(|n| format!("${}", row * width + n)).collect();
        format!("({})", names.join(","))
    };
    let tuples: Vec<_> = (0..rows.len()).map(tuple).collect();
    let sql = format!(
        "INSERT INTO {} VALUES {} ON CONFLICT (order_id, line) DO UPDATE SET sku = excluded.sku, \
         quantity = excluded.quantity, price = excluded.price",
        table.name,
        tuples.join(",")
    );
    rows.iter().flatten().fold(query(AssertSqlSafe(sql)), |query, value| query.bind(value.clone()))
}

async fn by_statements(tx: &mut Tx, table: &Table, rows: &[Vec<Value>], of: usize) {
    for rows in rows.chunks(of) {
        tx.execute(single(table, rows)).await.unwrap();
    }
}

async fn copy(pool: &Pool, table: &Table, rows: &[Vec<Value>]) {
    let Pool::Postgres(pool) = pool else { panic!("not a server") };
    let mut text = String::new();
    for row in rows {
        let [Value::Id(order), Value::Int(line), Value::Text(sku), ..] = &row[..] else { panic!() };
        writeln!(text, "{order}\t{line}\t{sku}\t3\t125").unwrap();
    }
    let mut copy = pool.copy_in_raw(&format!("COPY {} FROM STDIN", table.name)).await.unwrap();
    copy.send(text.as_bytes()).await.unwrap();
    copy.finish().await.unwrap();
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Copy,
    Arrays,
    Values,
    RowByRow,
}

async fn load(pool: &Pool, way: Way) -> Duration {
    let name = format!("lines_{way:?}").to_lowercase();
    let table = Table { name, columns: COLUMNS, keys: 2, merge: Merge::Replace };
    let mut tx = pool.begin().await.unwrap();
    let declaration = format!(
        "CREATE TABLE {} (order_id TEXT COLLATE \"C\", line BIGINT, sku TEXT, quantity BIGINT, \
         price BIGINT, PRIMARY KEY (order_id, line))",
        table.name
    );
    tx.script(declaration).await.unwrap();
    tx.commit().await.unwrap();
    let begun = Instant::now();
    for first in (0..ROWS).step_by(usize::try_from(BATCH).unwrap()) {
        let rows: Vec<_> = (first..first + BATCH).map(row).collect();
        if matches!(way, Way::Copy) {
            copy(pool, &table, &rows).await;
            continue;
        }
        let mut tx = pool.begin().await.unwrap();
        match way {
            Way::Copy => {}
            Way::Arrays => tx.upsert(&table, rows.concat()).await.unwrap(),
            Way::Values => by_statements(&mut tx, &table, &rows, 256).await,
            Way::RowByRow => by_statements(&mut tx, &table, &rows, 1).await,
        }
        tx.commit().await.unwrap();
    }
    begun.elapsed()
}

#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn measure_rows_in_bulk() {
    let folder = tempfile::tempdir().unwrap();
    let address = testing::prepare(folder.path(), "bulk").await.unwrap();
    let pool = Pool::writer(&address, &Limits::default()).await.unwrap();
    for way in [Way::Copy, Way::Arrays, Way::Values, Way::RowByRow] {
        let time = load(&pool, way).await;
        let rate = f64::from(u32::try_from(ROWS).unwrap()) / time.as_secs_f64();
        println!("{way:?}: {ROWS} rows in {time:.2?} ({rate:.0}/s)");
    }
}
