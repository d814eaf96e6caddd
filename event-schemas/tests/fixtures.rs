//! Every version of every event that was ever written can still be read.
//!
//! `fixtures/<type>.v<version>.json` holds a payload of each. Fixtures are written by hand and
//! never changed: what is in stores does not change either. One that does not read any more
//! wants an upcast, not an edit.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use daybook_event_schemas::{EventForm, catalogue};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

/// What is wrong with the fixture of one version.
fn problem(form: &EventForm, version: u16) -> Option<String> {
    let name = format!("{}.v{version}.json", form.kind);
    let Ok(data) = fs::read(Path::new(FOLDER).join(&name)) else {
        return Some(format!("{name} is missing: add a payload of this version"));
    };
    let renewed = match (form.renew)(version, &data) {
        Ok(Some(wire)) => wire,
        Ok(None) => return Some(format!("{name} reads as retired")),
        Err(error) => return Some(format!("{name} cannot be read: {error:?}")),
    };
    let parse = |json: &[u8]| serde_json::from_slice::<Value>(json).ok();
    if renewed.version != form.version {
        return Some(format!("{name} is renewed as version {}", renewed.version));
    }
    (version == form.version && parse(&renewed.data) != parse(&data))
        .then(|| format!("{name} is written differently today: that wants a new version"))
}

fn problems<'a>(forms: impl IntoIterator<Item = &'a EventForm>) -> Vec<String> {
    let versions = |form: &'a EventForm| (1..=form.version).map(move |version| (form, version));
    forms
        .into_iter()
        .flat_map(versions)
        .filter_map(|(form, version)| problem(form, version))
        .collect()
}

#[test]
fn every_version_ever_written_reads_as_todays_event() {
    assert_eq!(problems(catalogue()), [""; 0]);
}

#[test]
fn a_new_type_without_a_fixture_is_found_out() {
    let form = catalogue().next().copied().expect("the catalogue has events");
    let new = EventForm { kind: "ProductPhotographed", ..form };

    assert_eq!(
        problems([&new]),
        ["ProductPhotographed.v1.json is missing: add a payload of this version"]
    );
}

#[test]
fn a_new_version_without_a_fixture_is_found_out() {
    let form = catalogue().next().copied().expect("the catalogue has events");
    let name = format!("{}.v{}.json", form.kind, form.version + 1);
    let new = EventForm { version: form.version + 1, ..form };

    assert!(problems([&new]).iter().any(|problem| problem.starts_with(&name)));
}

#[test]
fn every_fixture_belongs_to_a_version_that_is_read() {
    let known: BTreeSet<_> = catalogue()
        .flat_map(|form| (1..=form.version).map(|v| format!("{}.v{v}.json", form.kind)))
        .collect();
    let found: BTreeSet<_> = fs::read_dir(FOLDER)
        .expect("the folder of fixtures is there")
        .map(|file| file.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .collect();

    assert_eq!(found.difference(&known).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn no_two_types_share_a_name() {
    let mut names = BTreeSet::new();

    let doubled: Vec<_> =
        catalogue().map(|form| form.kind).filter(|kind| !names.insert(*kind)).collect();

    assert_eq!(doubled, [""; 0]);
}
