use std::io;
use std::net::SocketAddr;

use daybook_event_store::{EmbeddedOptions, Store};
use daybook_event_store_server::{Server, ServerOptions};
use kurrentdb::{Client, EventData};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A server on a store, and a client of it.
pub(crate) struct Given {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<io::Result<()>>,
    _stop: DropGuard,
}

/// A server on a store in memory.
pub(crate) async fn server() -> Given {
    serve(Store::memory(), ServerOptions::default()).await
}

/// A server on a store in a folder, which is there as long as the folder's guard.
pub(crate) async fn embedded(options: ServerOptions) -> (Given, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = Store::embedded(folder.path(), &EmbeddedOptions::default()).unwrap();
    (serve(store, options).await, folder)
}

pub(crate) async fn serve(store: Store, options: ServerOptions) -> Given {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(Server::new(store, options).serve(listener, stop.clone()));
    let client = client(&format!("kurrentdb://{address}?tls=false"));
    Given { client, address, stop: stop.clone(), served, _stop: stop.drop_guard() }
}

pub(crate) fn client(settings: &str) -> Client {
    Client::new(settings.parse().unwrap()).unwrap()
}

/// So many new events.
pub(crate) fn events(count: usize) -> Vec<EventData> {
    let event = |n| EventData::json("Tested", &serde_json::json!({ "n": n })).unwrap();
    (0..count).map(event).collect()
}
