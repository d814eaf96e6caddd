//! Read models looked after by an operator, while a server runs and while none does.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{MadeUp, Server, last_json, run, run_json, told};

fn given_orders() -> MadeUp {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    made
}

/// Runs a statement on the read models as somebody does who goes behind the program's back.
#[track_caller]
fn behind_its_back(folder: &Path, sql: &str) {
    use daybook_database::{AssertSqlSafe, Limits, Pool, query};
    let file = folder.join("data/read-models.sqlite");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = Pool::writer(&(&*file.to_string_lossy()).into(), &Limits::default()).await;
        let mut tx = pool.as_ref().unwrap().begin().await.unwrap();
        tx.execute(query(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        tx.commit().await.unwrap();
        pool.unwrap().close().await;
    });
}

/// Parks what the stock of a SKU has to say, as if it had failed when it was projected.
fn given_a_parked_event(made: &MadeUp) -> u64 {
    let tail = ["events", "tail", "--all", "--kind", "StockReserved", "-o", "jsonl"];
    let output = run(made.path(), &tail);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut events = text.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let last = events.next().unwrap();
    let position = last["position"].as_u64().unwrap();
    let (stream, revision, id) = (&last["stream"], &last["revision"], &last["id"]);
    let (stream, id) = (stream.as_str().unwrap(), id.as_str().unwrap());
    let sql = format!(
        "INSERT INTO parked_events (projection, generation, position, stream, revision, event_id, \
         kind, error, attempts, parked_at) VALUES \
         ('stock', 1, {position}, '{stream}', {revision}, '{id}', 'StockReserved', 'it rained', 1, 0)"
    );
    behind_its_back(made.path(), &sql);
    position
}

#[test]
fn what_could_not_be_processed_is_listed_shown_and_replayed_or_given_up() {
    let made = given_orders();
    let id = format!("projections/stock/{}", given_a_parked_event(&made));

    let list = run_json(made.path(), &["dlq", "list", "-o", "json"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!((&list[0]["id"], &list[0]["error"]), (&id.clone().into(), &"it rained".into()));
    let key = list[0]["key"].as_str().unwrap();
    let elsewhere = ["dlq", "list", "--source", "processes", "--key", key, "-o", "json"];
    assert_eq!(run_json(made.path(), &elsewhere), Value::Array(Vec::new()));

    let shown = run_json(made.path(), &["dlq", "show", &id, "-o", "json"]);
    assert_eq!(shown["written"], shown["read"]);
    assert!(shown["metadata"]["actor"].is_string(), "{shown}");
    let text = run(made.path(), &["dlq", "show", &id]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("it rained"));

    let dry = run_json(made.path(), &["dlq", "replay", "--all", "--dry-run", "-o", "jsonl"]);
    assert_eq!(dry, serde_json::json!({ "id": id }));
    let server = Server::start(made.path(), &["serve"]);
    let replayed = run_json(made.path(), &["dlq", "replay", &id, "-o", "jsonl"]);
    assert_eq!(replayed, serde_json::json!({ "id": id }));
    assert!(server.stop());
    assert_eq!(run_json(made.path(), &["dlq", "list", "-o", "json"]), Value::Array(Vec::new()));

    let id = format!("projections/stock/{}", given_a_parked_event(&made));
    let discard = ["dlq", "discard", &id, "--reason", "it rained", "-o", "jsonl"];
    assert_eq!(run_json(made.path(), &discard), serde_json::json!({ "id": id }));
    let again = run(made.path(), &discard);
    assert_eq!(again.status.code(), Some(1));
    assert!(told(&again).contains("nothing is parked under"), "{}", told(&again));
}

#[test]
fn what_fails_again_is_told_by_the_exit_code() {
    let made = given_orders();
    given_a_parked_event(&made);
    behind_its_back(made.path(), "UPDATE stock_v1 SET reserved = 9223372036854775807");

    let replayed = run(made.path(), &["dlq", "replay", "--all", "-o", "json"]);

    assert_eq!(replayed.status.code(), Some(3), "{}", told(&replayed));
    let error = last_json(&replayed)[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("the reserved stock is out of range"), "{error}");
}

#[test]
fn letters_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    for (args, code, words) in [
        (&["dlq", "show", "stock"][..], 2, "projections/stock/17"),
        (&["dlq", "replay"], 2, "<ID>"),
        (&["dlq", "list", "--source", "post"], 1, "there are projections, processes"),
        (&["dlq", "show", "projections/stock/17"], 1, "nothing is parked under"),
        (&["dlq", "discard", "post/office/1", "--reason", "x"], 1, "nothing is parked under"),
    ] {
        let output = run(folder.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(words), "{args:?}: {}", told(&output));
    }
    assert!(!folder.path().join("data").exists());
}
