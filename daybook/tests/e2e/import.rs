//! `daybook import online-retail`, on made-up files.

use std::time::Duration;

use tempfile::TempDir;

use crate::support::{MadeUp, Server, daybook, get, last_json, run, run_and_kill, run_json, told};

const IMPORT: [&str; 3] = ["import", "online-retail", "made-up.csv"];

#[track_caller]
fn then_the_books_are_right(made: &MadeUp) {
    let verified = run_json(made.path(), &["verify", "-o", "json"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
}

#[test]
fn a_file_becomes_fulfilled_orders_to_the_penny() {
    let made = MadeUp::new(60);

    let report = run_json(made.path(), &[&IMPORT[..], &["-o", "json"]].concat());

    made.then_all_imported(&report);
    then_the_books_are_right(&made);
}

#[test]
fn a_second_import_of_the_same_file_adds_nothing() {
    let made = MadeUp::new(20);
    run_json(made.path(), &[&IMPORT[..], &["-o", "json"]].concat());

    let report = run_json(made.path(), &[&IMPORT[..], &["-o", "json"]].concat());

    made.then_all_imported(&report);
    then_the_books_are_right(&made);
}

#[test]
fn killed_at_any_point_and_started_again_it_doubles_and_loses_nothing() {
    let made = MadeUp::new(120);
    let import = [&IMPORT[..], &["--concurrency", "8", "-o", "json"]].concat();
    for after in [40, 90, 150, 220, 300, 450, 700, 1_000] {
        run_and_kill(made.path(), &import, Duration::from_millis(after));
    }

    let report = run_json(made.path(), &import);

    made.then_all_imported(&report);
    then_the_books_are_right(&made);
}

#[test]
fn a_limit_stops_after_that_many_orders_and_the_counts_still_add_up() {
    let made = MadeUp::new(30);

    let report = run_json(made.path(), &[&IMPORT[..], &["--limit", "10", "-o", "json"]].concat());

    assert_eq!(report["orders"], 10);
    let rejected: u64 =
        report["rejected"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(report["lines"].as_u64().unwrap() + rejected, report["rows"].as_u64().unwrap());
    then_the_books_are_right(&made);
}

#[test]
fn a_running_server_is_driven_through_its_api() {
    let made = MadeUp::new(25);
    let server = Server::start(made.path(), &["serve"]);

    let import = [&IMPORT[..], &["--url", &server.url, "-o", "json"]].concat();
    let output = daybook(made.path(), &import).env_remove("DAYBOOK_DATA_DIR").output().unwrap();

    assert!(output.status.success(), "{}", told(&output));
    made.then_all_imported(&last_json(&output));
    assert!(server.stop(), "the server did not stop cleanly");
    then_the_books_are_right(&made);
}

#[test]
fn a_store_behind_the_protocol_comes_to_the_same_books() {
    let (made, behind) = (MadeUp::new(25), TempDir::new().unwrap());
    let store = Server::start(behind.path(), &["store", "serve"]);
    let import = [&IMPORT[..], &["--store", &store.url, "-o", "json"]].concat();
    run_and_kill(made.path(), &import, Duration::from_millis(400));

    let report = run_json(made.path(), &import);

    made.then_all_imported(&report);
    let verified = run_json(made.path(), &["verify", "--store", &store.url, "-o", "json"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
    assert!(!made.path().join("data/events").exists(), "the events are in the other store");
    assert!(store.stop());
}

#[test]
fn a_server_on_a_store_behind_the_protocol_outlives_that_stores_restart() {
    let (made, behind) = (MadeUp::new(25), TempDir::new().unwrap());
    let store = Server::start(behind.path(), &["store", "serve"]);
    let address = store.url.replace("kurrentdb://", "").replace("?tls=false", "");
    let server = Server::start(made.path(), &["serve", "--store", &store.url]);
    let import = [&IMPORT[..], &["--url", &server.url, "-o", "json"]].concat();
    run_json(made.path(), &[&import[..], &["--limit", "10"]].concat());
    drop(store);

    let store = Server::start(behind.path(), &["store", "serve", "--listen", &address]);
    let report = run_json(made.path(), &import);

    made.then_all_imported(&report);
    assert!(server.stop(), "the server did not stop cleanly");
    let verified = run_json(made.path(), &["verify", "--store", &store.url, "-o", "json"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
}

#[test]
fn a_payment_provider_of_its_own_is_charged_once_an_order() {
    let (made, provider) = (MadeUp::new(25), TempDir::new().unwrap());
    let provider = Server::start(provider.path(), &["psp"]);
    let import = [&IMPORT[..], &["--payment-provider", &provider.url, "-o", "json"]].concat();
    run_and_kill(made.path(), &import, Duration::from_millis(150));

    let report = run_json(made.path(), &import);

    made.then_all_imported(&report);
    let ledger = get(&format!("{}/v1/ledger", provider.url));
    assert_eq!(ledger["captures"], made.orders);
    assert_eq!(ledger["captured"]["GBP"], made.pence);
    assert_eq!(ledger["chargedTwice"], 0);
    assert!(provider.stop());
}

#[test]
fn rejected_rows_are_listed_on_request() {
    let made = MadeUp::new(6);

    run_json(made.path(), &[&IMPORT[..], &["--rejected", "out.csv", "-o", "json"]].concat());

    let list = std::fs::read_to_string(made.path().join("out.csv")).unwrap();
    assert_eq!(list.lines().next(), Some("line,invoice,reason"));
    assert!(list.contains("C500000,cancellation"), "{list}");
}

#[test]
fn a_file_that_cannot_be_read_whole_imports_nothing() {
    let made = MadeUp::new(6);
    let text = std::fs::read_to_string(&made.file).unwrap();
    std::fs::write(&made.file, &text[..text.len() - 30]).unwrap();

    let output = run(made.path(), &IMPORT);

    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("breaks off"), "{}", told(&output));
    assert!(!made.path().join("data").exists());
}
