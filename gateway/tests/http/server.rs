//! The server on real connections.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use daybook_event_store::Store;
use daybook_gateway::{Gateway, GatewayOptions, ReadinessCheck, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::gateway;

fn memory() -> Gateway {
    gateway(&Store::memory(), Path::new("nowhere"))
}

struct Running {
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

async fn start(gateway: Gateway, options: GatewayOptions) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(gateway.serve(listener, options, shutdown.clone()));
    Running { address, shutdown, server }
}

async fn talk(running: &Running, text: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_cut_off() {
    let head_timeout = Duration::from_millis(50);
    let options = GatewayOptions { head_timeout, ..GatewayOptions::default() };
    let running = start(memory(), options).await;
    for part in ["", "GET /health/live HTTP/1.1\r\nhost: loc", "PRI * HTTP/2.0\r\n\r\nS"] {
        // Ends only because the server closes the connection.
        let answer = talk(&running, part).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    assert!(talk(&running, LIVE).await.starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn any_router_is_served_within_the_same_limits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (address, shutdown) =
        (listener.local_addr().expect("an address"), CancellationToken::new());
    let router = Router::new().route("/", get(|| async { "here" }));
    let head_timeout = Duration::from_millis(50);
    let options = GatewayOptions { head_timeout, ..GatewayOptions::default() };
    let stop = shutdown.clone();
    let server = tokio::spawn(async move { serve(listener, router, &options, stop).await });
    let running = Running { address, shutdown, server };

    let slow = talk(&running, "GET / HTTP/1.1\r\nhost: loc").await;
    let whole =
        talk(&running, "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    running.shutdown.cancel();

    assert!(!slow.starts_with("HTTP/1.1 2"), "{slow}");
    assert!(whole.ends_with("here"), "{whole}");
    running.server.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn what_is_not_http_gets_a_bad_request() {
    let running = start(memory(), GatewayOptions::default()).await;
    let answer = talk(&running, "\u{16}\u{3}\u{1} nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_large_head_gets_a_problem() {
    let running = start(memory(), GatewayOptions::default()).await;
    let padding = "x".repeat(20 << 10);
    let answer = talk(
        &running,
        &format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-padding: {padding}\r\n\r\n"),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(answer.contains("/problems/head-too-large"), "{answer}");
}

#[tokio::test]
async fn shutdown_lets_a_request_finish_and_takes_no_more() {
    let (entered, mut wait) = tokio::sync::mpsc::channel(1);
    let release = CancellationToken::new();
    let gate = release.clone();
    let slow = ReadinessCheck::new("slow", move || {
        let (entered, gate) = (entered.clone(), gate.clone());
        Box::pin(async move {
            entered.send(()).await.map_err(|error| error.to_string())?;
            gate.cancelled().await;
            Ok(())
        })
    })
    .required();
    let gateway = Gateway { readiness: vec![slow], ..memory() };
    let running = start(gateway, GatewayOptions::default()).await;
    let address = running.address;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let ready = "GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(ready.as_bytes()).await.expect("sent");
    wait.recv().await.expect("the request is being worked on");

    running.shutdown.cancel();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.server.is_finished());
    release.cancel();

    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.contains("\"name\":\"slow\",\"required\":true,\"ok\":true"), "{answer}");
    running.server.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_failed_check_that_commands_depend_on_makes_the_server_not_ready() {
    let down = ReadinessCheck::new("projections", || {
        Box::pin(async { Err("orders: 7 events behind".into()) })
    })
    .required();
    let fine = ReadinessCheck::new("event-store", || Box::pin(async { Ok(()) }));
    let gateway = Gateway { readiness: vec![fine, down], ..memory() };
    let running = start(gateway, GatewayOptions::default()).await;
    let answer = talk(&running, &LIVE.replace("live", "ready")).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("orders: 7 events behind"), "{answer}");
}
