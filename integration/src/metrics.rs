use prometheus::core::Collector;
use prometheus::{Error, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What is counted of the relay.
#[derive(Debug, Clone)]
pub(crate) struct RelayMetrics {
    pub(crate) published: IntCounterVec,
    pub(crate) dead: IntCounter,
    pub(crate) interruptions: IntCounter,
    pub(crate) flying: IntGauge,
    pub(crate) lag: Gauge,
}

/// What is counted of consumers, by name.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerMetrics {
    pub(crate) events: IntCounterVec,
    pub(crate) retries: IntCounterVec,
    pub(crate) dead: IntCounterVec,
    pub(crate) interruptions: IntCounterVec,
    pub(crate) lag: GaugeVec,
}

impl RelayMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("daybook_relay_{name}"), help);
        let counter = |name, help| IntCounter::with_opts(opts(name, help));
        let published = opts("published_total", "events that kafka has acknowledged");
        let flying = opts("unacknowledged", "events that were sent and are not acknowledged");
        let lag = opts("lag_seconds", "age of the oldest event that kafka has not acknowledged");
        Ok(Self {
            published: register(registry, IntCounterVec::new(published, &["topic"])?)?,
            dead: register(registry, counter("dead_letters_total", "events set aside")?)?,
            interruptions: register(
                registry,
                counter("interruptions_total", "times it began again from the checkpoint")?,
            )?,
            flying: register(registry, IntGauge::with_opts(flying)?)?,
            lag: register(registry, Gauge::with_opts(lag)?)?,
        })
    }
}

impl ConsumerMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("daybook_consumer_{name}"), help);
        let counters =
            |name, help| register(registry, IntCounterVec::new(opts(name, help), &["consumer"])?);
        let lag = opts("lag_seconds", "age of the last event that was consumed while others wait");
        Ok(Self {
            events: counters("messages_total", "messages delivered by the feed")?,
            retries: counters("retries_total", "events that failed and were tried again")?,
            dead: counters("dead_letters_total", "messages set aside")?,
            interruptions: counters("interruptions_total", "times the feed or database failed")?,
            lag: register(registry, GaugeVec::new(lag, &["consumer"])?)?,
        })
    }
}

/// Attempts to deliver notifications, by what became of them.
pub(crate) fn delivery_attempts(registry: &Registry) -> Result<IntCounterVec, Error> {
    let attempts = Opts::new(
        "daybook_notifications_attempts_total",
        "attempts to deliver notifications, by what became of them",
    );
    register(registry, IntCounterVec::new(attempts, &["channel", "outcome"])?)
}

/// Registers a collector. A second one of the same name, as in tests, counts for itself alone.
fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    match registry.register(Box::new(collector.clone())) {
        Ok(()) | Err(Error::AlreadyReg) => Ok(collector),
        Err(error) => Err(error),
    }
}
