use daybook_event_store::Store;
use daybook_event_store_server::{ServerOptions, Users, UsersError};
use kurrentdb::operations::{self, OperationalOptions};
use kurrentdb::{
    AppendToStreamOptions, Client, DeleteStreamOptions, Error, ReadAllOptions, ReadStreamOptions,
    TombstoneStreamOptions,
};

use crate::given::{Given, client, events, serve};
use crate::http::answer;

/// A server that asks who calls, with the users `admin`, `ops` and `ann`.
async fn given_users() -> Given {
    let store = Store::memory();
    Users::new(store.clone()).create_admin("secret").await.unwrap();
    let options = ServerOptions { authentication: true, ..ServerOptions::default() };
    let given = serve(store, options).await;
    let admin = operations::Client::from(by(&given, "admin:secret"));
    let options = OperationalOptions::default();
    admin.create_user("ann", "one", "Ann", vec![], &options).await.unwrap();
    admin.create_user("olaf", "two", "Olaf", vec!["$ops".into()], &options).await.unwrap();
    given
}

/// A client with this name and password.
fn by(given: &Given, who: &str) -> Client {
    client(&format!("kurrentdb://{who}@{}?tls=false", given.address))
}

async fn append(client: &Client, stream: &str) -> Result<(), Error> {
    let options = AppendToStreamOptions::default();
    client.append_to_stream(stream, &options, events(1)).await.map(drop)
}

async fn read(client: &Client, stream: &str) -> Result<(), Error> {
    let options = ReadStreamOptions::default();
    client.read_stream(stream, &options).await?.next().await.map(drop)
}

async fn read_all(client: &Client) -> Result<(), Error> {
    client.read_all(&ReadAllOptions::default()).await?.next().await.map(drop)
}

#[track_caller]
fn then_denied<T>(answer: Result<T, Error>) {
    let answer = answer.map(drop);
    assert!(matches!(answer, Err(Error::AccessDenied)), "{answer:?}");
}

#[tokio::test]
async fn users_have_streams_and_admins_have_the_rest() {
    let given = given_users().await;
    let (ann, admin) = (by(&given, "ann:one"), by(&given, "admin:secret"));

    append(&ann, "order-1").await.unwrap();
    read(&ann, "order-1").await.unwrap();

    then_denied(read_all(&ann).await);
    for stream in ["$ce-order", "$user-admin", "$settings"] {
        then_denied(read(&ann, stream).await);
    }
    then_denied(append(&ann, "$settings").await);
    then_denied(ann.delete_stream("$user-admin", &DeleteStreamOptions::default()).await);
    then_denied(ann.tombstone_stream("$user-admin", &TombstoneStreamOptions::default()).await);
    read_all(&admin).await.unwrap();
    read(&admin, "$ce-order").await.unwrap();
    append(&admin, "$settings").await.unwrap();
}

#[tokio::test]
async fn who_is_not_known_is_refused() {
    let given = given_users().await;

    then_denied(append(&given.client, "order-1").await);
    for who in ["ann:two", "nobody:one", "ann:", ":one"] {
        then_denied(append(&by(&given, who), "order-1").await);
    }
    for open in ["/info", "/health/live"] {
        let request = format!("GET {open} HTTP/1.0\r\n\r\n");
        assert!(answer(given.address, request.as_bytes()).await.contains(" 20"), "{open}");
    }
}

#[tokio::test]
async fn operators_look_after_the_server() {
    let given = given_users().await;
    let options = OperationalOptions::default();
    let ops = operations::Client::from(by(&given, "olaf:two"));
    let ann = operations::Client::from(by(&given, "ann:one"));

    ops.resign_node(&options).await.unwrap();

    then_denied(ann.resign_node(&options).await);
    then_denied(ops.delete_user("ann", &options).await);
    then_denied(ann.reset_user_password("admin", "mine", &options).await);
    ann.change_user_password("ann", "one", "three", &options).await.unwrap();
}

#[tokio::test]
async fn a_new_password_counts_at_once() {
    let given = given_users().await;
    let admin = operations::Client::from(by(&given, "admin:secret"));
    let options = OperationalOptions::default();
    let ann = by(&given, "ann:one");
    append(&ann, "order-1").await.unwrap();

    admin.reset_user_password("ann", "two", &options).await.unwrap();

    then_denied(append(&ann, "order-1").await);
    append(&by(&given, "ann:two"), "order-1").await.unwrap();
    admin.disable_user("ann", &options).await.unwrap();
    then_denied(append(&by(&given, "ann:two"), "order-1").await);
}

#[tokio::test]
async fn refusals_are_named_as_clients_know_them() {
    let given = given_users().await;
    let read = |credentials: &str| {
        format!(
            "POST /event_store.client.streams.Streams/Read HTTP/1.1\r\nHost: here\r\n\
             Content-Type: application/grpc\r\nConnection: close\r\n{credentials}\r\n"
        )
    };

    let nobody = answer(given.address, read("").as_bytes()).await;
    let wrong = read("Authorization: Basic YW5uOndyb25n\r\n");
    let wrong = answer(given.address, wrong.as_bytes()).await;

    assert!(nobody.contains("grpc-status: 7") && nobody.contains("exception: access-denied"));
    assert!(wrong.contains("grpc-status: 16") && wrong.contains("exception: not-authenticated"));
    let stats = answer(given.address, b"GET /stats HTTP/1.0\r\n\r\n").await;
    assert!(stats.contains(" 401 ") && stats.contains("www-authenticate: Basic"), "{stats}");
}

#[tokio::test]
async fn there_is_one_first_admin() {
    let users = Users::new(Store::memory());
    assert!(!users.have_admin().await.unwrap());

    users.create_admin("secret").await.unwrap();

    assert!(users.have_admin().await.unwrap());
    let again = users.create_admin("other").await;
    assert_eq!(again, Err(UsersError::Exists("admin".into())));
    assert!(matches!(users.create_admin("").await, Err(UsersError::Invalid(_))));
}
