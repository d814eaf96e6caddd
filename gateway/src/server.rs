use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How much the edge takes, and how long it waits.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Most bytes of a body.
    pub body_bytes: usize,
    /// Most bytes of a request line and its headers.
    pub head_bytes: usize,
    /// How long a request line and headers may take to arrive, and a connection may idle.
    pub head_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request may take in all.
    pub request_timeout: Duration,
    /// How long a read waits for the position in its `Consistency-Token`.
    pub consistency_timeout: Duration,
    /// Most requests of `/v1` at once; those over it are turned away.
    pub concurrent_requests: usize,
    /// Most connections at once; those over it wait to be accepted.
    pub connections: usize,
    /// How long requests in progress may take to finish after shutdown began.
    pub drain_timeout: Duration,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            head_bytes: 16 << 10,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(30),
            consistency_timeout: Duration::from_secs(5),
            concurrent_requests: 1024,
            connections: 8192,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// How long accepting rests after it failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves any router with the limits of connections until `shutdown`, then lets requests finish.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: &GatewayOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_with(listener, router, options, &TaskTracker::new(), shutdown).await
}

/// Serves until `shutdown`, then lets connections and commands finish.
///
/// HTTP/1.1 only, without protocol detection: detection waits for the first bytes without a
/// timeout, and slow clients could hold connections for ever.
pub(crate) async fn serve_with(
    listener: TcpListener,
    router: Router,
    options: &GatewayOptions,
    commands: &TaskTracker,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let connections = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(options.connections));
    tracing::info!(address = %listener.local_addr()?, "serving http");
    while let Some((stream, permit)) = accept(&listener, &permits, &shutdown).await {
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(connection(stream, service, http1(options), connections.watcher(), permit));
    }
    drop(listener);
    drain(options, connections, commands).await;
    Ok(())
}

/// The next connection, or `None` once the server is to stop.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let next = async {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(next).await.flatten()
}

fn http1(options: &GatewayOptions) -> http1::Builder {
    let mut http = http1::Builder::new();
    // Larger than the limit, so that most heads over it are read and get a problem as an answer
    // rather than the bare status that hyper sends.
    http.max_buf_size((options.head_bytes * 4).max(8 << 10))
        .max_headers(512)
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout);
    http
}

async fn connection(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    http: http1::Builder,
    watcher: Watcher,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps delaying small packets");
    }
    let connection = http.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke off");
    }
}

async fn drain(options: &GatewayOptions, connections: GracefulShutdown, commands: &TaskTracker) {
    commands.close();
    let open = connections.count();
    tracing::info!(open, "letting requests finish");
    let finished = async {
        connections.shutdown().await;
        commands.wait().await;
    };
    if tokio::time::timeout(options.drain_timeout, finished).await.is_err() {
        tracing::warn!(commands = commands.len(), "some requests did not finish in time");
    }
}
