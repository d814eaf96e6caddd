//! `daybook store`, and the tools that look at a store which a server is using.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{segment, then_it_fails};
use crate::support::{MadeUp, Server, run, run_json, told};

/// A folder with a store of some orders.
fn given_orders() -> MadeUp {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    made
}

/// All events of a data folder, a line each.
#[track_caller]
fn events(folder: &Path, data_dir: &str) -> String {
    let tail = ["events", "tail", "--all", "-o", "jsonl", "--data-dir", data_dir];
    let output = run(folder, &tail);
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn then_succeeds(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The books are right once the read models have caught up.
#[track_caller]
fn then_the_books_become_right(folder: &Path, data_dir: &str) {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let output = run(folder, &["verify", "--data-dir", data_dir]);
        if output.status.success() {
            return;
        }
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(Instant::now() < deadline, "{found}{}", told(&output));
    }
}

#[test]
fn tools_that_only_look_work_beside_a_server() {
    let made = given_orders();
    let before = events(made.path(), "data");
    let server = Server::start(made.path(), &["serve"]);

    // The server may write of itself.
    assert!(events(made.path(), "data").starts_with(&before));
    let last = run_json(made.path(), &["events", "tail", "-n", "1", "-o", "jsonl"]);
    assert!(last["position"].as_u64().unwrap() + 1 >= before.lines().count() as u64);
    let stock = run_json(made.path(), &["aggregate", "show", "stock-SKU 5", "-o", "json"]);
    assert!(stock["events"].as_array().unwrap().len() > 1);
    assert_eq!(then_succeeds(made.path(), &["dlq", "list"]), "");
    then_the_books_become_right(made.path(), "data");

    assert!(server.stop());
    then_the_books_become_right(made.path(), "data");
}

#[test]
fn tools_that_only_look_make_no_store() {
    let folder = TempDir::new().unwrap();

    then_it_fails(folder.path(), &["events", "tail"], 1, &["not an event store", "data/events"]);

    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_store_is_backed_up_beside_its_server_and_restored() {
    let made = given_orders();
    let before = events(made.path(), "data");
    let server = Server::start(made.path(), &["serve"]);

    let first = run_json(made.path(), &["store", "backup", "backup", "-o", "json"]);
    assert!(server.stop());
    let next = run_json(made.path(), &["store", "backup", "backup", "-o", "json"]);
    let again = run_json(made.path(), &["store", "backup", "backup", "-o", "json"]);

    assert!(first["events"].as_u64().unwrap() >= before.lines().count() as u64);
    assert_eq!(first["copiedBytes"], first["bytes"]);
    assert_eq!((&again["copiedBytes"], &again["events"]), (&0.into(), &next["events"]));
    let restored = then_succeeds(made.path(), &["store", "restore", "backup", "new/events"]);
    assert!(restored.contains("restored") && restored.contains("new/events"), "{restored}");
    assert_eq!(events(made.path(), "new"), events(made.path(), "data"));
    let server = Server::start(made.path(), &["serve", "--data-dir", "new"]);
    then_the_books_become_right(made.path(), "new");
    assert!(server.stop());
}

#[test]
fn a_backup_that_is_unfinished_is_refused_and_finished() {
    let made = given_orders();
    then_succeeds(made.path(), &["store", "backup", "backup"]);
    let manifest = made.path().join("backup/BACKUP");
    let mut backup: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    backup["complete"] = false.into();
    fs::write(&manifest, backup.to_string()).unwrap();

    let restore = ["store", "restore", "backup", "new"];
    then_it_fails(made.path(), &restore, 1, &["unfinished", "same folder"]);

    assert!(!made.path().join("new").exists());
    then_succeeds(made.path(), &["store", "backup", "backup"]);
    then_succeeds(made.path(), &restore);
}

#[test]
fn a_backup_does_not_go_where_something_else_is() {
    let made = given_orders();
    then_succeeds(made.path(), &["store", "backup", "backup"]);

    let own = ["store", "backup", "data/events"];
    then_it_fails(made.path(), &own, 1, &["data/events", "empty folder"]);
    let full = ["store", "restore", "backup", "data/events"];
    then_it_fails(made.path(), &full, 1, &["data/events", "not empty"]);
    let none = ["store", "restore", "data/events", "new"];
    then_it_fails(made.path(), &none, 1, &["not a backup"]);
    let none = ["store", "backup", "elsewhere", "--store", "nowhere"];
    then_it_fails(made.path(), &none, 1, &["nowhere", "no such folder"]);
}

/// Changes a byte within the data of the event at a position.
fn given_damage(folder: &Path, position: u64) {
    let events = events(folder, "data");
    let line = events.lines().nth(usize::try_from(position).unwrap()).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    let id: uuid::Uuid = event["id"].as_str().unwrap().parse().unwrap();
    let segment = segment(&folder.join("data/events"));
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(16).position(|bytes| bytes == id.as_bytes()).unwrap();
    bytes[at + 60] ^= 1;
    fs::write(&segment, bytes).unwrap();
}

#[test]
fn a_sound_store_is_told_so_beside_its_server() {
    let made = given_orders();
    let before = events(made.path(), "data").lines().count() as u64;
    let server = Server::start(made.path(), &["serve"]);

    let report = run_json(made.path(), &["store", "check", "-o", "json"]);
    let text = then_succeeds(made.path(), &["store", "check"]);

    assert!(report["ok"] == true && report["events"].as_u64().unwrap() >= before, "{report}");
    assert!(text.contains("the store is sound"), "{text}");
    assert!(server.stop());
    then_succeeds(made.path(), &["store", "backup", "backup"]);
    then_succeeds(made.path(), &["store", "check", "--store", "backup"]);
}

/// What a line says of an event; that it has no metadata is said in one way here and in another
/// there.
fn contents(line: &str) -> Value {
    let mut event: Value = serde_json::from_str(line).unwrap();
    event.as_object_mut().unwrap().retain(|_, value| !value.is_null() && value != "");
    // Only what is salvaged says it.
    if let Some(is_json) = event.as_object_mut().unwrap().remove("isJson") {
        assert_eq!(is_json, true, "all of them are");
    }
    event
}

#[test]
fn damage_is_told_with_its_place_and_the_rest_is_salvaged() {
    let made = given_orders();
    let before = events(made.path(), "data");
    then_succeeds(made.path(), &["store", "backup", "backup"]);
    given_damage(made.path(), 20);

    let checked = run(made.path(), &["store", "check", "-o", "jsonl"]);
    let salvage = ["store", "salvage", "--to", "salvaged.jsonl", "-o", "json"];
    let salvaged = run_json(made.path(), &salvage);

    assert_eq!(checked.status.code(), Some(1), "{}", told(&checked));
    let lines = String::from_utf8(checked.stdout).unwrap();
    let finding: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(finding["file"], "00000000000000000000.log");
    assert_eq!(finding["positions"]["first"], 20);
    let summary: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["ok"], summary["found"].as_u64() > Some(0)), (&false.into(), true));
    let events = before.lines().count();
    assert_eq!((&salvaged["events"], &salvaged["lostEvents"]), (&(events - 1).into(), &1.into()));
    let file = fs::read_to_string(made.path().join("salvaged.jsonl")).unwrap();
    let (lost, left): (Vec<_>, Vec<_>) =
        file.lines().partition(|line| line.starts_with("{\"lost\""));
    assert_eq!(lost.len(), 1);
    let intact = before.lines().enumerate().filter(|(n, _)| *n != 20).map(|(_, line)| line);
    for (left, intact) in left.iter().zip(intact) {
        assert_eq!(contents(left), contents(intact));
    }
    then_it_fails(made.path(), &salvage, 1, &["salvaged.jsonl"]);
    let refused = ["store", "backup", "backup"];
    then_it_fails(made.path(), &refused, 1, &["damaged", "00000000000000000000.log"]);
}

