use std::path::Path;

use crate::harness::say;

/// A file of the checkout.
fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_default()
}

#[test]
fn pages_that_derive_from_tables_are_current() {
    for (name, table) in [("docs/configuration.md", "config"), ("docs/metrics.md", "metrics")] {
        let printed = say(&[table, "list", "--format", "markdown"]).ok();
        assert!(page(name) == printed, "{name} is not current: run `cargo xtask docs`");
    }
}

#[test]
fn the_readme_is_short() {
    let lines = page("README.md").lines().count();
    assert!((20..=100).contains(&lines), "{lines} lines");
}
