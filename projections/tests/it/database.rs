//! Databases that cannot be used, and what is said about them.

use daybook_projections::{Database, DatabaseError};

use crate::support::World;

async fn refused(address: &str) -> DatabaseError {
    Database::open(address).await.unwrap_err()
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
    world
        .execute(
            "read.db",
            "INSERT INTO _sqlx_migrations SELECT 9999, description, installed_on, success, \
             checksum, execution_time FROM _sqlx_migrations",
        )
        .await;

    let error = refused(world.path("read.db").to_str().unwrap()).await;

    assert!(matches!(error, DatabaseError::Release { .. }), "{error:?}");
}
