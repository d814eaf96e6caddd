use std::net::SocketAddr;

use daybook_event_store::Store;
use daybook_event_store_server::{Server, ServerOptions};
use kurrentdb::{Client, EventData};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A server on a store in memory, and a client of it.
pub(crate) struct Given {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    _stop: DropGuard,
}

pub(crate) async fn server() -> Given {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = Server::new(Store::memory(), ServerOptions::default());
    tokio::spawn(server.serve(listener, stop.clone()));
    let client = client(&format!("kurrentdb://{address}?tls=false"));
    Given { client, address, _stop: stop.drop_guard() }
}

pub(crate) fn client(settings: &str) -> Client {
    Client::new(settings.parse().unwrap()).unwrap()
}

/// So many new events.
pub(crate) fn events(count: usize) -> Vec<EventData> {
    let event = |n| EventData::json("Tested", &serde_json::json!({ "n": n })).unwrap();
    (0..count).map(event).collect()
}
