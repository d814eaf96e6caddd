//! The service `Monitoring`: the server's numbers, again and again.

use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use crate::errors;
use crate::node::Node;
use crate::protocol::monitoring::monitoring_server::{Monitoring, MonitoringServer};
use crate::protocol::monitoring::{StatsReq, StatsResp};
use crate::stats::Stats;

/// Numbers do not come more often, whatever a client asks for.
const LEAST_PERIOD: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(crate) struct MonitoringService(Arc<Node>);

impl MonitoringService {
    pub(crate) fn server(node: &Arc<Node>) -> MonitoringServer<Self> {
        MonitoringServer::new(Self(Arc::clone(node)))
    }
}

#[tonic::async_trait]
impl Monitoring for MonitoringService {
    type StatsStream = BoxStream<'static, Result<StatsResp, Status>>;

    async fn stats(
        &self,
        request: Request<StatsReq>,
    ) -> Result<Response<Self::StatsStream>, Status> {
        let period = Duration::from_millis(request.into_inner().refresh_time_period_in_ms);
        let period = period.max(LEAST_PERIOD);
        let node = Arc::clone(&self.0);
        let messages = try_stream! {
            loop {
                let stats = Stats::of(&node).await.map_err(|error| errors::unread(&error))?;
                yield StatsResp { stats: stats.pairs() };
                if node.stop.run_until_cancelled(tokio::time::sleep(period)).await.is_none() {
                    Err(errors::stopping())?;
                }
            }
        };
        Ok(Response::new(Box::pin(messages)))
    }
}
