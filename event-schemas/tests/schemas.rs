//! The committed JSON Schemas are those of the code.
//!
//! After a change: `UPDATE_SCHEMAS=1 cargo test -p daybook-event-schemas --test schemas`, then
//! look at what changed. A schema of a version that is not the newest never changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use daybook_event_schemas::{EventForm, catalogue};
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");

fn path(form: &EventForm, version: u16) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.v{version}.json", form.kind))
}

fn generated(form: &EventForm) -> String {
    let schema = serde_json::to_string_pretty(&(form.schema)()).expect("a schema is JSON");
    schema + "\n"
}

/// Writes the schemas anew where that is asked for, once and before any test looks at them.
fn committed() -> &'static str {
    static UPDATE: Once = Once::new();
    UPDATE.call_once(|| {
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            for form in catalogue() {
                let path = path(form, form.version);
                fs::write(path, generated(form)).expect("schemas can be written");
            }
        }
    });
    FOLDER
}

#[test]
fn committed_schemas_are_those_of_the_code() {
    committed();

    let drifted: Vec<_> = catalogue()
        .map(|form| (path(form, form.version), generated(form)))
        .filter(|(path, schema)| fs::read_to_string(path).ok().as_ref() != Some(schema))
        .map(|(path, _)| path)
        .collect();

    assert!(drifted.is_empty(), "run the tests with UPDATE_SCHEMAS=1 to renew {drifted:#?}");
}

#[test]
fn every_version_ever_written_has_its_schema_and_nothing_else_has() {
    let known: BTreeSet<_> = catalogue()
        .flat_map(|form| (1..=form.version).map(move |version| path(form, version)))
        .collect();
    let found: BTreeSet<_> = fs::read_dir(committed())
        .expect("the folder of schemas is there")
        .map(|file| file.expect("it can be listed").path())
        .collect();

    assert_eq!(found, known);
}

/// Whether a payload is as the committed schema of its type says.
fn satisfies(name: &str, payload: &Value) -> Result<(), String> {
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    let mut schemas = boon::Schemas::new();
    let path = format!("{}/{name}", committed());
    let index = compiler.compile(&path, &mut schemas).map_err(|error| error.to_string())?;
    schemas.validate(payload, index).map_err(|error| format!("{name}: {error:#}"))
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let data = fs::read(&path).expect(&path);
    serde_json::from_slice(&data).expect(&path)
}

#[test]
fn every_fixture_is_as_its_schema_says() {
    for form in catalogue() {
        for version in 1..=form.version {
            let name = format!("{}.v{version}.json", form.kind);
            assert_eq!(satisfies(&name, &fixture(&name)), Ok(()));
        }
    }
}

#[test]
fn what_cannot_be_read_is_not_as_the_schema_says() {
    let (name, good) = ("StockReserved.v1.json", fixture("StockReserved.v1.json"));
    for (field, bad) in [
        ("order", json!("42")),
        ("quantity", json!(0)),
        ("quantity", json!(1_000_000_001)),
        ("expiresAt", json!("2011-12-09T12:50:00Z")),
        ("at", json!(null)),
    ] {
        let mut payload = good.clone();
        payload[field] = bad;
        assert!(satisfies(name, &payload).is_err(), "{payload}");
    }
}
