use std::future::{Ready, ready};

use daybook_event_store::{EmbeddedOptions, EmbeddedStore};
use tempfile::TempDir;

use crate::suite::LIMITS;

fn open(options: &EmbeddedOptions) -> Ready<(EmbeddedStore, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { limits: LIMITS, ..options.clone() };
    ready((EmbeddedStore::open(dir.path(), &options).unwrap(), dir))
}

mod with_defaults {
    use super::{EmbeddedOptions, EmbeddedStore, Ready, TempDir, open};
    use crate::suite;

    fn store() -> Ready<(EmbeddedStore, TempDir)> {
        open(&EmbeddedOptions::default())
    }

    suite::for_each_rule!(test_each!(store));
    suite::for_each_atomic_rule!(test_each!(store));
}

/// Nearly every append begins a segment, and next to nothing is cached.
mod with_small_segments {
    use super::{EmbeddedOptions, EmbeddedStore, Ready, TempDir, open};
    use crate::suite;

    fn store() -> Ready<(EmbeddedStore, TempDir)> {
        open(&EmbeddedOptions { segment_bytes: 4_096, cache_bytes: 10_000, ..Default::default() })
    }

    suite::for_each_rule!(test_each!(store));
    suite::for_each_atomic_rule!(test_each!(store));
}
