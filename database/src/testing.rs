//! Databases for tests: files in a folder, or schemas of the `PostgreSQL` server that
//! `DAYBOOK_TEST_POSTGRES_URL` names.

use std::path::Path;
use std::process::Command;

use crate::{Address, AssertSqlSafe, Error, Executor, Limits, Pool, query};

/// The server that tests are to use, if one is given.
pub fn server() -> Option<String> {
    std::env::var("DAYBOOK_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

/// The address of the database of this name and folder. The folder's own name must be like no
/// other's, as that of a temporary folder is.
pub fn address(folder: &Path, name: &str) -> Address {
    match server() {
        None => Address::from(&*folder.join(name).to_string_lossy()),
        Some(server) => Address::from(&*server).with_schema(&schema(folder, name)),
    }
}

/// The same, made ready to be used for the first time.
///
/// # Errors
/// The server cannot be used.
pub async fn prepare(folder: &Path, name: &str) -> Result<Address, Error> {
    let address = address(folder, name);
    if server().is_some() {
        let schema = schema(folder, name);
        let sql = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
        let pool = Pool::writer(&address, &Limits::default()).await?;
        let mut tx = pool.begin().await?;
        tx.make_tables_alone().await?;
        tx.execute(query(AssertSqlSafe(sql))).await?;
        tx.commit().await?;
        pool.close().await;
    }
    Ok(address)
}

/// Runs statements as an operator of the server does, on one that `scripts/with-postgres` started.
///
/// # Errors
/// There is no such server, or it refuses a statement.
pub async fn operate(statements: &[&str]) -> Result<(), Error> {
    let address = std::env::var("DAYBOOK_TEST_POSTGRES_ADMIN_URL");
    let address = address.map_err(|_| Error::Configuration("see scripts/with-postgres".into()))?;
    let pool = Pool::writer(&Address::from(&*address), &Limits::default()).await?;
    for statement in statements {
        pool.fetch_all(query(AssertSqlSafe((*statement).to_owned()))).await?;
    }
    pool.close().await;
    Ok(())
}

/// Starts (`start`, with options of the server) or stops (`stop`) the hot standby that
/// `scripts/with-postgres` makes.
///
/// # Panics
/// There is none, or that cannot be done.
#[expect(clippy::expect_used, reason = "a test goes no further")]
pub fn standby(what: &[&str]) {
    let standby =
        std::env::var("DAYBOOK_TEST_POSTGRES_STANDBY").expect("see scripts/with-postgres");
    let done = Command::new(standby).args(what).status().expect("the standby's program");
    assert!(done.success(), "{what:?}");
}

/// The same database on the standby.
///
/// # Panics
/// There is no standby.
#[expect(clippy::expect_used, reason = "a test goes no further")]
pub fn on_the_standby(address: &str) -> String {
    let standby = std::env::var("DAYBOOK_TEST_POSTGRES_STANDBY_URL");
    let both = server().zip(standby.ok()).expect("see scripts/with-postgres");
    address.replacen(&both.0, &both.1, 1)
}

fn schema(folder: &Path, name: &str) -> String {
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    let letters = format!("{folder}_{name}").to_lowercase();
    let letters = letters.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    format!("t{}", letters.collect::<String>())
}
