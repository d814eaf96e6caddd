//! What the program says and returns, above all when something is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{MadeUp, Server, daybook, run, run_json, told};
use tempfile::TempDir;

#[track_caller]
pub(crate) fn then_it_fails(folder: &Path, args: &[&str], code: i32, words: &[&str]) {
    let output = run(folder, args);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    for word in words {
        assert!(told.contains(word), "{args:?} should say {word:?}: {told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn help_teaches_by_examples() {
    let folder = TempDir::new().unwrap();

    let store = ["backup", "check", "load", "restore", "salvage", "scavenge", "serve", "stats"]
        .map(|command| ["store", command, "--help"]);
    let stream = ["show", "set", "delete", "tombstone"]
        .map(|command| ["store", "stream", command, "--help"]);
    let dlq = ["list", "show", "replay", "discard"].map(|command| ["dlq", command, "--help"]);
    let projection =
        ["list", "status", "rebuild", "verify", "cutover", "rollback", "pause", "resume"]
            .map(|command| ["projection", command, "--help"]);
    let projection = projection.iter().map(|command| &command[..]);
    let others = [&["--help"][..], &["serve", "--help"], &["import", "online-retail", "--help"]];
    let store = store.iter().map(|command| &command[..]);
    let stream = stream.iter().map(|command| &command[..]);
    for command in others
        .into_iter()
        .chain(store)
        .chain(stream)
        .chain(dlq.iter().map(|command| &command[..]))
        .chain(projection)
    {
        let output = run(folder.path(), command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success());
        assert!(text.contains("Examples:"), "{text}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let folder = TempDir::new().unwrap();

    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(folder.path(), &["completions", shell]);
        assert!(output.status.success() && output.stdout.len() > 1_000, "{shell}");
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let folder = TempDir::new().unwrap();

    then_it_fails(folder.path(), &["frobnicate"], 2, &["frobnicate", "--help"]);
    then_it_fails(folder.path(), &["aggregate", "show"], 2, &["<STREAM>"]);
    let both = ["aggregate", "show", "stock-A", "--version", "1", "--at", "2026-01-31T12:00:00Z"];
    then_it_fails(folder.path(), &both, 2, &["--version", "--at"]);
}

#[test]
fn an_unknown_key_in_the_configuration_is_named() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("daybook.toml"), "data_dri = \"x\"\n").unwrap();

    then_it_fails(folder.path(), &["verify"], 1, &["daybook.toml", "data_dri", "data_dir"]);
}

#[test]
fn a_folder_that_another_process_uses_is_refused() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &["serve"]);

    let append = ["store", "stream", "delete", "telemetry-7"];
    then_it_fails(folder.path(), &append, 1, &["in use", "events"]);
    then_it_fails(folder.path(), &["serve", "--listen", "127.0.0.1:0"], 1, &["in use"]);

    assert!(server.stop());
}

#[test]
fn a_port_in_use_is_told_before_anything_is_opened() {
    let folder = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    then_it_fails(folder.path(), &["serve", "--listen", &address], 1, &[&address, "--listen"]);

    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("data"), "a file where the folder should be").unwrap();

    then_it_fails(folder.path(), &["serve", "--listen", "127.0.0.1:0"], 1, &["data"]);
}

#[test]
fn a_store_of_a_newer_format_is_left_alone() {
    let made = MadeUp::new(3);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let events = made.path().join("data/events");
    fs::write(events.join("FORMAT"), "daybook event store, format 999\n").unwrap();
    let before = fs::read(segment(&events)).unwrap();

    then_it_fails(made.path(), &["verify"], 1, &["format 999", "newer build"]);

    assert_eq!(fs::read(segment(&events)).unwrap(), before);
}

#[test]
fn a_damaged_store_is_reported_with_its_place_and_left_alone() {
    let made = MadeUp::new(12);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let segment = segment(&made.path().join("data/events"));
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x10;
    fs::write(&segment, &bytes).unwrap();

    then_it_fails(made.path(), &["verify"], 1, &["damaged"]);

    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn the_past_of_an_aggregate_can_be_looked_at() {
    let made = MadeUp::new(3);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let at = |version: &str| {
        let show = ["aggregate", "show", "stock-SKU 5", "--version", version, "-o", "json"];
        run_json(made.path(), &show)
    };

    assert_eq!(at("0")["state"]["reserved"], 0);
    assert_eq!(at("1")["events"].as_array().unwrap().len(), 2);
    assert_ne!(at("0")["state"], at("1")["state"]);
    then_it_fails(made.path(), &["aggregate", "show", "stock-NONE"], 1, &["stock-NONE"]);
    then_it_fails(made.path(), &["aggregate", "show", "rubbish"], 1, &["rubbish", "stock"]);
    let late = ["aggregate", "show", "stock-SKU 5", "--version", "999"];
    then_it_fails(made.path(), &late, 1, &["999"]);
    let no_time = ["aggregate", "show", "stock-SKU 5", "--at", "yesterday"];
    then_it_fails(made.path(), &no_time, 1, &["yesterday"]);
}

#[test]
fn events_are_printed_one_a_line() {
    let made = MadeUp::new(3);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);

    let placed = ["events", "tail", "--kind", "OrderPlaced", "-n", "2", "-o", "jsonl"];
    let output = run(made.path(), &placed);

    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().all(|line| line.contains("\"OrderPlaced\"")));
}

#[test]
fn whoever_closes_the_pipe_has_seen_enough() {
    let made = MadeUp::new(20);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let mut tail = daybook(made.path(), &["events", "tail", "-n", "100000"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();

    drop(tail.stdout.take());
    let output = tail.wait_with_output().unwrap();

    assert!(output.status.success(), "{}", told(&output));
}

/// The first segment of a store.
pub(crate) fn segment(events: &Path) -> PathBuf {
    let paths = fs::read_dir(events).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|e| e == "log")).min().unwrap()
}
