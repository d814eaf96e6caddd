use std::io;

use axum::Router;
use daybook_event_store::Store;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::streams::StreamsService;

/// The most bytes of an append, where nothing else is said.
const APPEND_BYTES: usize = 1 << 20;

/// How a server is to serve.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The most bytes of payloads, metadata and types in one append.
    pub append_bytes: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { append_bytes: APPEND_BYTES }
    }
}

/// A store that is served.
#[derive(Debug, Clone)]
pub struct Server {
    store: Store,
    options: ServerOptions,
}

impl Server {
    /// A server for a store. It serves nothing yet.
    pub fn new(store: Store, options: ServerOptions) -> Self {
        Self { store, options }
    }

    /// Serves whoever connects, until it is told to stop; then it ends its subscriptions and
    /// answers what was asked before.
    ///
    /// # Errors
    /// No connection can be accepted.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let routes = self.routes(&stop);
        let connections = GracefulShutdown::new();
        loop {
            let (connection, _) = tokio::select! {
                accepted = listener.accept() => accepted?,
                () = stop.cancelled() => break,
            };
            serve_connection(connection, routes.clone(), &connections);
        }
        connections.shutdown().await;
        Ok(())
    }

    fn routes(&self, stop: &CancellationToken) -> Router {
        let Self { store, options } = self;
        let streams = StreamsService::new(store.clone(), options.append_bytes, stop.clone());
        Routes::new(streams.into_server()).into_axum_router()
    }
}

fn serve_connection(connection: TcpStream, routes: Router, connections: &GracefulShutdown) {
    if let Err(error) = connection.set_nodelay(true) {
        tracing::debug!(%error, "a connection cannot be made to send at once");
    }
    let builder = Builder::new(TokioExecutor::new());
    let service = TowerToHyperService::new(routes);
    let served = builder.serve_connection(TokioIo::new(connection), service).into_owned();
    let served = connections.watch(served);
    tokio::spawn(async move {
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection ended");
        }
    });
}
