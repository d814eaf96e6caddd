use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::pool::open_file;
use crate::{Engine, Error, Executor, Pool, query};

/// The steps by which tables came to be what they are. What was released never changes: a change
/// is another step. A database can have several such sets, each with a record of its own.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    /// The table in which the database keeps which steps it has taken.
    pub record: &'static str,
    /// Each a number, a name and SQL.
    pub steps: &'static [(i64, &'static str, &'static str)],
}

/// A step, and where a database stands with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Where the database stands with it.
    pub state: StepState,
}

/// Where a database stands with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// It was taken.
    Taken,
    /// It was not.
    Missing,
    /// It was taken, by a release that knew it.
    Unknown,
}

impl Migrations {
    /// Takes the steps that were not taken. Of two processes at the same time one waits for the
    /// other, and finds nothing to do.
    ///
    /// # Errors
    /// The database has taken steps that are unknown here, or others than here; or it failed.
    pub async fn run(self, pool: &Pool) -> Result<(), MigrateError> {
        match pool {
            // Unlike a server's, a file's lock is taken by whoever begins a transaction.
            Pool::Sqlite(pool) => {
                open_file(pool).await?;
                let mut steps = pool.begin_with(Engine::Sqlite.begin()).await?;
                self.migrator().run_direct(None, &mut *steps, false).await?;
                Ok(steps.commit().await?)
            }
            Pool::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                self.migrator().run_direct(None, &mut *connection, false).await
            }
        }
    }

    /// Every step, those that the database took and this program does not know at the end.
    ///
    /// # Errors
    /// The database fails.
    pub async fn status(self, pool: &Pool) -> Result<Vec<Step>, Error> {
        let taken = self.taken(pool).await?;
        let known = |version| self.steps.iter().any(|&(known, ..)| known == version);
        let step = |&(version, name, _): &(i64, &str, &str)| {
            let is_taken = taken.iter().any(|(taken, _)| *taken == version);
            let state = if is_taken { StepState::Taken } else { StepState::Missing };
            Step { version, name: name.to_owned(), state }
        };
        let mut steps: Vec<_> = self.steps.iter().map(step).collect();
        let unknown = taken.iter().filter(|(version, _)| !known(*version));
        steps.extend(unknown.map(|(version, name)| Step {
            version: *version,
            name: name.clone(),
            state: StepState::Unknown,
        }));
        Ok(steps)
    }

    fn migrator(self) -> Migrator {
        let steps = self.steps.iter().map(|&(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        let mut migrator = Migrator::with_migrations(steps.collect());
        migrator.dangerous_set_table_name(self.record);
        migrator
    }

    /// The steps that a database has taken.
    async fn taken(self, pool: &Pool) -> Result<Vec<(i64, String)>, Error> {
        let Self { record, .. } = self;
        let has_any = query(pool.engine().has_table()).bind(record);
        let Some(has_any) = pool.fetch_optional(has_any).await? else { return Ok(Vec::new()) };
        if !has_any.bool(0)? {
            return Ok(Vec::new());
        }
        let steps =
            format!("SELECT version, description FROM {record} WHERE success ORDER BY version");
        let steps = pool.fetch_all(query(AssertSqlSafe(steps))).await?;
        steps.iter().map(|row| Ok((row.i64(0)?, row.str(1)?.to_owned()))).collect()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::{Limits, testing};

    const FIRST: Migrations =
        Migrations { record: "first_steps", steps: &[(1, "a", "CREATE TABLE a (b BIGINT)")] };
    const SECOND: Migrations =
        Migrations { record: "second_steps", steps: &[(1, "c", "CREATE TABLE c (d BIGINT)")] };

    #[tokio::test]
    async fn a_database_can_have_several_sets_of_tables() {
        let folder = tempfile::tempdir().unwrap();
        let address = testing::prepare(folder.path(), "a.db").await.unwrap();
        let pool = Pool::writer(&address, &Limits::default()).await.unwrap();

        FIRST.run(&pool).await.unwrap();
        assert_eq!(SECOND.status(&pool).await.unwrap()[0].state, StepState::Missing);
        SECOND.run(&pool).await.unwrap();
        FIRST.run(&pool).await.unwrap();

        for set in [FIRST, SECOND] {
            assert_eq!(set.status(&pool).await.unwrap()[0].state, StepState::Taken);
        }
    }
}
