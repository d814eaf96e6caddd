use std::future::{Ready, ready};

use daybook_event_store::MemoryStore;

use crate::suite::timed::{Clock, Timed};
use crate::suite::{self, LIMITS};

fn store() -> Ready<(MemoryStore, ())> {
    ready((MemoryStore::new(LIMITS), ()))
}

fn timed() -> Ready<(Timed<MemoryStore>, ())> {
    let clock = Clock::new();
    let told = clock.clone();
    let store = MemoryStore::with_clock(LIMITS, move || told.now());
    ready((Timed { store, clock }, ()))
}

suite::for_each_rule!(test_each!(store));
suite::for_each_exact_rule!(test_each!(store));
suite::for_each_local_rule!(test_each!(store));
suite::for_each_atomic_rule!(test_each!(store));
suite::for_each_timed_rule!(test_each!(timed));
