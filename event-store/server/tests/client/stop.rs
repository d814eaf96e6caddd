//! How a server ends.

use kurrentdb::{AppendToStreamOptions, StreamPosition, SubscribeToStreamOptions};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::given::{events, server};

#[tokio::test]
async fn a_subscription_ends_with_an_error() {
    let given = server().await;
    let options = AppendToStreamOptions::default();
    given.client.append_to_stream("order-1", &options, events(1)).await.unwrap();
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut subscription = given.client.subscribe_to_stream("order-1", &options).await;
    subscription.next().await.unwrap();

    given.stop.cancel();

    let ended = subscription.next().await;
    assert!(ended.is_err(), "{ended:?}");
    given.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_is_waited_for_who_has_asked_nothing() {
    let given = server().await;
    let mut silent = TcpStream::connect(given.address).await.unwrap();

    given.stop.cancel();

    given.served.await.unwrap().unwrap();
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
    TcpStream::connect(given.address).await.unwrap_err();
}
