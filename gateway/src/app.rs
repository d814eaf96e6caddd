use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use daybook_command_side::Commands;
use daybook_command_side::idempotency::Idempotency;
use daybook_command_side::payments::Provider;
use daybook_query_side::Queries;
use daybook_query_side::catalog::Catalog;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

use crate::error::{Error, panicked};
use crate::server::{GatewayOptions, serve_with};
use crate::{ReadinessCheck, observe, openapi, routes};

/// What the edge needs of the rest of the platform.
#[derive(Clone)]
pub struct Gateway {
    /// Carries out commands.
    pub commands: Commands,
    /// Makes repeated commands take effect once.
    pub idempotency: Idempotency,
    /// Asks the payment provider.
    pub provider: Provider,
    /// Asks the read models.
    pub queries: Queries,
    /// Searches the catalog.
    pub catalog: Catalog,
    /// Renders every metric of the process in Prometheus' text format.
    pub metrics: fn() -> String,
    /// What `/health/ready` asks beside its own checks of the event store and the read models.
    pub readiness: Vec<ReadinessCheck>,
}

impl Gateway {
    /// Serves HTTP on `listener` until `shutdown`, then lets requests in progress finish.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        options: GatewayOptions,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let app = App::new(self, options);
        let App { options, commands, .. } = &app;
        serve_with(listener, app.clone().router(), options, commands, shutdown).await
    }

    /// The routes, for a server or test that brings its own transport.
    pub fn router(self, options: GatewayOptions) -> Router {
        App::new(self, options).router()
    }
}

/// What every handler shares.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) options: Arc<GatewayOptions>,
    /// What must hold for the server to be ready.
    pub(crate) checks: Arc<[ReadinessCheck]>,
    /// One permit per request of `/v1` in progress.
    pub(crate) requests: Arc<Semaphore>,
    /// Commands in progress. They outlive their requests: a client that hangs up, or a deadline,
    /// does not stop one half way.
    pub(crate) commands: TaskTracker,
}

impl App {
    fn new(gateway: Gateway, options: GatewayOptions) -> Self {
        let usual = ReadinessCheck::usual(gateway.commands.store().clone(), &gateway.queries);
        Self {
            checks: usual.into_iter().chain(gateway.readiness.iter().cloned()).collect(),
            gateway: Arc::new(gateway),
            requests: Arc::new(Semaphore::new(options.concurrent_requests)),
            options: Arc::new(options),
            commands: TaskTracker::new(),
        }
    }

    fn router(self) -> Router {
        let v1 = routes::v1().layer(from_fn_with_state(self.clone(), observe::limit));
        let (router, _) = openapi::about().merge(v1).split_for_parts();
        router
            .fallback(async || Error::UnknownRoute)
            .method_not_allowed_fallback(async |method: Method| Error::MethodNotAllowed {
                method: method.to_string(),
            })
            .layer(DefaultBodyLimit::max(self.options.body_bytes))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn_with_state(self.clone(), observe::observe))
            .with_state(self)
    }
}
