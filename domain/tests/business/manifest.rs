//! The business depends on nothing that could do I/O, know the time or write JSON.

const MANIFEST: &str = include_str!("../../Cargo.toml");
const ALLOWED: [&str; 3] = ["iso_currency", "thiserror", "uuid"];

/// The names under the `[dependencies]` heading.
fn dependencies(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

#[test]
fn the_business_depends_on_three_small_crates() {
    assert_eq!(dependencies(MANIFEST), ALLOWED);
}

#[test]
fn nothing_is_brought_in_by_another_heading() {
    let headings: Vec<_> = MANIFEST.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(headings, ["[package]", "[lints]", "[dependencies]", "[dev-dependencies]"]);
}
