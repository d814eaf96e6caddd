use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, core::Collector,
};

/// What is counted and measured, by projection.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) events: IntCounterVec,
    pub(crate) parked: IntCounterVec,
    pub(crate) batch_seconds: HistogramVec,
    pub(crate) lag_seconds: GaugeVec,
}

impl Metrics {
    /// Registers the metrics, or finds those of an earlier start.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("daybook_projection_{name}"), help);
        let label = &["projection"];
        let buckets = prometheus::exponential_buckets(0.000_5, 2.0, 12)?;
        let batch_seconds: HistogramOpts =
            opts("batch_seconds", "time to project and commit one batch").into();
        Ok(Self {
            events: register(
                registry,
                IntCounterVec::new(opts("events_total", "events projected"), label)?,
            )?,
            parked: register(
                registry,
                IntCounterVec::new(opts("parked_total", "events that were parked"), label)?,
            )?,
            batch_seconds: register(
                registry,
                HistogramVec::new(batch_seconds.buckets(buckets), label)?,
            )?,
            lag_seconds: register(
                registry,
                GaugeVec::new(
                    opts("lag_seconds", "age of the last projected event while others wait"),
                    label,
                )?,
            )?,
        })
    }
}

/// Registers a collector. A second one of the same name counts for itself alone, which is what a
/// second set of projections in one process (as in tests) wants.
fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    match registry.register(Box::new(collector.clone())) {
        Ok(()) | Err(prometheus::Error::AlreadyReg) => Ok(collector),
        Err(error) => Err(error),
    }
}
