//! Calls as no client of good will makes them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const APPEND: &str = "/event_store.client.streams.Streams/Append";
pub(crate) const APPEND_RECORDS: &str =
    "/kurrentdb.protocol.v2.streams.StreamsService/AppendRecords";
pub(crate) const READ: &str = "/event_store.client.streams.Streams/Read";

/// A connection over HTTP/2, which ends with this.
#[derive(Clone)]
pub(crate) struct Raw {
    sender: SendRequest<Body>,
    address: SocketAddr,
    _end: Arc<DropGuard>,
}

/// The tasks of a connection. It would outlive its client as long as there are calls.
#[derive(Clone)]
struct Tasks(CancellationToken);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        tokio::spawn(self.0.clone().run_until_cancelled_owned(task));
    }
}

/// A connection whose client takes so many bytes of a response.
pub(crate) async fn connect(address: SocketAddr, window: u32) -> Raw {
    let connection = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let end = CancellationToken::new();
    let (sender, connection) = Builder::new(Tasks(end.clone()))
        .initial_stream_window_size(window)
        .max_concurrent_reset_streams(1_000)
        .handshake(connection)
        .await
        .unwrap();
    tokio::spawn(end.clone().run_until_cancelled_owned(connection));
    Raw { sender, address, _end: Arc::new(end.drop_guard()) }
}

/// The head of a message.
pub(crate) fn head(length: usize) -> Bytes {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&[0], &length[..]].concat().into()
}

/// A request for a stream's events.
pub(crate) fn read_stream(name: &str) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let stream = [field(1, &field(3, name.as_bytes())), field(3, b"")].concat();
    let count = [5 << 3, 10];
    let options = [field(1, &stream), count.to_vec(), field(8, b"")].concat();
    field(1, &options)
}

impl Raw {
    /// Makes a call with these bytes, and says nothing more.
    pub(crate) fn call(&self, path: &str, bytes: Vec<Bytes>) -> JoinHandle<Response<Incoming>> {
        let bytes = stream::iter(bytes.into_iter().map(Ok::<_, std::io::Error>));
        self.send(path, Body::from_stream(bytes.chain(stream::pending())))
    }

    /// Makes a call with one message.
    pub(crate) fn ask(&self, path: &str, message: &[u8]) -> JoinHandle<Response<Incoming>> {
        self.send(path, Body::from([&head(message.len())[..], message].concat()))
    }

    fn send(&self, path: &str, body: Body) -> JoinHandle<Response<Incoming>> {
        let request = Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)
            .unwrap();
        let mut sender = self.sender.clone();
        tokio::spawn(async move {
            sender.ready().await.unwrap();
            sender.send_request(request).await.unwrap()
        })
    }
}

/// The status that a call ended with before it had an answer.
pub(crate) fn refusal(response: &Response<Incoming>) -> Option<&str> {
    status(response.headers())
}

fn status(headers: &HeaderMap) -> Option<&str> {
    headers.get("grpc-status")?.to_str().ok()
}

/// The bytes of an answer, and the status that it ends with.
pub(crate) async fn ended(response: Response<Incoming>) -> (usize, Option<String>) {
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.unwrap();
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if let Some(trailers) = frame.trailers_ref() {
            return (bytes, status(trailers).map(Into::into));
        }
    }
    (bytes, None)
}
