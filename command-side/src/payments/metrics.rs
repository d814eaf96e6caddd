//! What the default Prometheus registry shows of providers.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, IntGauge, register_int_counter_vec, register_int_gauge};

use super::port::{ProviderError, Receipt};

static CALLS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "daybook_payment_provider_calls_total",
        "Requests to the payment provider by operation and outcome, retries within one not counted",
        &["operation", "outcome"]
    )
    .expect("the metric is registered once, under a valid name")
});

static BREAKER: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "daybook_payment_provider_breaker_state",
        "The circuit breaker before the payment provider: 0 closed, 1 half-open, 2 open"
    )
    .expect("the metric is registered once, under a valid name")
});

/// Counts a request.
pub(super) fn called(operation: &str, answer: &Result<Receipt, ProviderError>) {
    let outcome = match answer {
        Ok(_) => "ok",
        Err(ProviderError::Declined { .. }) => "declined",
        Err(ProviderError::Invalid { .. }) => "invalid",
        Err(ProviderError::Unavailable { .. }) => "unavailable",
        Err(ProviderError::KeyReused) => "key_reused",
    };
    CALLS.with_label_values(&[operation, outcome]).inc();
}

/// Shows the breaker's state: 0 closed, 1 half-open, 2 open.
pub(super) fn breaker_state(state: i64) {
    BREAKER.set(state);
}
