//! The measuring command: what it reports, never how fast anything was.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{MadeUp, last_json, run, run_json, told};

/// Short turns: what they measure means nothing, but everything is measured.
const SHORT: [&str; 7] = ["bench", "store", "--quick", "--seconds", "0.02", "--rounds", "2"];

fn bench(args: &[&str]) -> (std::process::Output, TempDir) {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &[&SHORT, args].concat());
    (output, folder)
}

/// The names of the contenders of a measure.
fn contenders(measure: &Value) -> Vec<&str> {
    let contenders = measure["contenders"].as_array().unwrap().iter();
    contenders.map(|contender| contender["name"].as_str().unwrap()).collect()
}

#[test]
fn the_store_is_measured_beside_its_peers() {
    let (output, folder) = bench(&["-o", "json"]);

    let report = last_json(&output);
    let quiet = report["quiet"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(if quiet { 0 } else { 3 }), "{}", told(&output));
    assert_eq!(report["rounds"], 2);
    assert_eq!(report["advice"].is_null(), quiet);
    let measures = report["measures"].as_array().unwrap();
    let who = measures.iter().map(|m| (m["name"].as_str().unwrap(), contenders(m)));
    let appending = ["daybook", "raw_loop", "raw_writers", "sqlite", "redb"];
    let reading =
        ["daybook", "daybook_100_segments", "daybook_compressed", "sqlite", "redb"].to_vec();
    let live = ["daybook"].to_vec();
    assert_eq!(
        who.collect::<Vec<_>>(),
        [
            ("append_1_writer", [&["probe"][..], &appending].concat()),
            ("append_8_writers", appending.to_vec()),
            ("append_64_writers", appending.to_vec()),
            ("append_batches_of_100", appending.to_vec()),
            ("disk", reading.clone()),
            ("cold_open", reading.clone()),
            ("read_streams_cold", reading.clone()),
            ("read_all", reading.clone()),
            ("read_streams_warm", reading.clone()),
            ("read_category", reading),
            ("live_latency", live.clone()),
            ("live_latency_1000_idle", live),
        ]
    );
    then_every_figure_is_a_measurement(measures);
    then_aims_are_judged_only_if(quiet, &report["aims"]);
    let left = std::fs::read_dir(folder.path().join("data")).unwrap().count();
    assert_eq!(left, 0, "the temporary folder was left behind");
}

#[test]
fn the_served_store_is_measured_beside_its_ceilings() {
    let (output, folder) = bench(&["--wire", "-o", "json"]);

    let report = last_json(&output);
    let quiet = report["quiet"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(if quiet { 0 } else { 3 }), "{}", told(&output));
    let measures = report["measures"].as_array().unwrap();
    let who = measures.iter().map(|m| (m["name"].as_str().unwrap(), contenders(m)));
    let both = ["daybook", "adapter", "client_alone"].to_vec();
    let appending = ["daybook", "adapter", "client_alone", "echo"].to_vec();
    assert_eq!(
        who.collect::<Vec<_>>(),
        [
            ("wire_read_streams_1_caller", both.clone()),
            ("wire_read_streams_2_callers", both.clone()),
            ("wire_read_all", both.clone()),
            ("wire_read_category", both.clone()),
            ("wire_append_1_caller", [&["probe"][..], &appending].concat()),
            ("wire_append_8_callers", appending.clone()),
            ("wire_append_64_callers", appending),
            ("wire_append_batches_of_100", both),
            ("wire_live_latency", ["daybook"].to_vec()),
        ]
    );
    then_every_figure_is_a_measurement(measures);
    let left = std::fs::read_dir(folder.path().join("data")).unwrap().count();
    assert_eq!(left, 0, "the temporary folder was left behind");
}

#[track_caller]
fn then_every_figure_is_a_measurement(measures: &[Value]) {
    for outcome in measures.iter().flat_map(|measure| measure["contenders"].as_array().unwrap()) {
        let figures = outcome["figures"].as_object().unwrap();
        assert!(!figures.is_empty(), "{outcome}");
        for spread in figures.values() {
            let [min, median, max] =
                ["min", "median", "max"].map(|key| spread[key].as_f64().unwrap());
            assert!(0.0 <= min && min <= median && median <= max, "{outcome}");
        }
        if let Some(rate) = figures.get("per_second") {
            assert!(rate["min"].as_f64().unwrap() > 0.0, "{outcome}");
        }
    }
}

