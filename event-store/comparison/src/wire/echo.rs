//! The ceiling: a bare call there and back, with nothing done in between.

use std::net::SocketAddr;

use anyhow::Context;
use daybook_event_store::{
    AppendError, Appended, Expected, NewEvent, Position, Revision, StreamId,
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

use super::peers::echo::Payload;
use super::peers::echo::echo_client::EchoClient;
use super::peers::echo::echo_server::{Echo, EchoServer};
use crate::engine::Appends;

struct Back;

#[tonic::async_trait]
impl Echo for Back {
    async fn echo(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// A client of an echo that is served while it lives. An append sends the first payload.
pub(crate) struct Echoes {
    client: EchoClient<Channel>,
    _stop: DropGuard,
}

impl Echoes {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address: SocketAddr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let served = Server::builder().add_service(EchoServer::new(Back));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(served.serve_with_incoming_shutdown(incoming, stopped));
        let client = EchoClient::connect(format!("http://{address}")).await;
        let client = client.context("cannot reach the echo")?;
        Ok(Self { client, _stop: stop.drop_guard() })
    }
}

impl Appends for Echoes {
    async fn append(
        &self,
        _: &StreamId,
        _: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let data = events.into_iter().next().map(|event| event.data).unwrap_or_default();
        let echoed = self.client.clone().echo(Payload { data }).await;
        let place = echoed.map(|_| Appended { revision: Revision(0), position: Position(0) });
        place.map_err(|status| AppendError::Unavailable { reason: status.to_string() })
    }
}
