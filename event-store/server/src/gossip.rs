//! The service `Gossip`: a cluster of one node, which leads.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::node::{Endpoint, Node};
use crate::protocol::gossip::gossip_server::{Gossip, GossipServer};
use crate::protocol::gossip::member_info::VNodeState;
use crate::protocol::gossip::{ClusterInfo, EndPoint, MemberInfo};
use crate::protocol::{Empty, IdForm, since_epoch};

#[derive(Debug, Clone)]
pub(crate) struct GossipService(Arc<Node>);

impl GossipService {
    pub(crate) fn server(node: &Arc<Node>) -> GossipServer<Self> {
        GossipServer::new(Self(Arc::clone(node)))
    }
}

#[tonic::async_trait]
impl Gossip for GossipService {
    async fn read(&self, request: Request<Empty>) -> Result<Response<ClusterInfo>, Status> {
        let Self(node) = self;
        let endpoint = request.extensions().get::<Endpoint>().cloned();
        let Endpoint { host, port } = endpoint.unwrap_or_else(|| node.address.into());
        let state =
            if node.stop.is_cancelled() { VNodeState::ShuttingDown } else { VNodeState::Leader };
        let member = MemberInfo {
            instance_id: Some(IdForm::Structured.encode(node.id)),
            // .NET's ticks, of 100 ns.
            time_stamp: i64::try_from(since_epoch().as_nanos() / 100).unwrap_or(i64::MAX),
            state: state.into(),
            is_alive: true,
            http_end_point: Some(EndPoint { address: host, port: port.into() }),
        };
        Ok(Response::new(ClusterInfo { members: vec![member] }))
    }
}
