//! What could not be processed, looked after by an operator.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use daybook_database::{AssertSqlSafe, Executor, Limits, Pool, query};
use daybook_event_store::{EmbeddedOptions, EventStore, Expected, NewEvent, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::apart::{each, given_no_database};
use crate::cli::then_it_fails;
use crate::support::{Server, last_json, run, run_json, told};

/// Appends an event that nobody can read to a stream. The answer is its position.
fn given_what_cannot_be_read(folder: &Path, stream: &str, kind: &str) -> u64 {
    given(folder, stream, NewEvent { data: "{".into(), ..event(kind, "{}") })
}

fn event(kind: &str, data: &str) -> NewEvent {
    let metadata = json!({
        "schemaVersion": 1, "actor": "test:dlq",
        "$correlationId": Uuid::nil(), "$causationId": Uuid::nil(),
    });
    NewEvent {
        id: Uuid::now_v7(),
        kind: kind.into(),
        data: data.to_owned().into(),
        metadata: metadata.to_string().into(),
        is_json: true,
    }
}

fn given(folder: &Path, stream: &str, event: NewEvent) -> u64 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::embedded(folder.join("data/events"), &EmbeddedOptions::default());
        let (store, stream) = (store.unwrap(), stream.parse().unwrap());
        store.append(&stream, Expected::Any, vec![event]).await.unwrap().position.0
    })
}

fn listed(folder: &Path, source: &str) -> Value {
    run_json(folder, &["dlq", "list", "--source", source, "-o", "json"])
}

#[test]
fn what_the_search_index_lacks_is_listed_shown_and_replayed_or_given_up() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    assert!(Server::start(folder, &["serve", "--demo"]).stop());
    let position = given_what_cannot_be_read(folder, "product-PEN-BRASS", "ProductRepriced");
    assert!(Server::start(folder, &["serve"]).stop());
    let id = format!("search/catalog/{position}");

    let list = listed(folder, "search");
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &json!(id)), "{list}");
    assert_eq!((&list[0]["key"], &list[0]["attempts"]), (&json!("product-PEN-BRASS"), &json!(1)));
    let shown = run_json(folder, &["dlq", "show", &id, "-o", "json"]);
    assert_eq!((&shown["written"], &shown["kind"]), (&json!("{"), &json!("ProductRepriced")));
    assert_eq!(shown["unreadable"], shown["error"]);

    let server = Server::start(folder, &["serve"]);
    for args in [&["dlq", "replay", &id, "--dry-run"][..], &["dlq", "replay", &id]] {
        let replayed = run(folder, args);
        assert_eq!(replayed.status.code(), Some(3), "{args:?}: {}", told(&replayed));
        assert!(String::from_utf8_lossy(&replayed.stdout).contains("stays parked"));
    }
    let discard = ["dlq", "discard", &id, "--reason", "a typing error", "-o", "jsonl"];
    assert_eq!(run_json(folder, &discard), json!({ "id": id }));
    assert_eq!(listed(folder, "search"), json!([]));
    for args in [&["dlq", "list"][..], &["dlq", "replay", "--all"]] {
        let none = run(folder, &[args, &["--source", "search"]].concat());
        assert!(none.status.success() && none.stdout.is_empty(), "{args:?}: {}", told(&none));
        assert_eq!(told(&none).trim_end(), "no dead letters found", "{args:?}");
    }
    let discarded = run_json(folder, &["dlq", "list", "--discarded", "-o", "jsonl"]);
    assert_eq!((&discarded["id"], &discarded["reason"]), (&json!(id), &json!("a typing error")));
    assert_eq!(
        (&discarded["by"], &discarded["error"]),
        (&json!("operator:cli"), &list[0]["error"])
    );
    // The table of products lacks it, too, and was told nothing.
    assert_eq!(listed(folder, "projections")[0]["position"], position);
    assert!(server.stop());
}

#[test]
fn what_can_be_listed_is_while_a_source_is_away() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let position = given_what_cannot_be_read(folder, "product-PEN-BRASS", "ProductRepriced");
    assert!(Server::start(folder, &["serve"]).stop());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let search = format!("http://{nobody}");
    let with = |args: &[&str]| run(folder, &[args, &["--search", &search]].concat());

    let list = with(&["dlq", "list", "-o", "json"]);
    assert_eq!(list.status.code(), Some(3), "{}", told(&list));
    let id = format!("projections/products/{position}");
    let found = last_json(&list);
    assert_eq!((found.as_array().unwrap().len(), &found[0]["id"]), (1, &json!(id)), "{found}");
    assert!(told(&list).contains("cannot ask the source search: "), "{}", told(&list));

    let all = with(&["dlq", "replay", "--all", "--dry-run"]);
    assert_eq!((all.status.code(), all.stdout.len()), (Some(1), 0), "{}", told(&all));
    let one = with(&["dlq", "replay", &id, "--dry-run", "-o", "json"]);
    assert_eq!((one.status.code(), &last_json(&one)[0]["id"]), (Some(3), &json!(id)));
}

