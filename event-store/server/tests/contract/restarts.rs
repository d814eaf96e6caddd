//! The adapter while its server stops and starts.

use std::path::Path;
use std::time::Duration;

use daybook_event_store::{
    AppendError, EmbeddedOptions, EventStore, Expected, Filter, Position, Recorded, Revision,
    Store, Tailed,
};
use futures::StreamExt;
use tokio::net::TcpListener;

use crate::given::{Served, client, patient};
use crate::suite::given::{event, ids, next_events, read, stream, within};

/// A store in a folder, and its server.
struct Running {
    store: Store,
    served: Served,
}

impl Running {
    async fn start(folder: &Path) -> Self {
        let store = Store::embedded(folder, &EmbeddedOptions::default()).unwrap();
        Self { served: Served::start(store.clone()).await, store }
    }

    /// The same again: same folder, same port.
    async fn restart(self, folder: &Path) -> Self {
        let address = self.served.address;
        self.served.stop().await;
        self.store.close();
        drop(self.store);
        let store = Store::embedded(folder, &EmbeddedOptions::default()).unwrap();
        Self { served: Served::start_at(address, store.clone()).await, store }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_and_tails_outlive_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(folder.path()).await;
    let (store, stream) = (client(running.served.address), stream());
    let filter = Filter::categories(&[stream.category()]);
    let mut filtered = store.tail(None, filter).boxed();
    let filtered = tokio::spawn(async move { next_events(&mut filtered, 300).await });
    let mut whole = store.tail(None, Filter::all()).boxed();
    let whole = tokio::spawn(async move { next_events(&mut whole, 300).await });
    let writer = tokio::spawn({
        let (store, stream) = (store.clone(), stream.clone());
        async move {
            let (mut written, mut expected) = (Vec::new(), Expected::NoStream);
            for n in 0..300 {
                let event = event(&format!("Numbered{n}"));
                written.push(event.id);
                let appended = store.append(&stream, expected, vec![event]).await.unwrap();
                assert_eq!(appended.revision, Revision(n));
                expected = Expected::At(appended.revision);
            }
            written
        }
    });

    for restart in 1..=5 {
        while running.store.head().await.unwrap() < Some(Position(restart * 45)) {
            tokio::task::yield_now().await;
        }
        running = running.restart(folder.path()).await;
    }

    let written = within(writer).await.unwrap();
    let stored = read(&store, &stream).await;
    assert_eq!(ids(&stored), written, "each once, in order");
    assert_eq!(within(filtered).await.unwrap(), stored);
    assert_eq!(within(whole).await.unwrap(), stored);
}

#[tokio::test]
async fn a_server_that_was_not_there_is_found_when_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (store, stream) = (patient(address, Duration::from_millis(50)), stream());
    let new = event("Waited");

    let refused = store.append(&stream, Expected::NoStream, vec![new.clone()]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
    let mut tail = store.tail(None, Filter::all()).boxed();
    let interrupted = within(tail.next()).await.unwrap();
    assert!(interrupted.is_err() && within(tail.next()).await.is_none(), "{interrupted:?}");

    let _served = Served::start_at(address, Store::memory()).await;
    let waiting = client(address);
    let mut tail = waiting.tail(None, Filter::all()).boxed();
    let appended = waiting.append(&stream, Expected::NoStream, vec![new.clone()]).await.unwrap();
    assert_eq!(appended.revision, Revision::START);
    assert_eq!(ids(&next_events(&mut tail, 1).await), [new.id]);
    // The one that had given up, too.
    assert_eq!(store.append(&stream, Expected::NoStream, vec![new]).await, Ok(appended));
}

#[tokio::test]
async fn a_closed_store_appends_nothing_and_its_tails_end() {
    let served = Served::start(Store::memory()).await;
    let (store, stream) = (client(served.address), stream());
    store.append(&stream, Expected::Any, vec![event("Before")]).await.unwrap();
    let mut tail = store.tail(None, Filter::all()).boxed();
    let before: Vec<Recorded> = next_events(&mut tail, 1).await;
    let upto = before[0].position;
    assert_eq!(within(tail.next()).await, Some(Ok(Tailed::CaughtUp(upto))));

    store.close();

    assert_eq!(within(tail.next()).await, None);
    let refused = store.append(&stream, Expected::Any, vec![event("After")]).await;
    assert!(matches!(refused, Err(AppendError::Stopped { .. })), "{refused:?}");
}
