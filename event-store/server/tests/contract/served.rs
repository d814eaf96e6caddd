//! The contract against this server, on both of its engines.

use daybook_event_store::{
    AppendError, AtomicAppend, EmbeddedOptions, EventStoreDb, Expected, MemoryStore, Store,
    StreamWrite,
};
use tempfile::TempDir;

use crate::given::{Served, client};
use crate::suite::given::{events, stream};
use crate::suite::timed::{Clock, Timed};
use crate::suite::{self, LIMITS};

mod in_memory {
    use super::*;

    async fn store() -> (EventStoreDb, Served) {
        let served = Served::start(Store::Memory(MemoryStore::new(LIMITS))).await;
        (client(served.address), served)
    }

    async fn timed() -> (Timed<EventStoreDb>, Served) {
        let clock = Clock::new();
        let told = clock.clone();
        let store = MemoryStore::with_clock(LIMITS, move || told.now());
        let served = Served::start(Store::Memory(store)).await;
        (Timed { store: client(served.address), clock }, served)
    }

    suite::for_each_rule!(test_each!(store));
    suite::for_each_exact_rule!(test_each!(store));
    suite::for_each_timed_rule!(test_each!(timed));

    #[tokio::test]
    async fn an_append_to_several_streams_is_refused() {
        let (store, _served) = store().await;
        let write = |count| StreamWrite {
            stream: stream(),
            expected: Expected::NoStream,
            events: events(count),
        };

        let one = store.append_all(vec![write(2)]).await.unwrap();
        let refused = store.append_all(vec![write(1), write(1)]).await;

        assert_eq!(one[0].revision.0, 1);
        assert!(matches!(refused, Err(AppendError::Size { max: 1, actual: 2, .. })), "{refused:?}");
    }
}

mod embedded {
    use super::*;

    async fn store() -> (EventStoreDb, (Served, TempDir)) {
        let folder = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { limits: LIMITS, ..EmbeddedOptions::default() };
        let served = Served::start(Store::embedded(folder.path(), &options).unwrap()).await;
        (client(served.address), (served, folder))
    }

    suite::for_each_rule!(test_each!(store));
    suite::for_each_exact_rule!(test_each!(store));
}
