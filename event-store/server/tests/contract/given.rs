use std::net::SocketAddr;
use std::time::Duration;

use daybook_event_store::{EventStoreDb, EventStoreDbOptions, Store};
use daybook_event_store_server::{Server, ServerOptions};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::suite::LIMITS;

/// A server, until it is stopped or dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(store: Store) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), store).await
    }

    pub(crate) async fn start_at(address: SocketAddr, store: Store) -> Self {
        Self::start_with(address, store, ServerOptions::default()).await
    }

    pub(crate) async fn start_with(
        address: SocketAddr,
        store: Store,
        options: ServerOptions,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let server = Server::new(store, options);
        let serving = server.serve(listener, stop.clone());
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, stop, serving }
    }

    /// Ends the server; the store is the caller's to close.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.serving).await.unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
        self.serving.abort();
    }
}

/// The adapter for whoever serves at an address.
pub(crate) fn client(address: SocketAddr) -> EventStoreDb {
    patient(address, Duration::from_mins(1))
}

/// The same, which gives up after a while.
pub(crate) fn patient(address: SocketAddr, patience: Duration) -> EventStoreDb {
    let options = EventStoreDbOptions { limits: LIMITS, patience, ..Default::default() };
    EventStoreDb::new(&format!("esdb://{address}?tls=false"), &options).unwrap()
}
