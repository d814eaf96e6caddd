use kurrentdb::Error;
use kurrentdb::operations::{Client, OperationalOptions, UserDetails};

use crate::given::{Given, server};

fn options() -> OperationalOptions {
    OperationalOptions::default()
}

/// A server with the user `ann`.
async fn given_ann() -> (Given, Client) {
    let given = server().await;
    let operations = Client::from(given.client.clone());
    operations.create_user("ann", "one", "Ann", vec!["shop".into()], &options()).await.unwrap();
    (given, operations)
}

async fn details(operations: &Client, login: &str) -> Result<Vec<UserDetails>, Error> {
    let mut details = operations.user_details(login, &options()).await?;
    let mut all = Vec::new();
    while let Some(user) = details.next().await? {
        all.push(user);
    }
    Ok(all)
}

#[tokio::test]
async fn a_user_is_kept_as_it_was_made() {
    let (_given, operations) = given_ann().await;

    let found = details(&operations, "ann").await.unwrap();

    assert_eq!(found.len(), 1);
    assert_eq!(found[0].login, "ann");
    assert_eq!(found[0].full_name, "Ann");
    assert_eq!(found[0].groups, ["shop"]);
    assert!(!found[0].disabled);
}

#[tokio::test]
async fn a_user_is_changed_disabled_and_enabled() {
    let (_given, operations) = given_ann().await;

    operations.update_user("ann", "one", "Ann B.", vec![], &options()).await.unwrap();
    operations.disable_user("ann", &options()).await.unwrap();

    let found = details(&operations, "ann").await.unwrap();
    assert_eq!((&*found[0].full_name, found[0].disabled), ("Ann B.", true));
    operations.enable_user("ann", &options()).await.unwrap();
    assert!(!details(&operations, "ann").await.unwrap()[0].disabled);
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let (_given, operations) = given_ann().await;

    let wrong = operations.change_user_password("ann", "wrong", "two", &options()).await;
    assert!(matches!(wrong, Err(Error::AccessDenied)), "{wrong:?}");
    operations.change_user_password("ann", "one", "two", &options()).await.unwrap();
    let old = operations.change_user_password("ann", "one", "three", &options()).await;
    assert!(matches!(old, Err(Error::AccessDenied)), "{old:?}");
    operations.reset_user_password("ann", "four", &options()).await.unwrap();
    operations.change_user_password("ann", "four", "five", &options()).await.unwrap();
}

#[tokio::test]
async fn all_users_are_listed_once() {
    let (_given, operations) = given_ann().await;
    operations.create_user("bob", "one", "Bob", vec![], &options()).await.unwrap();
    operations.delete_user("ann", &options()).await.unwrap();
    operations.create_user("ann", "two", "Another", vec![], &options()).await.unwrap();
    operations.create_user("cid", "one", "Cid", vec![], &options()).await.unwrap();
    operations.delete_user("cid", &options()).await.unwrap();

    let all = details(&operations, "").await.unwrap();

    let names: Vec<_> = all.iter().map(|user| &*user.full_name).collect();
    assert_eq!(names, ["Another", "Bob"]);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let (_given, operations) = given_ann().await;

    let twice = operations.create_user("ann", "one", "Ann", vec![], &options()).await;
    assert!(matches!(twice, Err(Error::Grpc { .. })), "{twice:?}");
    for (login, password) in [("", "one"), ("a:b", "one"), ("bob", ""), ("bob", &"x".repeat(2_000))]
    {
        let refused = operations.create_user(login, password, "", vec![], &options()).await;
        assert!(matches!(refused, Err(Error::Grpc { .. })), "{login:?}: {refused:?}");
    }
    for refused in [
        operations.update_user("bob", "one", "Bob", vec![], &options()).await,
        operations.disable_user("bob", &options()).await,
        operations.enable_user("bob", &options()).await,
        operations.delete_user("bob", &options()).await,
        operations.change_user_password("bob", "one", "two", &options()).await,
        operations.reset_user_password("bob", "two", &options()).await,
        details(&operations, "bob").await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::ResourceNotFound)), "{refused:?}");
    }
}