#[track_caller]
fn then_aims_are_judged_only_if(quiet: bool, aims: &Value) {
    let aims = aims.as_array().unwrap();
    assert!(aims.len() >= 10, "{aims:?}");
    for aim in aims {
        let measured = aim["measured"].as_f64().unwrap();
        let holds = match (aim["at_least"].as_f64(), aim["at_most"].as_f64()) {
            (Some(least), None) => measured >= least,
            (None, Some(most)) => measured <= most,
            _ => panic!("{aim}"),
        };
        assert_eq!(aim["met"], if quiet { Value::Bool(holds) } else { Value::Null }, "{aim}");
    }
}

#[test]
fn a_part_is_measured_alone_and_told_to_people() {
    let (output, _folder) = bench(&["--only", "live"]);

    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let quiet = output.status.code() == Some(0);
    assert!(quiet || output.status.code() == Some(3), "{}", told(&output));
    assert_eq!(text.contains("not to be quoted"), !quiet, "{text}");
    assert!(text.contains("live latency 1000 idle") && !text.contains("append"), "{text}");
    assert!(told(&output).contains("turns: 4 of 4"), "{}", told(&output));
}

#[test]
fn rebuilds_are_measured_beside_the_engine() {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);

    let output = run(made.path(), &["bench", "rebuild", "-o", "json"]);

    let report = last_json(&output);
    let quiet = report["quiet"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(if quiet { 0 } else { 3 }), "{}", told(&output));
    let engines = report["engines"].as_array().unwrap();
    assert_eq!((engines.len(), &engines[0]["engine"]), (1, &"sqlite".into()));
    for key in ["events", "rows", "seconds", "events_per_second", "load_seconds"] {
        assert!(engines[0][key].as_f64().unwrap() > 0.0, "{report}");
    }
    assert_eq!(engines[0]["parked"], 0);
    assert_eq!(engines[0]["met"].is_boolean(), quiet);
    let left = std::fs::read_dir(made.path().join("data")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".tmp")), "{left:?}");
}

#[test]
fn searches_are_measured_and_find_what_they_should() {
    let folder = TempDir::new().unwrap();

    let output = run(folder.path(), &["bench", "search", "--products", "600", "-o", "json"]);

    let report = last_json(&output);
    let quiet = report["quiet"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(if quiet { 0 } else { 3 }), "{}", told(&output));
    let [run] = &report["runs"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((&run["engine"], &run["products"]), (&"tantivy".into(), &600.into()));
    assert!(run["products_per_second"].as_f64().unwrap() > 0.0, "{report}");
    let kinds = run["kinds"].as_array().unwrap();
    then_every_question_found_something(kinds);
    let asked: u64 = kinds.iter().map(|kind| kind["questions"].as_u64().unwrap()).sum();
    assert_eq!(run["all"]["questions"], asked);
    let cache = &run["cache"];
    let count = |key: &str| cache[key].as_u64().unwrap();
    assert_eq!((count("hits") + count("misses"), count("changes")), (1_000, 10), "{cache}");
    // After each change every search is asked of the index once, if it is asked again.
    let most = count("different") * count("changes");
    assert!((count("different")..=most).contains(&count("misses")), "{cache}");
    let [aim] = &report["aims"].as_array().unwrap()[..] else { panic!("{report}") };
    let holds = aim["measured"].as_f64().unwrap() >= aim["at_least"].as_f64().unwrap();
    assert_eq!(aim["met"], if quiet { Value::Bool(holds) } else { Value::Null }, "{aim}");
    let left = std::fs::read_dir(folder.path().join("data")).unwrap().count();
    assert_eq!(left, 0, "the temporary folder was left behind");
}

#[track_caller]
fn then_every_question_found_something(kinds: &[Value]) {
    let names: Vec<_> = kinds.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    let expected =
        ["word", "two words", "typo", "filtered", "category page", "by price", "suggest"];
    assert_eq!(names, expected);
    for kind in kinds {
        let [questions, found] = ["questions", "found"].map(|key| kind[key].as_u64().unwrap());
        // A word's stem may be further away than a typo may be.
        let least = if kind["kind"] == "typo" { questions * 4 / 5 } else { questions };
        assert!(questions >= 20 && (least..=questions).contains(&found), "{kind}");
        let [p50, p99] = ["p50_millis", "p99_millis"].map(|key| kind[key].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p99, "{kind}");
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();

    let output = run(folder.path(), &["bench", "store", "--quick", "--dir", "file"]);

    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("cannot work in file"), "{}", told(&output));
}

#[test]
fn impossible_turns_are_usage_errors() {
    let folder = TempDir::new().unwrap();
    for args in
        [["--seconds", "0"], ["--seconds", "NaN"], ["--rounds", "0"], ["--only", "everything"]]
    {
        let output = run(folder.path(), &[&["bench", "store"][..], &args].concat());
        let told = told(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(args[0]) && told.contains(args[1]), "{told}");
    }
}
