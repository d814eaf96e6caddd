use std::io;
use std::sync::Arc;

use daybook_event_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::calls::{Guarded, Services};
use crate::features::FeaturesService;
use crate::gossip::GossipService;
use crate::monitoring::MonitoringService;
use crate::node::Node;
use crate::operations::OperationsService;
use crate::options::ServerOptions;
use crate::persistent::PersistentSubscriptionsService;
use crate::streams::StreamsService;
use crate::users::{Users, UsersService};
use crate::{connections, http};

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
        let node = Node::new(store, address, &options, stop.clone());
        connections::serve(listener, routes(&node, &options), &options, &stop).await;
        Ok(())
    }
}

pub(crate) fn routes(node: &Arc<Node>, options: &ServerOptions) -> Guarded {
    let users = Users::new(node.store.clone());
    let asked = options.authentication.then(|| users.clone());
    let streams = StreamsService::new(node.store.clone(), options.append_bytes, node.stop.clone());
    let subscriptions = PersistentSubscriptionsService::new(node);
    let others = Routes::new(streams.sessions())
        .add_service(FeaturesService::server())
        .add_service(GossipService::server(node))
        .add_service(MonitoringService::server(node))
        .add_service(OperationsService::server(node, subscriptions.clone(), options.shutdown))
        .add_service(subscriptions.into_server())
        .add_service(UsersService::server(users.clone()))
        .into_axum_router()
        .reset_fallback()
        .merge(http::routes(Arc::clone(node)))
        .fallback(http::unknown);
    Guarded::new(Services::new(streams, others), Arc::clone(node), asked)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::{HeaderMap, Response};
    use axum::routing::get;
    use futures::stream;
    use http_body_util::BodyExt;

    use super::*;

    async fn fails() -> Response<Body> {
        panic!("a handler that is asked for it")
    }

    /// A response that fails after its first message.
    async fn breaks_off() -> Response<Body> {
        let messages = (0..2).map(|n| {
            assert_eq!(n, 0, "a response that is asked for it");
            Ok::<_, Infallible>("first")
        });
        Response::new(Body::from_stream(stream::iter(messages)))
    }

    fn given() -> Guarded {
        let (options, stop) = (ServerOptions::default(), CancellationToken::new());
        let node = Node::new(Store::memory(), ([127, 0, 0, 1], 1).into(), &options, stop);
        let streams = StreamsService::new(node.store.clone(), 1 << 20, node.stop.clone());
        let others = Router::new()
            .route("/fails", get(fails))
            .route("/breaks-off", get(breaks_off))
            .merge(http::routes(Arc::clone(&node)));
        Guarded::new(Services::new(streams, others), node, None)
    }

    /// The bytes of an answer, and the headers or trailers that say how it ended.
    async fn ask(server: &Guarded, path: &str) -> (Vec<u8>, HeaderMap) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = server.clone().serve(request).await;
        let (head, mut body) = response.into_parts();
        let (mut bytes, mut ended) = (Vec::new(), head.headers);
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => ended = frame.into_trailers().unwrap(),
            }
        }
        (bytes, ended)
    }

    #[tokio::test]
    async fn a_handler_that_panics_fails_its_call_alone() {
        let server = given();

        for (path, sent) in [("/fails", ""), ("/breaks-off", "first")] {
            let (bytes, ended) = ask(&server, path).await;
            assert_eq!(bytes, sent.as_bytes(), "{path}");
            assert_eq!(ended["grpc-status"], "13", "{path}");
            assert!(ended.contains_key("grpc-message"), "{path}");
        }

        let (stats, _) = ask(&server, "/stats").await;
        let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
        assert_eq!(stats["calls"]["failed"], 2);
        assert_eq!(stats["calls"]["current"], 1, "the call that asks");
    }
}
