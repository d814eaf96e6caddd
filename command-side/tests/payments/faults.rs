//! The client against servers that are down, slow, broken or lying.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use daybook_command_side::payments::{
    HttpOptions, HttpProvider, HttpProviderError, ProviderError, SimulatedProvider, server,
};
use daybook_event_store::{EmbeddedOptions, Store};
use futures::stream;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Answer, Requests as _, Server, gbp, options, simulated};

/// A client's patience in tests of servers that never answer.
const SHORT: Duration = Duration::from_millis(100);

#[track_caller]
fn assert_unavailable(answer: &Answer, says: &str) {
    match answer {
        Err(ProviderError::Unavailable { reason }) if reason.contains(says) => {}
        other => panic!("{other:?}"),
    }
}

/// A provider whose first answers are replaced: the request is done, but what comes back is this.
fn answering_first(
    times: usize,
    provider: SimulatedProvider,
    instead: impl Fn() -> axum::response::Response + Clone + Send + Sync + 'static,
) -> (Router, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let replace = move |request, next: axum::middleware::Next| {
        let (count, instead) = (Arc::clone(&count), instead.clone());
        async move {
            let answer = next.run(request).await;
            if count.fetch_add(1, Ordering::SeqCst) < times { instead() } else { answer }
        }
    };
    let router = server::router(provider).layer(axum::middleware::from_fn(replace));
    (router, seen)
}

