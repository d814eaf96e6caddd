use std::time::Duration;

use daybook_event_store::{AppendError, EventStore, Expected, Filter};
use futures::StreamExt;

use crate::given::{event, history, holds, open, stream};
use daybook_event_store_simulation::Disk;

#[tokio::test]
async fn a_closed_store_refuses_appends_and_still_reads() {
    let store = open(&Disk::default());
    history(&store, 0..5).await;

    store.close();
    store.close();

    let refused = store.append(&stream(0), Expected::Any, vec![event(5)]).await;
    let reason = "it was closed".into();
    assert_eq!(refused, Err(AppendError::Stopped { reason }));
    holds(&store, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_append_is_answered_when_the_store_closes() {
    let sim = Disk::default();
    let store = open(&sim);
    let appends: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store.append(&stream(n), Expected::Any, vec![event(n)]).await.is_ok()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close();

    let mut acknowledged = 0;
    for append in appends {
        acknowledged += u64::from(append.await.unwrap());
    }
    drop(store);
    assert_eq!(open(&sim).stats().events, acknowledged);
}

#[tokio::test]
async fn tails_end_when_the_last_handle_is_gone() {
    let store = open(&Disk::default());
    history(&store, 0..3).await;
    let tail = store.tail(None, Filter::all()).boxed();
    drop(store);

    let all = tokio::time::timeout(Duration::from_mins(1), tail.collect::<Vec<_>>()).await;

    assert_eq!(all.unwrap().len(), 4, "three events, and that they were all");
}

#[tokio::test]
async fn the_folder_is_free_when_the_last_handle_is_gone() {
    let sim = Disk::default();
    let store = open(&sim);
    let tail = store.tail(None, Filter::all()).boxed();
    let clone = store.clone();
    drop(store);
    history(&clone, 0..3).await;
    drop(clone);

    holds(&open(&sim), 3).await;
    drop(tail);
}

#[test]
fn a_store_works_without_an_async_runtime() {
    let sim = Disk::default();
    let store = open(&sim);
    futures::executor::block_on(async {
        history(&store, 0..40).await;
        drop(store);
        holds(&open(&sim), 40).await;
    });
}
