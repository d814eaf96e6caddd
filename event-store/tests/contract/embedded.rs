use std::future::{Ready, ready};
use std::sync::Arc;

use daybook_event_store::{EmbeddedOptions, EmbeddedStore, RealVfs};
use tempfile::TempDir;

use crate::suite::LIMITS;
use crate::suite::timed::{Clock, Timed};

fn timed(options: &EmbeddedOptions) -> Ready<(Timed<EmbeddedStore>, TempDir)> {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::new());
    let options = EmbeddedOptions { limits: LIMITS, ..options.clone() };
    let told = clock.clone();
    let vfs = Arc::new(RealVfs::with_clock(move || told.now()));
    let store = EmbeddedStore::open_with(vfs, dir.path(), &options).unwrap();
    ready((Timed { store, clock }, dir))
}

fn open(options: &EmbeddedOptions) -> Ready<(EmbeddedStore, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { limits: LIMITS, ..options.clone() };
    ready((EmbeddedStore::open(dir.path(), &options).unwrap(), dir))
}

mod with_defaults {
    use super::{EmbeddedOptions, EmbeddedStore, Ready, TempDir, Timed, open, timed};
    use crate::suite;

    fn store() -> Ready<(EmbeddedStore, TempDir)> {
        open(&EmbeddedOptions::default())
    }

    fn timed_store() -> Ready<(Timed<EmbeddedStore>, TempDir)> {
        timed(&EmbeddedOptions::default())
    }

    suite::for_each_rule!(test_each!(store));
    suite::for_each_exact_rule!(test_each!(store));
    suite::for_each_local_rule!(test_each!(store));
    suite::for_each_atomic_rule!(test_each!(store));
    suite::for_each_timed_rule!(test_each!(timed_store));
}

/// Nearly every append begins a segment, and next to nothing is cached.
mod with_small_segments {
    use super::{EmbeddedOptions, EmbeddedStore, Ready, TempDir, Timed, open, timed};
    use crate::suite;

    fn options() -> EmbeddedOptions {
        EmbeddedOptions { segment_bytes: 4_096, cache_bytes: 10_000, ..Default::default() }
    }

    fn store() -> Ready<(EmbeddedStore, TempDir)> {
        open(&options())
    }

    fn timed_store() -> Ready<(Timed<EmbeddedStore>, TempDir)> {
        timed(&options())
    }

    suite::for_each_rule!(test_each!(store));
    suite::for_each_exact_rule!(test_each!(store));
    suite::for_each_local_rule!(test_each!(store));
    suite::for_each_atomic_rule!(test_each!(store));
    suite::for_each_timed_rule!(test_each!(timed_store));
}
