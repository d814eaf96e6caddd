//! Databases that cannot be used, and what is said about them.

use daybook_database::{Migrations, Pool};
use daybook_projections::{Address, Database, DatabaseError, Limits, StepState};

use crate::support::World;

async fn refused(address: impl Into<Address>) -> DatabaseError {
    Database::open(&address.into(), &Limits::default()).await.unwrap_err()
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_refused() {
    let error = refused("sqlite://a.db?mode=sideways").await;

    assert!(matches!(error, DatabaseError::Address { .. }), "{error:?}");
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named() {
    let world = World::new();
    let path = world.path("nowhere/read.db");

    let error = refused(path.to_str().unwrap()).await;

    assert!(matches!(error, DatabaseError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("nowhere/read.db"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_left_alone() {
    let world = World::new();
    let path = world.path("read.db");
    let text = "not a database ".repeat(100);
    std::fs::write(&path, &text).unwrap();

    let error = refused(path.to_str().unwrap()).await;

    assert!(matches!(error, DatabaseError::Unusable { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

#[tokio::test]
async fn the_database_of_a_later_release_is_refused() {
    let world = World::new();
    world.database("read.db").await.close().await;
    world.execute("read.db", LATER).await;

    let error = refused(world.address("read.db").await).await;

    assert!(matches!(error, DatabaseError::Release { .. }), "{error:?}");
}

#[tokio::test]
async fn processes_that_open_a_new_database_at_the_same_time_make_its_tables_once() {
    let world = World::new();
    let address = world.address("read.db").await;
    let limits = Limits::default();

    let open = || Database::open(&address, &limits);
    let opened = tokio::join!(open(), open(), open());

    for database in [opened.0, opened.1, opened.2] {
        let steps = database.unwrap().migrations().await.unwrap();
        assert!(
            !steps.is_empty() && steps.iter().all(|step| step.state == StepState::Taken),
            "{steps:?}"
        );
    }
}

#[tokio::test]
async fn a_database_tells_which_steps_it_lacks() {
    let world = World::new();
    let limits = Limits::default();
    let database = Database::connect(&world.address("read.db").await, &limits).unwrap();

    let states = async || {
        let steps = database.migrations().await.unwrap();
        steps.into_iter().map(|step| (step.version, step.state)).collect::<Vec<_>>()
    };
    let all = |state| [1, 2, 3].map(|version| (version, state)).to_vec();
    assert_eq!(states().await, all(StepState::Missing));
    database.migrate().await.unwrap();
    assert_eq!(states().await, all(StepState::Taken));
    world.execute("read.db", LATER).await;
    let and_later = [all(StepState::Taken), vec![(9999, StepState::Unknown)]].concat();
    assert_eq!(states().await, and_later);
}

#[tokio::test]
async fn the_database_of_the_first_release_is_brought_up_to_date() {
    let world = World::new();
    let address = world.address("read.db").await;
    let pool = Pool::writer(&address, &Limits::default()).await.unwrap();
    let first = [(1, "runner", include_str!("../../migrations/0001_runner.sql"))].as_slice();
    Migrations { record: "_sqlx_migrations", steps: first }.run(&pool).await.unwrap();
    pool.close().await;
    let row = "INSERT INTO projections (name, version, declaration, live, position) \
               VALUES ('shelves', 3, '', TRUE, 17)";
    world.execute("read.db", row).await;

    world.project("read.db").await;

    let columns = "generation, version, live, position";
    let kept = world.columns("read.db", "projections WHERE name = 'shelves'", columns).await;
    assert_eq!(kept, ["3 3 1 17"]);
}

/// What a later release leaves behind.
const LATER: &str = "INSERT INTO _sqlx_migrations SELECT 9999, description, installed_on, \
                     success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
