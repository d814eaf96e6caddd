use std::any::Any;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use axum::{Router, middleware};
use daybook_event_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use tower_http::catch_panic::CatchPanicLayer;

use crate::features::FeaturesService;
use crate::gossip::GossipService;
use crate::monitoring::MonitoringService;
use crate::node::{Endpoint, Node};
use crate::operations::OperationsService;
use crate::options::ServerOptions;
use crate::persistent::PersistentSubscriptionsService;
use crate::streams::StreamsService;
use crate::users::{Users, UsersService};
use crate::{access, connections, http};

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

    /// Serves whoever connects until it is told to stop, by the token or by a client that may. Then
    /// it ends its subscriptions, and answers what was asked before, for a bounded time.
    ///
    /// # Errors
    /// The listener is none any more.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let Self { store, options } = self;
        let address = listener.local_addr()?;
        tracing::info!(%address, tls = options.tls.is_some(), "serving the event store");
        let node = Node::new(store, address, options.authentication, stop.clone());
        connections::serve(listener, routes(&node, &options), &options, &stop).await;
        Ok(())
    }
}

fn routes(node: &Arc<Node>, options: &ServerOptions) -> Router {
    let users = Users::new(node.store.clone());
    let asked = options.authentication.then(|| users.clone());
    let streams = StreamsService::new(node.store.clone(), options.append_bytes, node.stop.clone());
    let subscriptions = PersistentSubscriptionsService::new(node);
    Routes::new(streams.sessions())
        .add_service(streams.into_server())
        .add_service(FeaturesService::server())
        .add_service(GossipService::server(node))
        .add_service(MonitoringService::server(node))
        .add_service(OperationsService::server(node, subscriptions.clone(), options.shutdown))
        .add_service(subscriptions.into_server())
        .add_service(UsersService::server(users.clone()))
        .into_axum_router()
        .reset_fallback()
        .merge(http::routes(Arc::clone(node)))
        .fallback(http::unknown)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(asked, access::check))
        .layer(middleware::from_fn_with_state(Arc::clone(node), Endpoint::note))
}

/// What is said where a handler panicked. The panic itself was told on the standard error.
fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    Status::internal("the server failed at this call").into_http()
}
