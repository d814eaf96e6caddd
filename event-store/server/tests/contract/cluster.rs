//! The contract against an EventStoreDB or KurrentDB cluster, where `DAYBOOK_TEST_EVENTSTORE_URL`
//! addresses one that may be written to. Not every rule holds there: those of `for_each_rule` do.

use std::panic::AssertUnwindSafe;

use daybook_event_store::{EventStoreDb, EventStoreDbOptions};
use futures::FutureExt;

use crate::suite::{self, LIMITS};

const URL: &str = "DAYBOOK_TEST_EVENTSTORE_URL";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_to_the_rules() {
    let Ok(address) = std::env::var(URL) else {
        eprintln!("skipped: {URL} addresses no EventStoreDB");
        return;
    };
    let options = EventStoreDbOptions { limits: LIMITS, ..EventStoreDbOptions::default() };
    let mut failed = Vec::new();

    for (name, rule) in suite::for_each_rule!(list_each!(EventStoreDb)) {
        let store = EventStoreDb::new(&address, &options).unwrap();
        if AssertUnwindSafe(rule(store)).catch_unwind().await.is_err() {
            failed.push(name);
        }
    }

    assert_eq!(failed, Vec::<&str>::new());
}
