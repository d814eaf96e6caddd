//! The service `Operations`: what an embedded store can honestly do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use daybook_event_store::{EmbeddedStore, Scavenge, ScavengeOptions, ScavengeState, Store};
use parking_lot::Mutex;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::errors;
use crate::node::Node;
use crate::persistent::PersistentSubscriptionsService;
use crate::protocol::Empty;
use crate::protocol::operations::operations_server::{Operations, OperationsServer};
use crate::protocol::operations::scavenge_resp::ScavengeResult;
use crate::protocol::operations::{
    ScavengeResp, SetNodePriorityReq, StartScavengeReq, StopScavengeReq,
};

#[derive(Debug, Clone)]
pub(crate) struct OperationsService {
    node: Arc<Node>,
    /// The scavenge that was asked for or asked about last.
    last: Arc<Mutex<Option<Numbered>>>,
    subscriptions: PersistentSubscriptionsService,
    /// Whether clients may stop the server.
    shutdown: bool,
}

/// A scavenge as clients know it.
#[derive(Debug, Clone)]
struct Numbered {
    id: String,
    scavenge: Scavenge,
}

impl OperationsService {
    pub(crate) fn server(
        node: &Arc<Node>,
        subscriptions: PersistentSubscriptionsService,
        shutdown: bool,
    ) -> OperationsServer<Self> {
        let (node, last) = (Arc::clone(node), Arc::default());
        OperationsServer::new(Self { node, last, subscriptions, shutdown })
    }

    fn store(&self) -> Result<&EmbeddedStore, Status> {
        match &self.node.store {
            Store::Embedded(store) => Ok(store),
            _ => Err(Status::unimplemented("there is nothing to scavenge but an embedded store")),
        }
    }

    /// Starts a scavenge, or joins the one that runs.
    fn start(&self) -> Result<(String, ScavengeResult), Status> {
        let store = self.store()?;
        let mut last = self.last.lock();
        if let Some(Numbered { id, .. }) = last.as_ref().filter(|last| last.is_running()) {
            return Ok((id.clone(), ScavengeResult::InProgress));
        }
        // One that was begun by the store's owner, or before the server was started.
        let running = store.last_scavenge().filter(is_running);
        let result =
            if running.is_some() { ScavengeResult::InProgress } else { ScavengeResult::Started };
        let scavenge = running.unwrap_or_else(|| store.scavenge(ScavengeOptions::default()));
        if let ScavengeState::Failed { reason } = scavenge.progress().state {
            return Err(Status::unavailable(format!("the store cannot be scavenged: {reason}")));
        }
        let id = Uuid::now_v7().to_string();
        *last = Some(Numbered { id: id.clone(), scavenge });
        Ok((id, result))
    }
}

impl Numbered {
    fn is_running(&self) -> bool {
        is_running(&self.scavenge)
    }
}

fn is_running(scavenge: &Scavenge) -> bool {
    scavenge.progress().state == ScavengeState::Running
}

#[tonic::async_trait]
impl Operations for OperationsService {
    /// The number of threads is one, and all closed segments are looked at: a scavenge costs
    /// nothing where nothing can be dropped.
    async fn start_scavenge(
        &self,
        request: Request<StartScavengeReq>,
    ) -> Result<Response<ScavengeResp>, Status> {
        let options = request.into_inner().options.unwrap_or_default();
        if options.thread_count < 0 || options.start_from_chunk < 0 {
            return Err(Status::invalid_argument(
                "the number of threads and the chunk to start from must not be negative",
            ));
        }
        let (scavenge_id, result) = self.start()?;
        Ok(Response::new(ScavengeResp { scavenge_id, scavenge_result: result.into() }))
    }

    async fn stop_scavenge(
        &self,
        request: Request<StopScavengeReq>,
    ) -> Result<Response<ScavengeResp>, Status> {
        let id = request.into_inner().options.unwrap_or_default().scavenge_id;
        self.store()?;
        let known = self.last.lock().clone().filter(|last| last.id == id);
        let Some(Numbered { id, scavenge }) = known else { return Err(unknown(&id)) };
        scavenge.stop();
        scavenge.ended().await;
        let result = ScavengeResult::Stopped.into();
        Ok(Response::new(ScavengeResp { scavenge_id: id, scavenge_result: result }))
    }

    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        if !self.shutdown {
            return Err(errors::access_denied("this server is not stopped by its clients"));
        }
        tracing::info!("a client stops the server");
        self.node.stop.cancel();
        Ok(Response::new(Empty {}))
    }

    /// The store merges its indexes whenever there is something to merge.
    async fn merge_indexes(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.store().map_err(|_| Status::unimplemented("a store in memory has no indexes"))?;
        Ok(Response::new(Empty {}))
    }

    /// A cluster of one node elects it again.
    async fn resign_node(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    /// The gossip tells it. There is no other node to be preferred.
    async fn set_node_priority(
        &self,
        request: Request<SetNodePriorityReq>,
    ) -> Result<Response<Empty>, Status> {
        self.node.priority.store(request.into_inner().priority, Ordering::Relaxed);
        Ok(Response::new(Empty {}))
    }

    async fn restart_persistent_subscriptions(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Empty>, Status> {
        self.subscriptions.restart().await?;
        Ok(Response::new(Empty {}))
    }
}

fn unknown(scavenge: &str) -> Status {
    let message = format!("Scavenge {scavenge} does not exist or is not the last one.");
    errors::exception(Code::NotFound, message, "scavenge-not-found", &[("scavenge-id", scavenge)])
}
