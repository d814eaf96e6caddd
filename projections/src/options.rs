use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

/// How projections run.
#[derive(Debug, Clone)]
pub struct ProjectionOptions {
    /// Most events of one transaction.
    pub batch: usize,
    /// The least time from one transaction of a projection to its next, unless batches are full:
    /// under load it gathers events, and a projection that was idle writes at once.
    pub interval: Duration,
    /// How long a worker that falls silent keeps others from taking over.
    pub lease: Duration,
    /// The first pause after a failure; it doubles up to [`lease`](Self::lease).
    pub backoff: Duration,
    /// Names this process among the holders of leases. Must differ from process to process.
    pub owner: Arc<str>,
    /// Where metrics are registered.
    pub metrics: prometheus::Registry,
}

impl Default for ProjectionOptions {
    fn default() -> Self {
        Self {
            batch: 4_096,
            interval: Duration::from_millis(20),
            lease: Duration::from_secs(15),
            backoff: Duration::from_millis(100),
            owner: Uuid::now_v7().to_string().into(),
            metrics: prometheus::default_registry().clone(),
        }
    }
}
