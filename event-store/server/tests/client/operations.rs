use std::time::Duration;

use kurrentdb::AppendToStreamOptions;
use kurrentdb::operations::{self, StatsOptions};

use crate::given::{client, events, server};

#[tokio::test]
async fn one_node_is_told_of_and_leads() {
    let given = server().await;
    let operations: operations::Client = given.client.clone().into();

    let members = operations.read_gossip().await.unwrap();

    assert_eq!(members.len(), 1);
    assert!(members[0].is_alive);
    assert_eq!(members[0].state, operations::VNodeState::Leader);
    assert_eq!(members[0].http_end_point.port, u32::from(given.address.port()));
}

#[tokio::test]
async fn a_client_that_discovers_a_cluster_finds_it() {
    let given = server().await;
    let port = given.address.port();
    let discovering = format!("kurrentdb://localhost:{port},127.0.0.1:{port}?tls=false");

    let appended = client(&discovering)
        .append_to_stream("order-1", &AppendToStreamOptions::default(), events(1))
        .await
        .unwrap();

    assert_eq!(appended.next_expected_version, 0);
}

#[tokio::test]
async fn numbers_come_again_and_again() {
    let given = server().await;
    let operations: operations::Client = given.client.clone().into();
    let options = StatsOptions::default().refresh_time(Duration::from_millis(1));
    let mut stats = operations.stats(&options).await.unwrap();

    let first = stats.next().await.unwrap();
    let options = AppendToStreamOptions::default();
    given.client.append_to_stream("order-1", &options, events(3)).await.unwrap();
    let mut later = stats.next().await.unwrap();
    while !later.0.contains_key("store-lastPosition") {
        later = stats.next().await.unwrap();
    }

    assert_eq!(first.0["store-kind"], "memory");
    assert_eq!(later.0["store-lastPosition"], "3");
}
