//! What the command side counts, in the process-wide Prometheus registry.

use std::sync::LazyLock;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, register_histogram_vec,
    register_int_counter_vec,
};

/// Two metrics of one name would be a mistake in this crate, found by its first test.
const REGISTERED: &str = "a metric is registered once";

static COMMANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "daybook_commands_total",
        "Commands by aggregate and outcome",
        &["aggregate", "outcome"]
    )
    .expect(REGISTERED)
});

static CONFLICTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "daybook_command_conflicts_total",
        "Appends that somebody else was faster than",
        &["aggregate"]
    )
    .expect(REGISTERED)
});

static BATCHES: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "daybook_command_batch_size",
        "Commands decided for one append",
        &["aggregate"],
        vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]
    )
    .expect(REGISTERED)
});

/// The command metrics of one kind of aggregate, looked up once.
#[derive(Debug)]
pub(crate) struct CommandMetrics {
    pub(crate) accepted: IntCounter,
    pub(crate) unchanged: IntCounter,
    pub(crate) rejected: IntCounter,
    pub(crate) stale: IntCounter,
    pub(crate) conflict: IntCounter,
    pub(crate) failed: IntCounter,
    pub(crate) conflicts: IntCounter,
    pub(crate) batches: Histogram,
}

impl CommandMetrics {
    pub(crate) fn of(aggregate: &str) -> Self {
        let outcome = |outcome| COMMANDS.with_label_values(&[aggregate, outcome]);
        Self {
            accepted: outcome("accepted"),
            unchanged: outcome("unchanged"),
            rejected: outcome("rejected"),
            stale: outcome("stale"),
            conflict: outcome("conflict"),
            failed: outcome("failed"),
            conflicts: CONFLICTS.with_label_values(&[aggregate]),
            batches: BATCHES.with_label_values(&[aggregate]),
        }
    }
}
