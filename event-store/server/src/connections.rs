//! Connections: accepted, encrypted, and served as HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::calls::{Gathering, Guarded};
use crate::options::ServerOptions;
use crate::prompt::Prompt;
use crate::tls::Tls;

/// How long accepting rests after it failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long to wait for more where the first bytes did not tell the protocol.
const PEEK_PAUSE: Duration = Duration::from_millis(5);
/// The bytes of a response that are taken for a call before its client has taken them, beside its
/// last message.
const SEND_BUFFER: usize = 64 << 10;
/// What HTTP/2 begins with, as far as no method of HTTP/1.1 does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Serves connections until told to stop, and then until what is under way is answered or has
/// taken too long.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Guarded,
    options: &ServerOptions,
    stop: &CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(options.connections));
    let graceful = GracefulShutdown::new();
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    let server = Arc::new(ConnectionServer {
        routes,
        http: http(options),
        tls: options.tls.as_ref().map(Tls::acceptor),
        head_timeout: options.head_timeout,
        stop: stop.clone(),
    });
    while let Some((connection, permit)) = accept(&listener, &permits, stop).await {
        let (server, end, watcher) = (Arc::clone(&server), end.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit;
            end.run_until_cancelled(server.serve(connection, watcher)).await;
        });
    }
    drop(listener);
    drain(graceful, options.drain_timeout).await;
}

async fn drain(connections: GracefulShutdown, most: Duration) {
    tracing::info!(open = connections.count(), "letting calls finish");
    if timeout(most, connections.shutdown()).await.is_err() {
        tracing::warn!("some calls did not finish in time");
    }
}

/// The next connection; `None` once the server is to stop.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let next = async {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((connection, _)) => return Some((connection, permit)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(next).await.flatten()
}

fn http(options: &ServerOptions) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .max_buf_size((options.head_bytes as usize).max(8 << 10))
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.calls_per_connection)
        .initial_connection_window_size(options.connection_window)
        .initial_stream_window_size(options.call_window)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(options.head_bytes)
        .keep_alive_interval(options.keep_alive)
        .keep_alive_timeout(options.keep_alive);
    http
}

/// How to serve a connection.
struct ConnectionServer {
    routes: Guarded,
    http: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    head_timeout: Duration,
    stop: CancellationToken,
}

impl ConnectionServer {
    async fn serve(&self, connection: TcpStream, watcher: Watcher) {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection cannot be made to send at once");
        }
        let served = match &self.tls {
            Some(tls) => self.encrypted(connection, tls, watcher).await,
            None => self.plain(connection, watcher).await,
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended");
        }
    }

    async fn encrypted(
        &self,
        connection: TcpStream,
        tls: &TlsAcceptor,
        watcher: Watcher,
    ) -> Result<(), Broken> {
        let Some(connection) = self.begin(tls.accept(Prompt::new(connection))).await? else {
            return Ok(());
        };
        let http2 = connection.get_ref().1.alpn_protocol() == Some(b"h2");
        let from = connection.get_ref().0.get_ref().peer_addr()?;
        self.http(connection, from, http2, watcher).await
    }

    async fn plain(&self, connection: TcpStream, watcher: Watcher) -> Result<(), Broken> {
        let Some(http2) = self.begin(begins_http2(&connection)).await? else { return Ok(()) };
        let from = connection.peer_addr()?;
        self.http(Prompt::new(connection), from, http2, watcher).await
    }

    /// What has to come first; `None` where the server stops before it does.
    async fn begin<T>(
        &self,
        first: impl Future<Output = io::Result<T>>,
    ) -> Result<Option<T>, Broken> {
        match self.stop.run_until_cancelled(timeout(self.head_timeout, first)).await {
            Some(first) => Ok(Some(first??)),
            None => Ok(None),
        }
    }

    async fn http<C>(
        &self,
        connection: C,
        from: SocketAddr,
        http2: bool,
        watcher: Watcher,
    ) -> Result<(), Broken>
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let http = self.http.clone();
        let http = if http2 { http.http2_only() } else { http.http1_only() };
        let connection = Gathering::new(connection, Arc::clone(self.routes.calls()));
        let routes = self.routes.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(from);
            // In a box, since it is large and is moved several times before it runs.
            routes.clone().serve(request.map(Body::new)).map(Ok::<_, Infallible>).boxed()
        });
        let served = http.serve_connection(TokioIo::new(connection), service).into_owned();
        watcher.watch(served).await
    }
}

/// Why a connection ended before its time.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Whether a client speaks HTTP/2. Nothing is taken from the connection.
async fn begins_http2(connection: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let read = connection.peek(&mut first).await?;
        let differs = first[..read] != PREFACE[..read];
        if read == 0 || differs || read == PREFACE.len() {
            return Ok(!differs && read > 0);
        }
        sleep(PEEK_PAUSE).await;
    }
}
