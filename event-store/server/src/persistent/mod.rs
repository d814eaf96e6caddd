//! The service `PersistentSubscriptions`: groups of consumers that share the events of a stream,
//! each acknowledged by one of them.
//!
//! A [`machine`] decides, without input and output, what becomes of each message; an [`actor`]
//! drives it, one task for each group. What a group is and how far it has come is kept in the
//! store itself: nothing that was acknowledged before a checkpoint is sent again, and what was
//! parked stays until it is replayed and acknowledged.

mod actor;
mod config;
mod consumer;
mod errors;
mod event;
mod group;
mod groups;
mod info;
mod journal;
mod machine;
mod memory;
mod read;
mod request;
mod settings;
mod source;
mod stats;
mod write;

#[cfg(feature = "fuzzing")]
pub(crate) use self::machine::model;

use tonic::{Request, Response, Status, Streaming};

use self::groups::Groups;
pub(crate) use self::memory::GroupsMemory;
use crate::node::Node;
use crate::protocol::Empty;
use crate::protocol::persistent::persistent_subscriptions_server::{
    PersistentSubscriptions, PersistentSubscriptionsServer,
};
use crate::protocol::persistent::{
    CreateReq, CreateResp, DeleteReq, DeleteResp, GetInfoReq, GetInfoResp, ListReq, ListResp,
    ReadReq, ReplayParkedReq, ReplayParkedResp, UpdateReq, UpdateResp,
};

/// The service over a store.
#[derive(Debug, Clone)]
pub(crate) struct PersistentSubscriptionsService {
    groups: Groups,
}

impl PersistentSubscriptionsService {
    pub(crate) fn new(node: &Node) -> Self {
        Self { groups: Groups::new(node) }
    }

    pub(crate) fn into_server(self) -> PersistentSubscriptionsServer<Self> {
        PersistentSubscriptionsServer::new(self)
    }

    /// Ends all groups; each begins again when it is next asked.
    pub(crate) async fn restart(&self) -> Result<(), Status> {
        self.groups.restart().await
    }
}

#[tonic::async_trait]
impl PersistentSubscriptions for PersistentSubscriptionsService {
    type ReadStream = consumer::Responses;

    async fn create(&self, request: Request<CreateReq>) -> Result<Response<CreateResp>, Status> {
        self.groups.create(request::create(request.into_inner())?).await?;
        Ok(Response::new(CreateResp {}))
    }

    async fn update(&self, request: Request<UpdateReq>) -> Result<Response<UpdateResp>, Status> {
        self.groups.update(request::update(request.into_inner())?).await?;
        Ok(Response::new(UpdateResp {}))
    }

    async fn delete(&self, request: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        self.groups.delete(&request::delete(request.into_inner())?).await?;
        Ok(Response::new(DeleteResp {}))
    }

    async fn read(
        &self,
        request: Request<Streaming<ReadReq>>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        read::read(&self.groups, request).await.map(Response::new)
    }

    async fn get_info(
        &self,
        request: Request<GetInfoReq>,
    ) -> Result<Response<GetInfoResp>, Status> {
        let info = self.groups.info(&request::info(request.into_inner())?).await?;
        Ok(Response::new(GetInfoResp { subscription_info: Some(info) }))
    }

    async fn replay_parked(
        &self,
        request: Request<ReplayParkedReq>,
    ) -> Result<Response<ReplayParkedResp>, Status> {
        let (name, stop_at) = request::replay(request.into_inner())?;
        self.groups.replay(&name, stop_at).await?;
        Ok(Response::new(ReplayParkedResp {}))
    }

    async fn list(&self, request: Request<ListReq>) -> Result<Response<ListResp>, Status> {
        let stream = request::list(request.into_inner())?;
        let subscriptions = self.groups.list(stream.as_deref()).await?;
        Ok(Response::new(ListResp { subscriptions }))
    }

    async fn restart_subsystem(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.restart().await?;
        Ok(Response::new(Empty {}))
    }
}
