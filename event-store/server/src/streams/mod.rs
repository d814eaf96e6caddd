//! The service `Streams`: append, read, follow, delete.

mod append;
mod batch;
mod delete;
mod expected;
mod filter;
mod follow;
mod links;
mod read;
mod request;
mod respond;
mod sessions;
mod wire_event;

pub(crate) use self::filter::EventFilter;
pub(crate) use self::follow::{Followed, stream_from};
pub(crate) use self::links::{Item, LINK, Resolved};
pub(crate) use self::read::{items, last, resolved};
pub(crate) use self::request::{From, Streamed};
pub(crate) use self::wire_event::WireEvent;

use axum::http::Extensions;
use daybook_event_store::Store;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use self::sessions::SessionService;
use crate::access::Caller;
use crate::budget::Share;
use crate::protocol::sessions::streams_service_server::StreamsServiceServer;
use crate::protocol::streams::streams_server::{Streams, StreamsServer};
use crate::protocol::streams::{
    AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, DeleteReq, DeleteResp, ReadReq,
    ReadResp, TombstoneReq, TombstoneResp,
};

/// The most bytes of a message. More than an append may have, so that clients are told of that
/// limit and not of this one.
pub(crate) const MOST_MESSAGE: usize = 17 << 20;

/// The service over a store.
#[derive(Clone, Debug)]
pub(crate) struct StreamsService {
    store: Store,
    /// The most bytes of one append.
    append_bytes: usize,
    stop: CancellationToken,
    /// Who makes the call that this serves, and what it may hold.
    caller: Caller,
    share: Share,
}

impl StreamsService {
    pub(crate) fn new(store: Store, append_bytes: usize, stop: CancellationToken) -> Self {
        let (caller, share) = (Caller::default(), Share::of(&Extensions::new()));
        Self { store, append_bytes, stop, caller, share }
    }

    fn called_by<T>(&self, request: &Request<T>) -> Self {
        let (caller, share) = (Caller::of(request.extensions()), Share::of(request.extensions()));
        Self { caller, share, ..self.clone() }
    }

    /// The service for appends to several streams at once.
    pub(crate) fn sessions(&self) -> StreamsServiceServer<SessionService> {
        SessionService::server(self.store.clone(), self.append_bytes)
    }

    pub(crate) fn into_server(self) -> StreamsServer<Self> {
        StreamsServer::new(self).max_decoding_message_size(MOST_MESSAGE)
    }
}

/// A response of many messages. It is made as fast as the client takes it.
type Messages<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl Streams for StreamsService {
    type ReadStream = Messages<ReadResp>;
    type BatchAppendStream = Messages<BatchAppendResp>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        let caller = Caller::of(request.extensions());
        let share = Share::of(request.extensions());
        let mut request = request::ReadRequest::decode(request.into_inner())?;
        if let Some(filter) = &mut request.filter {
            filter.hold(&share)?;
        }
        caller.stream(&request.of.name())?;
        let messages = if request.follow {
            follow::follow(&self.store, request, &self.stop).await
        } else {
            read::read(&self.store, request).await
        };
        messages.map(Response::new)
    }

    async fn append(
        &self,
        request: Request<Streaming<AppendReq>>,
    ) -> Result<Response<AppendResp>, Status> {
        append::append(&self.called_by(&request), request.into_inner()).await.map(Response::new)
    }

    async fn batch_append(
        &self,
        request: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        Ok(Response::new(batch::batch(self.called_by(&request), request.into_inner())))
    }

    async fn delete(&self, request: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        delete::delete(&self.called_by(&request), request.into_inner()).await.map(Response::new)
    }

    async fn tombstone(
        &self,
        request: Request<TombstoneReq>,
    ) -> Result<Response<TombstoneResp>, Status> {
        delete::tombstone(&self.called_by(&request), request.into_inner()).await.map(Response::new)
    }
}
