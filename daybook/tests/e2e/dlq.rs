//! What could not be processed, looked after by an operator.

use std::path::Path;

use daybook_event_store::{EmbeddedOptions, EventStore, Expected, NewEvent, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{Server, run, run_json, told};

/// Appends a price to a product that nobody can read, and projects it. The answer is its position.
fn given_a_price_that_cannot_be_read(folder: &Path, sku: &str) -> u64 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let position = runtime.block_on(async {
        let store = Store::embedded(&folder.join("data/events"), &EmbeddedOptions::default());
        let broken = NewEvent {
            id: Uuid::now_v7(),
            kind: "ProductRepriced".into(),
            data: "{".into(),
            metadata: "{}".into(),
            is_json: true,
        };
        let stream = format!("product-{sku}").parse().unwrap();
        store.unwrap().append(&stream, Expected::Any, vec![broken]).await.unwrap().position.0
    });
    assert!(Server::start(folder, &["serve"]).stop());
    position
}

fn listed(folder: &Path, source: &str) -> Value {
    run_json(folder, &["dlq", "list", "--source", source, "-o", "json"])
}

#[test]
fn what_the_search_index_lacks_is_listed_shown_and_replayed_or_given_up() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    assert!(Server::start(folder, &["serve", "--demo"]).stop());
    let position = given_a_price_that_cannot_be_read(folder, "PEN-BRASS");
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
    let discarded = run_json(folder, &["dlq", "list", "--discarded", "-o", "jsonl"]);
    assert_eq!((&discarded["id"], &discarded["reason"]), (&json!(id), &json!("a typing error")));
    assert_eq!((&discarded["by"], &discarded["error"]), (&json!("operator:cli"), &list[0]["error"]));
    // The table of products lacks it, too, and was told nothing.
    assert_eq!(listed(folder, "projections")[0]["position"], position);
    assert!(server.stop());
}