#[test]
fn what_can_be_listed_is_while_a_database_is_away() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("daybook.toml"), "database_of.stock = \"data/stock.sqlite\"\n")
        .unwrap();
    assert!(Server::start(folder, &["serve", "--demo"]).stop());
    let [price, first, second] = [
        ("product-PEN-BRASS", "ProductRepriced"),
        ("stock-PEN-BRASS", "StockReceived"),
        ("product-PEN-BRASS", "ProductRepriced"),
    ]
    .map(|(stream, kind)| given_what_cannot_be_read(folder, stream, kind));
    assert!(Server::start(folder, &["serve"]).stop());
    let [product, later] = [price, second].map(|at| format!("projections/products/{at}"));
    let shelf = format!("projections/stock/{first}");
    assert_eq!(each(&listed(folder, "projections"), "id"), [&*product, &later, &shelf]);
    let given_up = ["dlq", "discard", &shelf, "--reason", "a typing error"];
    given_no_database(&folder.join("data/stock.sqlite"));

    let away = "cannot ask the source projections: the database of the read models at \
                data/stock.sqlite cannot be used";
    for (output, given_up) in [("text", false), ("json", false), ("jsonl", true), ("json", true)] {
        let discarded = if given_up { &["--discarded"][..] } else { &[] };
        let list = run(folder, &[&["dlq", "list", "-o", output], discarded].concat());
        assert_eq!(list.status.code(), Some(3), "{}", told(&list));
        let told = told(&list);
        assert!(told.contains(away) && told.matches("error: ").count() == 1, "{told}");
        let found = String::from_utf8_lossy(&list.stdout);
        assert_eq!((found.contains(&product), found.contains(&shelf)), (!given_up, false));
    }
    assert_eq!(run_json(folder, &["dlq", "show", &product, "-o", "json"])["written"], "{");
    let replayed = run(folder, &["dlq", "replay", &later, "-o", "json"]);
    assert_eq!(replayed.status.code(), Some(3), "{}", told(&replayed));
    assert_eq!(last_json(&replayed)[0]["id"], *product);
    let gone = "data/stock.sqlite";
    then_it_fails(folder, &["dlq", "show", &shelf], 1, &[gone]);
    then_it_fails(folder, &["dlq", "replay", &product, &shelf], 1, &[gone]);
    then_it_fails(folder, &given_up, 1, &[gone]);
    then_it_fails(folder, &["dlq", "replay", "--all"], 1, &["nothing was done", gone]);
    let discard = run(folder, &["dlq", "discard", &later, "--reason", "a slip", "-o", "json"]);
    assert_eq!(discard.status.code(), Some(3), "{}", told(&discard));
    assert_eq!(each(&last_json(&discard), "id"), [&*later, &*product]);
    let list = ["dlq", "list", "--source", "projections", "-o", "json"];
    assert_eq!(each(&last_json(&run(folder, &list)), "id"), [&*product]);
}

/// A customer whose first event nobody can read, and who closes their account. Its stream.
pub(crate) fn given_a_customer_who_cannot_be_read(folder: &Path) -> String {
    let stream = format!("customer-{}", Uuid::now_v7());
    given_what_cannot_be_read(folder, &stream, "CustomerRegistered");
    let closed = json!({ "reason": "moved", "at": "2026-01-01T00:00:00.000000Z" }).to_string();
    given(folder, &stream, event("CustomerClosed", &closed));
    stream
}

