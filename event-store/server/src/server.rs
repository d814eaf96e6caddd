use std::io;
use std::sync::Arc;

use axum::{Router, middleware};
use daybook_event_store::Store;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::features::FeaturesService;
use crate::gossip::GossipService;
use crate::http;
use crate::monitoring::MonitoringService;
use crate::node::{Endpoint, Node};
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
        let node = Node::new(self.store, listener.local_addr()?, stop.clone());
        let routes = routes(&node, &self.options);
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
}

fn routes(node: &Arc<Node>, options: &ServerOptions) -> Router {
    let streams = StreamsService::new(node.store.clone(), options.append_bytes, node.stop.clone());
    Routes::new(streams.into_server())
        .add_service(FeaturesService::server())
        .add_service(GossipService::server(node))
        .add_service(MonitoringService::server(node))
        .into_axum_router()
        .reset_fallback()
        .merge(http::routes(Arc::clone(node)))
        .fallback(http::unknown)
        .layer(middleware::from_fn_with_state(Arc::clone(node), Endpoint::note))
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
