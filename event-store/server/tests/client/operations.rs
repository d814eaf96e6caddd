use std::time::Duration;

use daybook_event_store::Store;
use daybook_event_store_server::ServerOptions;
use kurrentdb::operations::{self, OperationalOptions, ScavengeStatus, StatsOptions};
use kurrentdb::{AppendToStreamOptions, Error};

use crate::given::{client, embedded, events, serve, server};
use crate::http::json;

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

#[tokio::test]
async fn a_scavenge_is_started_and_stopped() {
    let (given, _folder) = embedded(ServerOptions::default()).await;
    let operations: operations::Client = given.client.clone().into();

    let started = operations.start_scavenge(1, 0, &OperationalOptions::default()).await.unwrap();
    let stopped =
        operations.stop_scavenge(started.id(), &OperationalOptions::default()).await.unwrap();

    assert_eq!(started.status(), ScavengeStatus::Started);
    assert_eq!(stopped.status(), ScavengeStatus::Stopped);
    assert_eq!(stopped.id(), started.id());
}

#[tokio::test]
async fn a_scavenge_that_nobody_started_is_not_found() {
    let (given, _folder) = embedded(ServerOptions::default()).await;
    let operations: operations::Client = given.client.clone().into();

    let refused = operations.stop_scavenge("none", &OperationalOptions::default()).await;

    assert!(matches!(refused, Err(Error::ResourceNotFound)), "{refused:?}");
}

#[tokio::test]
async fn what_means_nothing_here_is_said_to() {
    let given = server().await;
    let operations: operations::Client = given.client.clone().into();

    let scavenge = operations.start_scavenge(1, 0, &OperationalOptions::default()).await.map(drop);
    let negative =
        operations.start_scavenge(1, usize::MAX, &OperationalOptions::default()).await.map(drop);
    let merge = operations.merge_indexes(&OperationalOptions::default()).await;

    assert!(matches!(scavenge, Err(Error::UnsupportedFeature)), "{scavenge:?}");
    assert!(matches!(negative, Err(Error::Grpc { .. })), "{negative:?}");
    assert!(matches!(merge, Err(Error::UnsupportedFeature)), "{merge:?}");
}

#[tokio::test]
async fn the_only_node_stays_the_leader() {
    let (given, _folder) = embedded(ServerOptions::default()).await;
    let operations: operations::Client = given.client.clone().into();

    operations.merge_indexes(&OperationalOptions::default()).await.unwrap();
    operations.set_node_priority(7, &OperationalOptions::default()).await.unwrap();
    operations.resign_node(&OperationalOptions::default()).await.unwrap();

    let gossip = json(given.address, "/gossip").await;
    assert_eq!(gossip["members"][0]["nodePriority"], 7);
    assert_eq!(gossip["members"][0]["state"], "Leader");
}

#[tokio::test]
async fn a_client_stops_the_server_where_that_is_allowed() {
    let refusing = server().await;
    let operations: operations::Client = refusing.client.clone().into();
    let refused = operations.shutdown(&OperationalOptions::default()).await;
    assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");

    let options = ServerOptions { shutdown: true, ..ServerOptions::default() };
    let given = serve(Store::memory(), options).await;
    let operations: operations::Client = given.client.clone().into();
    operations.shutdown(&OperationalOptions::default()).await.unwrap();

    given.served.await.unwrap().unwrap();
}
