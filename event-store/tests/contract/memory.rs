use std::future::{Ready, ready};

use daybook_event_store::MemoryStore;

use crate::suite::{self, LIMITS};

fn store() -> Ready<(MemoryStore, ())> {
    ready((MemoryStore::new(LIMITS), ()))
}

suite::for_each_rule!(test_each!(store));
suite::for_each_atomic_rule!(test_each!(store));
