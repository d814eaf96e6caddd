//! Who may know whom, as `docs/ARCHITECTURE.md` has it.

use std::collections::BTreeSet;
use std::path::Path;

/// Folders, and the folders whose crates theirs may depend on outside of tests.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("domain", &[]),
    ("event-schemas", &["domain", "event-store"]),
    ("event-store", &[]),
    ("event-store/server", &["event-store"]),
    ("event-store/comparison", &["event-store", "event-store-server"]),
    ("command-side", &["domain", "event-schemas", "event-store"]),
    ("database", &[]),
    ("integration", &["database", "domain", "event-schemas", "event-store"]),
    ("search", &[]),
    ("projections", &["database", "domain", "event-schemas", "event-store", "search"]),
    ("query-side", &["database", "domain", "event-schemas", "event-store", "search"]),
    ("gateway", &["command-side", "domain", "event-schemas", "event-store", "query-side"]),
    ("observability", &[]),
];

#[test]
fn dependencies_point_the_right_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (folder, allowed) in MAY_USE {
        let text = std::fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let uses = manifest["dependencies"].as_table().unwrap().keys();
        let ours = uses.filter_map(|name| name.strip_prefix("daybook-"));
        let stray: BTreeSet<_> = ours.filter(|name| !allowed.contains(name)).collect();
        assert!(stray.is_empty(), "{folder} must not depend on {stray:?}");
    }
}
