//! The event store stands alone: someone can use it without anything of the platform.

#[test]
fn it_depends_on_none_of_our_crates() {
    let manifest = include_str!("../Cargo.toml");
    let ours: Vec<_> = manifest.lines().filter(|line| line.starts_with("daybook")).collect();
    assert!(ours.is_empty(), "the event store must not depend on {ours:?}");
    assert!(!manifest.contains("path ="), "nor on any other folder");
}
