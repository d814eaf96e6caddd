//! The clients' own ceiling: a server that does no work. It says again, byte by byte, what the
//! store's server said.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use daybook_event_store_server::Prompt;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};

/// Serves what another server says until it is told to stop.
pub(super) async fn serve(
    listener: TcpListener,
    other: SocketAddr,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let other = Endpoint::from_shared(format!("http://{other}"))?.connect().await?;
    let (known, appended) = (Mutex::default(), OnceLock::new());
    let repeater = Arc::new(Repeater { other, known, appended });
    while let Some(connection) = stop.run_until_cancelled(listener.accept()).await {
        let (connection, _) = connection?;
        let _ = connection.set_nodelay(true);
        let repeater = Arc::clone(&repeater);
        let service = service_fn(move |request| Arc::clone(&repeater).answer(request));
        let http = http2::Builder::new(TokioExecutor::new());
        let served = http.serve_connection(TokioIo::new(Prompt::new(connection)), service);
        tokio::spawn(stop.clone().run_until_cancelled_owned(served));
    }
    Ok(())
}

/// Answers what it was asked before as it was answered then, and every append as the first one.
/// What is new to it, it asks the other server.
#[derive(Debug)]
struct Repeater {
    other: Channel,
    known: Mutex<HashMap<Bytes, Arc<Answer>>>,
    appended: OnceLock<Arc<Answer>>,
}

/// An answer, ready to be sent.
#[derive(Debug)]
struct Answer {
    headers: HeaderMap,
    messages: Bytes,
    trailers: Option<HeaderMap>,
}

impl Repeater {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let asked = body.collect().await?;
        let is_append = head.uri.path().ends_with("/Append");
        if is_append && let Some(answer) = self.appended.get() {
            return Ok(answer.send());
        }
        let asked = asked.to_bytes();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&asked).cloned();
        if let Some(answer) = known {
            return Ok(answer.send());
        }
        let answer = Arc::new(self.ask(head, asked.clone()).await?);
        if is_append {
            let _ = self.appended.set(Arc::clone(&answer));
        } else {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(asked, Arc::clone(&answer));
        }
        Ok(answer.send())
    }

    async fn ask(&self, head: Parts, asked: Bytes) -> anyhow::Result<Answer> {
        let mut other = self.other.clone();
        std::future::poll_fn(|cx| other.poll_ready(cx)).await?;
        let asked = Request::from_parts(head, Body::new(Full::new(asked)));
        let (head, body) = other.call(asked).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        Ok(Answer { headers: head.headers, messages: body.to_bytes(), trailers })
    }
}

impl Answer {
    fn send(&self) -> Response<Body> {
        let trailers = self.trailers.clone();
        let body = Full::new(self.messages.clone());
        let body = body.with_trailers(async { trailers.map(Ok) });
        let mut response = Response::new(Body::new(body));
        response.headers_mut().clone_from(&self.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use daybook_event_store::{Appended, EventStore, Expected, Position, Revision, Store};
    use daybook_event_store_server::{Server, ServerOptions};

    use super::*;
    use crate::load::Payloads;

    #[tokio::test]
    async fn what_was_said_once_is_said_again() {
        let (store, stop) = (Store::memory(), CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = listener.local_addr().unwrap();
        let server = Server::new(store.clone(), ServerOptions::default());
        tokio::spawn(server.serve(listener, stop.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, other, stop.clone()));
        let client = Store::eventstoredb(&format!("kurrentdb://{address}?tls=false")).unwrap();
        let (stream, payloads) = ("order-1".parse().unwrap(), Payloads::new());
        let append = |turn| client.append(&stream, Expected::Any, payloads.events(turn, 1));

        let first = append(0).await;
        let read = client.read_last(&stream).await;
        let second = append(1).await;

        // Positions on the wire are one more than the store's.
        assert_eq!(first, Ok(Appended { revision: Revision(0), position: Position(1) }));
        assert_eq!(second, first);
        assert_eq!(read.unwrap().unwrap().revision, Revision(0));
        store.append(&stream, Expected::Any, payloads.events(2, 1)).await.unwrap();
        assert_eq!(client.read_last(&stream).await.unwrap().unwrap().revision, Revision(0));
        assert_eq!(store.read_last(&stream).await.unwrap().unwrap().revision, Revision(1));
        stop.cancel();
    }
}
