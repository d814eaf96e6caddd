//! Clients that mean no good, or know no better.

use axum::body::Bytes;
use daybook_event_store::Store;
use daybook_event_store_server::ServerOptions;
use kurrentdb::{AppendToStreamOptions, Error, EventData};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::given::{Given, events, serve, server};
use crate::http::{answer, json};
use crate::persistent::until;
use crate::raw::{APPEND, READ, connect, head, read_stream, refusal};

/// The server goes on.
async fn serves(given: &Given) {
    let options = AppendToStreamOptions::default();
    given.client.append_to_stream("order-1", &options, events(1)).await.unwrap();
}

#[tokio::test]
async fn garbage_is_answered_or_hung_up_on() {
    let given = server().await;
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"PRI * HTTP/3.0\r\n\r\n",
        b"GET /info HTTP/9.9\r\n\r\n",
    ];
    for bytes in garbage {
        let answer = raw(&given, bytes).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{bytes:?}");
    }
    serves(&given).await;
}

/// What comes back, until the server hangs up, in whatever way.
async fn raw(given: &Given, bytes: &[u8]) -> Vec<u8> {
    use tokio::io::AsyncWriteExt;
    let mut connection = TcpStream::connect(given.address).await.unwrap();
    connection.write_all(bytes).await.unwrap();
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = connection.read(&mut part).await {
        answer.extend_from_slice(&part[..read]);
    }
    answer
}

#[tokio::test]
async fn old_clients_are_answered() {
    let given = server().await;
    let answer = answer(given.address, b"GET /health/live HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 204") || answer.starts_with("HTTP/1.1 204"), "{answer}");
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let given = server().await;
    let name = "x".repeat(64 << 10);
    let request = format!("GET /info HTTP/1.1\r\nHost: here\r\nLong: {name}\r\n\r\n");

    let answer = raw(&given, request.as_bytes()).await;

    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
    serves(&given).await;
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let head_timeout = Duration::from_millis(50);
    let options = ServerOptions { head_timeout, connections: 4, ..ServerOptions::default() };
    let given = serve(Store::memory(), options).await;
    let beginnings: [&[u8]; 4] =
        [b"", b"PRI * HT", b"GET /info HTT", b"GET /info HTTP/1.1\r\nHost:"];

    for beginning in beginnings {
        let answer = raw(&given, beginning).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{beginning:?}");
    }

    serves(&given).await;
}

#[tokio::test]
async fn clients_may_send_many_small_parts_at_once() {
    let given = server().await;
    let connection = connect(given.address, 1 << 16).await;

    let (part, parts) = (Bytes::from(vec![0; 50]), 1_000);
    let message = [vec![head(60 * parts)], vec![part; parts]].concat();
    let begun = connection.call(APPEND, message);
    until(async || json(given.address, "/stats").await["calls"]["current"] == 2).await;

    let another = connection.ask(READ, &read_stream("order-1")).await.unwrap();
    assert_eq!(refusal(&another), None);
    begun.abort();
}

#[tokio::test]
async fn appends_that_are_too_large_are_refused() {
    let options = ServerOptions { append_bytes: 10_000, ..ServerOptions::default() };
    let given = serve(Store::memory(), options).await;
    let large = |bytes| EventData::binary("Tested", vec![0; bytes].into());

    for bytes in [10_001, 3 << 20] {
        let options = AppendToStreamOptions::default();
        let refused = given.client.append_to_stream("order-1", &options, vec![large(bytes)]).await;
        assert!(matches!(refused, Err(Error::Grpc { .. })), "{bytes} bytes: {refused:?}");
    }

    serves(&given).await;
}
