//! What the command side counts, in the process-wide Prometheus registry.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    register_gauge_vec, register_histogram_vec, register_int_counter_vec, register_int_gauge_vec,
};

use crate::processes::Progress;

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

static PROCESS_COUNTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "daybook_process_commands_total",
        "Commands of process managers that were tried again or parked",
        &["process", "outcome"]
    )
    .expect(REGISTERED)
});

static PROCESS_LAG: LazyLock<GaugeVec> = LazyLock::new(|| {
    register_gauge_vec!(
        "daybook_process_lag_seconds",
        "Age of the last event that a process manager took in; 0 where it has caught up",
        &["process"]
    )
    .expect(REGISTERED)
});

static PROCESS_SIZES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "daybook_process_pending",
        "Commands under way and timers set by process managers",
        &["process", "what"]
    )
    .expect(REGISTERED)
});

/// The metrics of one process manager, looked up once.
#[derive(Debug)]
pub(crate) struct ProcessMetrics {
    pub(crate) retries: IntCounter,
    pub(crate) parked: IntCounter,
    lag: Gauge,
    in_flight: IntGauge,
    timers: IntGauge,
}

impl ProcessMetrics {
    pub(crate) fn of(process: &str) -> Self {
        let count = |outcome| PROCESS_COUNTS.with_label_values(&[process, outcome]);
        let size = |what| PROCESS_SIZES.with_label_values(&[process, what]);
        Self {
            retries: count("retried"),
            parked: count("parked"),
            lag: PROCESS_LAG.with_label_values(&[process]),
            in_flight: size("commands"),
            timers: size("timers"),
        }
    }

    /// Notes how old the last event was, in microseconds; `None`: there are no more.
    pub(crate) fn lag(&self, micros: Option<i64>) {
        let micros = u64::try_from(micros.unwrap_or(0)).unwrap_or(0);
        self.lag.set(Duration::from_micros(micros).as_secs_f64());
    }

    pub(crate) fn progress(&self, progress: &Progress) {
        self.in_flight.set(progress.in_flight.try_into().unwrap_or(i64::MAX));
        self.timers.set(progress.timers.try_into().unwrap_or(i64::MAX));
    }
}
