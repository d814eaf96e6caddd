//! What is asked over plain HTTP/1.1, byte by byte.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::given::server;

/// The whole answer to these bytes, until the server hangs up.
pub(crate) async fn answer(address: SocketAddr, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let answer = answer(address, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().into(), body.into())
}

pub(crate) async fn json(address: SocketAddr, path: &str) -> Value {
    let (status, body) = get(address, path).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn gossip_is_told_as_json() {
    let given = server().await;

    let gossip = json(given.address, "/gossip").await;

    let member = &gossip["members"][0];
    assert_eq!(member["state"], "Leader");
    assert_eq!(member["isAlive"], true);
    assert_eq!(member["httpEndPointIp"], "127.0.0.1");
    assert_eq!(member["httpEndPointPort"], given.address.port());
    assert_eq!(member["lastCommitPosition"], -1);
}

#[tokio::test]
async fn what_the_server_is_can_be_asked() {
    let given = server().await;

    assert_eq!(json(given.address, "/info").await["state"], "leader");
    assert_eq!(json(given.address, "/stats").await["store"]["kind"], "memory");
    assert!(json(given.address, "/ping").await["text"].is_string());
}

#[tokio::test]
async fn probes_are_answered() {
    let given = server().await;

    for path in ["/health/live", "/health/ready"] {
        assert_eq!(get(given.address, path).await.0, "HTTP/1.1 204 No Content");
    }
    assert_eq!(get(given.address, "/no/such").await.0, "HTTP/1.1 404 Not Found");
}