/// Runs a charge through a server that replaces its first two answers and expects one charge.
async fn charged_once_despite(
    instead: impl Fn() -> axum::response::Response + Clone + Send + Sync + 'static,
) {
    let truth = simulated();
    let (router, seen) = answering_first(2, truth.clone(), instead);
    let server = Server::start(router).await;
    let client = server.client(3);

    let held = client.hold("a", gbp(100), "tok_approve").await.unwrap();
    client.take("c", &held, gbp(100)).await.unwrap();

    let ledger = truth.ledger().await.unwrap();
    assert_eq!((ledger.authorizations, ledger.captures, ledger.repeated), (1, 1, 2));
    assert_eq!((ledger.captured["GBP"], ledger.charged_twice), (100, 0));
    assert_eq!(seen.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_500_after_the_charge_does_not_charge_twice() {
    charged_once_despite(|| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
}

#[tokio::test]
async fn garbage_after_the_charge_does_not_charge_twice() {
    charged_once_despite(|| "<html>welcome</html>".into_response()).await;
}

#[tokio::test]
async fn an_empty_success_after_the_charge_does_not_charge_twice() {
    charged_once_despite(|| StatusCode::CREATED.into_response()).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let location = [("location", "http://127.0.0.1:1/")];
    charged_once_despite(move || (StatusCode::FOUND, location).into_response()).await;
}

#[tokio::test]
async fn an_endless_response_is_not_read_to_its_end() {
    charged_once_despite(|| "x".repeat(1 << 20).into_response()).await;
}

#[tokio::test]
async fn a_lost_answer_does_not_charge_twice() {
    let truth = simulated();
    let server = Server::start(server::router(truth.clone())).await;
    let client = server.client(2);

    let held = client.hold("a", gbp(100), "tok_lost_answer").await.unwrap();
    client.take("c", &held, gbp(100)).await.unwrap();
    client.give_back("r", &held, gbp(40)).await.unwrap();

    let ledger = truth.ledger().await.unwrap();
    assert_eq!((ledger.authorizations, ledger.captures, ledger.refunds), (1, 1, 1));
    assert_eq!((ledger.captured["GBP"], ledger.refunded["GBP"], ledger.repeated), (100, 40, 3));
    assert_eq!((ledger.overdrawn, ledger.charged_twice), (0, 0));
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let vacant = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = HttpProvider::new(&format!("http://{vacant}"), options(2)).unwrap();
    assert_unavailable(&client.hold("a", gbp(1), "tok_approve").await, "connected");
}

#[tokio::test]
async fn a_restarted_server_answers_from_its_ledger() {
    let folder = TempDir::new().unwrap();
    let open = || Store::embedded(folder.path(), &EmbeddedOptions::default()).unwrap();
    let store = open();
    let first = Server::start(server::router(SimulatedProvider::new(store.clone()))).await;
    let (client, address) = (first.client(20), first.address);
    let held = client.hold("a", gbp(100), "tok_lost_answer").await.unwrap();
    drop(first);
    store.close();
    drop(store);

    let truth = SimulatedProvider::new(open());
    let _second = Server::start_at(address, server::router(truth.clone())).await;
    assert_eq!(client.hold("a", gbp(100), "tok_lost_answer").await, Ok(held.clone()));
    client.take("c", &held, gbp(100)).await.unwrap();
    let ledger = truth.ledger().await.unwrap();
    assert_eq!((ledger.authorizations, ledger.captures, ledger.captured["GBP"]), (1, 1, 100));
    assert_eq!((ledger.overdrawn, ledger.charged_twice), (0, 0));
}

#[tokio::test]
async fn a_server_that_hangs_after_the_charge_is_asked_again() {
    let endless = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let truth = simulated();
    let (router, seen) = answering_first(1, truth.clone(), move || endless().into_response());
    let server = Server::start(router).await;
    let hasty = HttpOptions { request_timeout: SHORT, ..options(100) };
    let client = HttpProvider::new(&server.url(), hasty).unwrap();

    client.hold("a", gbp(1), "tok_approve").await.unwrap();
    assert_eq!(truth.ledger().await.unwrap().authorizations, 1);
    assert!(seen.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn a_timeout_token_outlasts_the_client() {
    let truth = simulated();
    let server = Server::start(server::router(truth.clone())).await;
    let hasty = HttpOptions { request_timeout: SHORT, ..options(2) };
    let client = HttpProvider::new(&server.url(), hasty).unwrap();

    assert_unavailable(&client.hold("a", gbp(1), "tok_timeout").await, "too long");
    assert_eq!(truth.ledger().await.unwrap().authorizations, 0);
}

/// What a client makes of a server that answers with these bytes and closes the connection.
async fn answered_with(bytes: &'static [u8]) -> Answer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _request = connection.read(&mut [0; 4096]).await;
            connection.write_all(bytes).await.unwrap();
        }
    });
    let client = HttpProvider::new(&url, options(2)).unwrap();
    client.hold("a", gbp(1), "tok_approve").await
}

#[tokio::test]
async fn a_connection_closed_in_the_response_is_unavailable() {
    let half = b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"reference\":";
    assert_unavailable(&answered_with(half).await, "broke off");
}

#[tokio::test]
async fn a_connection_closed_without_a_response_is_unavailable() {
    assert_unavailable(&answered_with(b"").await, "broke off");
}

#[tokio::test]
async fn what_does_not_speak_http_is_unavailable() {
    assert_unavailable(&answered_with(b"220 mail ready\r\n").await, "broke off");
}

#[tokio::test]
async fn declines_and_wrong_requests_are_not_asked_again() {
    let (router, seen) = answering_first(0, simulated(), || ().into_response());
    let server = Server::start(router).await;
    let client = server.client(5);

    assert!(client.hold("a", gbp(1), "tok_decline").await.is_err());
    assert!(client.hold("b", gbp(1), "tok_unheard_of").await.is_err());
    assert_eq!(client.hold("a", gbp(2), "tok_decline").await, Err(ProviderError::KeyReused));
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_open_breaker_asks_nobody() {
    let broken = || StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let (router, seen) = answering_first(usize::MAX, simulated(), broken);
    let server = Server::start(router).await;
    let strict = HttpOptions { breaker_threshold: 5, ..options(3) };
    let client = HttpProvider::new(&server.url(), strict).unwrap();

    for _ in 0..4 {
        assert!(client.hold("a", gbp(1), "tok_approve").await.is_err());
    }
    assert_unavailable(&client.hold("a", gbp(1), "tok_approve").await, "not asked");
    assert_eq!(seen.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_breaker_closes_again_when_the_probe_is_answered() {
    let broken = || StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let (router, _) = answering_first(5, simulated(), broken);
    let server = Server::start(router).await;
    let cooldown = Duration::ZERO;
    let eager = HttpOptions { breaker_threshold: 5, breaker_cooldown: cooldown, ..options(1) };
    let client = HttpProvider::new(&server.url(), eager).unwrap();

    for _ in 0..5 {
        assert!(client.hold("a", gbp(1), "tok_approve").await.is_err());
    }
    client.hold("a", gbp(1), "tok_approve").await.unwrap();
    assert!(client.hold("b", gbp(1), "tok_decline").await.is_err());
}

#[tokio::test]
async fn declines_do_not_open_the_breaker() {
    let server = Server::start(server::router(simulated())).await;
    let strict = HttpOptions { breaker_threshold: 2, ..options(1) };
    let client = HttpProvider::new(&server.url(), strict).unwrap();
    for n in 0..5 {
        assert!(client.hold(&format!("a{n}"), gbp(1), "tok_decline").await.is_err());
    }
    client.hold("b", gbp(1), "tok_approve").await.unwrap();
}

#[test]
fn addresses_that_are_none_are_refused() {
    for url in ["", "psp", "localhost:8090", "ftp://psp/", "http://", "/v1"] {
        let refused = HttpProvider::new(url, HttpOptions::default());
        assert!(matches!(refused, Err(HttpProviderError::Url { .. })), "{url}");
    }
}

#[test]
fn https_needs_no_set_up_of_its_own() {
    // Without CA certificates on the machine it is an error, but never a panic.
    let made = HttpProvider::new("https://psp.example/base/", HttpOptions::default());
    assert!(matches!(made, Ok(_) | Err(HttpProviderError::Client(_))));
}