#[test]
fn what_was_salvaged_is_loaded_into_a_restored_backup() {
    let made = given_orders();
    let before = events(made.path(), "data");
    then_succeeds(made.path(), &["store", "backup", "backup"]);
    given_damage(made.path(), 20);
    then_succeeds(made.path(), &["store", "salvage", "--to", "salvaged.jsonl"]);
    then_succeeds(made.path(), &["store", "restore", "backup", "restored/events"]);
    let load = |store: &str| {
        let load = ["store", "load", "salvaged.jsonl", "--store", store, "--gaps", "fill"];
        run_json(made.path(), &[&load[..], &["-o", "json"]].concat())
    };

    let restored = load("restored/events");
    let fresh = load("fresh/events");
    let again = load("fresh/events");

    let count = before.lines().count() as u64;
    assert_eq!(
        (&restored["events"], &restored["known"]),
        (&(count - 1).into(), &(count - 1).into())
    );
    assert_eq!((&restored["gaps"], &restored["lost"]), (&0.into(), &1.into()));
    assert_eq!(events(made.path(), "restored"), before);
    assert_eq!((&fresh["events"], &fresh["known"]), (&(count - 1).into(), &0.into()));
    assert_eq!((&again["events"], &again["known"]), (&(count - 1).into(), &(count - 1).into()));
    let place = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["stream"].clone(), event["revision"].clone(), event["id"].clone())
    };
    let there = events(made.path(), "fresh");
    let there: Vec<_> = there.lines().filter(|l| !l.contains("\"$gap\"")).map(place).collect();
    let intact = before.lines().enumerate().filter(|(n, _)| *n != 20).map(|(_, line)| place(line));
    assert_eq!(there, intact.collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_not_as_it_was_salvaged_is_refused_with_its_line() {
    let made = given_orders();
    then_succeeds(made.path(), &["store", "salvage", "--to", "salvaged.jsonl"]);
    let salvaged = fs::read_to_string(made.path().join("salvaged.jsonl")).unwrap();
    let lines: Vec<_> = salvaged.lines().collect();
    let oversized = "x".repeat(25 << 20);
    let wrong = [
        (vec![lines[0], "rubbish"], "malformed"),
        (vec![lines[0], lines[0]], "double"),
        (vec![lines[1], lines[0]], "out of order"),
        (vec![lines[0], &oversized], "24 MiB"),
        (vec![lines[0], &lines[1][..40]], "malformed"),
    ];
    for (lines, word) in wrong {
        fs::write(made.path().join("wrong.jsonl"), lines.join("\n")).unwrap();
        let load = ["store", "load", "wrong.jsonl", "--store", "fresh"];
        then_it_fails(made.path(), &load, 1, &["wrong.jsonl", "line 2", word]);
    }
    let none = ["store", "load", "none.jsonl", "--store", "unmade"];
    then_it_fails(made.path(), &none, 1, &["none.jsonl"]);
    assert!(!made.path().join("unmade").exists());
}

#[test]
fn a_stream_is_bounded_deleted_and_ended() {
    let made = given_orders();
    let stream = |args: &[&str]| {
        let args = [&["store", "stream"], args, &["stock-SKU 5", "-o", "json"]].concat();
        run_json(made.path(), &args)
    };
    let last = stream(&["show"])["lastRevision"].clone();

    let bounded = stream(&["set", "--max-count", "1", "--max-age", "7d", "--custom", "a=[1]"]);
    assert_eq!((&bounded["firstRevision"], &bounded["state"]), (&last, &"open".into()));
    let said = serde_json::json!({ "$maxCount": 1, "$maxAge": 604_800, "a": [1] });
    assert_eq!(bounded["metadata"], said);
    let free = stream(&["set", "--max-count", "none", "--max-age", "none", "--remove", "a"]);
    assert_eq!((&free["firstRevision"], &free["metadata"]), (&0.into(), &serde_json::json!({})));
    let deleted = stream(&["delete"]);
    assert_eq!((&deleted["state"], &deleted["lastRevision"]), (&"deleted".into(), &Value::Null));
    let back = stream(&["set", "--truncate-before", "none"]);
    assert_eq!((&back["state"], &back["lastRevision"]), (&"open".into(), &last));
    let refused = ["store", "stream", "tombstone", "stock-SKU 5"];
    then_it_fails(made.path(), &refused, 1, &["stock-SKU 5", "undone", "--yes"]);
    assert_eq!(stream(&["show"])["state"], "open");
    assert_eq!(stream(&["tombstone", "--yes"])["state"], "ended");
    assert_eq!(stream(&["show"])["state"], "ended");
    let set = ["store", "stream", "set", "stock-SKU 5", "--max-count", "3"];
    then_it_fails(made.path(), &set, 1, &["deleted for good"]);
}

#[test]
fn what_cannot_be_said_of_a_stream_is_refused() {
    let made = given_orders();
    for (args, code, words) in [
        (&["set", "order-1"][..], 2, &["--max-age"][..]),
        (&["set", "order-1", "--max-age", "soon"], 2, &["7d"]),
        (&["set", "order-1", "--max-count", "0"], 2, &["--max-count"]),
        (&["set", "order-1", "--custom", "a=b"], 2, &["quotes"]),
        (&["set", "$$order-1", "--max-count", "3"], 1, &["metadata"]),
        (&["delete", "order-none"], 1, &["no stream order-none"]),
        (&["tombstone", "order-none", "--yes"], 1, &["no stream order-none"]),
        (&["show", "order-1", "--store", "nowhere"], 1, &["nowhere"]),
        (&["delete", "order-1", "--store", "nowhere"], 1, &["nowhere"]),
    ] {
        then_it_fails(made.path(), &[&["store", "stream"], args].concat(), code, words);
    }
    assert!(!made.path().join("nowhere").exists());
}

#[test]
fn a_store_is_scavenged_while_its_server_is_stopped() {
    let made = given_orders();
    let before = events(made.path(), "data");
    let server = Server::start(made.path(), &["serve"]);
    then_it_fails(made.path(), &["store", "scavenge"], 1, &["in use"]);
    assert!(server.stop());

    let report = run_json(made.path(), &["store", "scavenge", "-o", "json"]);

    assert_eq!(report["eventsDropped"], 0, "all of it is live");
    assert!(events(made.path(), "data").starts_with(&before));
    then_it_fails(made.path(), &["store", "scavenge", "--store", "none"], 1, &["no such folder"]);
    assert!(!made.path().join("none").exists());
}

#[test]
fn what_is_no_store_cannot_be_checked_or_salvaged() {
    let folder = TempDir::new().unwrap();

    then_it_fails(folder.path(), &["store", "check"], 1, &["data/events", "no such folder"]);
    let salvage = ["store", "salvage", "--to", "salvaged.jsonl"];
    then_it_fails(folder.path(), &salvage, 1, &["data/events"]);
    then_it_fails(folder.path(), &["store", "salvage"], 2, &["--to"]);
}

#[test]
fn stats_agree_with_the_events() {
    let made = given_orders();
    let lines = events(made.path(), "data");
    let events: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let stats = run_json(made.path(), &["store", "stats", "-o", "json"]);
    let text = then_succeeds(made.path(), &["store", "stats"]);

    let of_orders = |event: &&Value| event["stream"].as_str().unwrap().starts_with("order-");
    assert_eq!(
        (&stats["events"], &stats["head"]),
        (&events.len().into(), &(events.len() - 1).into())
    );
    assert_eq!(stats["categories"]["order"], events.iter().filter(of_orders).count());
    let placed = events.iter().filter(|event| event["type"] == "OrderPlaced").count();
    assert_eq!(stats["types"]["OrderPlaced"], placed);
    let streams: std::collections::BTreeSet<_> =
        events.iter().map(|event| event["stream"].as_str().unwrap()).collect();
    assert_eq!(stats["streams"], streams.len());
    assert_eq!(stats["firstRecordedAt"], events[0]["recordedAt"]);
    assert_eq!(stats["lastRecordedAt"], events.last().unwrap()["recordedAt"]);
    assert!(text.contains(&format!("events      {}", events.len())), "{text}");
}

#[test]
fn a_store_elsewhere_is_not_looked_after() {
    let folder = TempDir::new().unwrap();
    let elsewhere = ["store", "stats", "--store", "esdb://admin:secret@127.0.0.1:1"];

    then_it_fails(folder.path(), &elsewhere, 1, &["--store DIR"]);

    let told = told(&run(folder.path(), &elsewhere));
    assert!(!told.contains("secret"), "{told}");
}
