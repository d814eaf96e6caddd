//! The ceiling: a bare call there and back, with nothing done in between.

use std::net::SocketAddr;

use anyhow::Context;
use daybook_event_store::{
    AppendError, Appended, Expected, NewEvent, Position, Revision, StreamId,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
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

/// Serves it until it is told to stop.
pub(super) async fn serve(listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    let served = Server::builder().add_service(EchoServer::new(Back));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    served.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await?;
    Ok(())
}

/// A client of an echo. An append sends the first payload.
#[derive(Debug)]
pub(super) struct Echoes(EchoClient<Channel>);

impl Echoes {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let client = EchoClient::connect(format!("http://{address}")).await;
        client.map(Self).context("cannot reach the echo")
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
        let echoed = self.0.clone().echo(Payload { data }).await;
        let place = echoed.map(|_| Appended { revision: Revision(0), position: Position(0) });
        place.map_err(|status| AppendError::Unavailable { reason: status.to_string() })
    }
}