/// Waits until a consumer, or the relay, has set two letters aside.
fn until_two_wait(folder: &Path) -> Value {
    let began = Instant::now();
    loop {
        let list = listed(folder, "consumers");
        if list.as_array().unwrap().len() == 2 {
            return list;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{list}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Two letters of one key: one that fails whatever is done, and one that only waits for it.
pub(crate) fn then_it_is_replayed_in_vain_and_given_up(
    folder: &Path,
    args: &[&str],
    owner: &str,
    key: &str,
) {
    let with = |command: &[&str]| {
        let command = [command, args].concat();
        run(folder, &command)
    };
    let list = until_two_wait(folder);
    let [failed, waits] = [0, 1].map(|at| list[at]["id"].as_str().unwrap().to_owned());
    assert!(failed.starts_with(&format!("consumers/{owner}/")), "{list}");
    assert_eq!((&list[0]["key"], &list[1]["key"]), (&json!(key), &json!(key)));
    assert_eq!((&list[0]["kind"], &list[1]["attempts"]), (&json!("CustomerRegistered"), &json!(0)));
    let shown = run_json(folder, &["dlq", "show", &failed, "-o", "json"]);
    assert_eq!(shown["written"], "{");
    assert!(shown["unreadable"].is_string() && shown["metadata"]["ce_id"].is_string(), "{shown}");

    for command in [
        &["dlq", "replay", "--all", "--source", "consumers", "--dry-run", "-o", "json"][..],
        &["dlq", "replay", &waits, "-o", "json"],
    ] {
        let replayed = with(command);
        assert_eq!(replayed.status.code(), Some(3), "{command:?}: {}", told(&replayed));
        let outcomes = last_json(&replayed);
        assert_eq!((outcomes.as_array().unwrap().len(), &outcomes[0]["id"]), (1, &json!(failed)));
    }
    let again = listed(folder, "consumers");
    assert_eq!(again.as_array().unwrap().len(), 2);
    assert!(again[0]["attempts"].as_u64() > list[0]["attempts"].as_u64(), "{again}");

    let discarded = with(&["dlq", "discard", &failed, "--reason", "no account", "-o", "json"]);
    assert!(discarded.status.success(), "{discarded:?}");
    assert_eq!(last_json(&discarded), json!([{ "id": failed }, { "id": waits }]));
    assert_eq!(listed(folder, "consumers"), json!([]));
    let kept = ["dlq", "list", "--discarded", "--source", "consumers", "-o", "jsonl"];
    let kept = run_json(folder, &kept);
    assert_eq!((&kept["id"], &kept["reason"]), (&json!(failed), &json!("no account")));
}

/// Whether notifications know that somebody closed their account.
pub(crate) fn is_closed(folder: &Path, stream: &str) -> bool {
    let id = stream.strip_prefix("customer-").unwrap();
    let closed = format!(
        "SELECT count(*) FROM notification_customers WHERE customer_id = '{id}' AND closed"
    );
    in_database(folder, &closed) == 1
}

/// The number that a statement on the consumers' database comes to.
fn in_database(folder: &Path, sql: &str) -> i64 {
    let file = folder.join("data/integration.sqlite");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = Pool::writer(&(&*file.to_string_lossy()).into(), &Limits::default()).await;
        let (pool, sql) = (pool.unwrap(), query(AssertSqlSafe(sql.to_owned())));
        let mut tx = pool.begin().await.unwrap();
        let number = tx.fetch_all(sql).await.unwrap().first().map_or(0, |row| row.i64(0).unwrap());
        tx.commit().await.unwrap();
        pool.close().await;
        number
    })
}

#[test]
fn what_a_consumer_cannot_read_holds_back_its_key_until_it_is_given_up() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let key = given_a_customer_who_cannot_be_read(folder);
    let server = Server::start(folder, &["serve"]);

    then_it_is_replayed_in_vain_and_given_up(folder, &[], "notifications", &key);

    assert!(is_closed(folder, &key));
    assert!(server.stop());
}

#[test]
fn notifications_that_failed_are_sent_again_or_given_up() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    assert!(Server::start(folder, &["serve", "--demo"]).stop());
    for (id, order) in [(1, "a"), (2, "b")] {
        in_database(folder, &failed_notification(&Uuid::from_u128(id), order));
    }
    let list = listed(folder, "consumers");
    let [sent, gone] = [1, 2].map(|n| format!("consumers/delivery/{}", Uuid::from_u128(n)));
    assert_eq!((&list[0]["id"], &list[1]["id"]), (&json!(sent), &json!(gone)));
    assert_eq!((&list[0]["error"], &list[0]["attempts"]), (&json!("no such host"), &json!(10)));
    let shown = run_json(folder, &["dlq", "show", &gone, "-o", "json"]);
    assert_eq!(shown["written"]["channel"], "email");

    let dry = run_json(folder, &["dlq", "replay", &sent, "--dry-run", "-o", "jsonl"]);
    assert_eq!((dry, listed(folder, "consumers")), (json!({ "id": sent }), list));
    assert_eq!(run_json(folder, &["dlq", "replay", &sent, "-o", "jsonl"])["id"], json!(sent));
    let discard = ["dlq", "discard", &gone, "--reason", "gone away", "-o", "jsonl"];
    assert_eq!(run_json(folder, &discard), json!({ "id": gone }));

    assert_eq!(listed(folder, "consumers"), json!([]));
    let kept = run_json(folder, &["dlq", "list", "--discarded", "-o", "jsonl"]);
    assert_eq!((&kept["id"], &kept["error"]), (&json!(gone), &json!("no such host")));
    let pending = ["notifications", "list", "--status", "pending", "-o", "jsonl"];
    assert_eq!(run_json(folder, &pending)["id"], json!(Uuid::from_u128(1)));
}

/// A notification that was tried in vain, as it stands in the database.
fn failed_notification(id: &Uuid, order: &str) -> String {
    format!(
        "INSERT INTO notifications (id, event_id, order_id, revision, kind, channel, facts, \
         status, error, attempts, due_at, created_at, updated_at) VALUES ('{id}', '{id}', \
         '{order}', 0, 'OrderPaid', 'email', '{{}}', 'failed', 'no such host', 10, 0, 1, 1) \
         RETURNING attempts"
    )
}
