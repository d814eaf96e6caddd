//! What the default Prometheus registry shows of a provider.

use daybook_command_side::payments::Provider;
use prometheus::TextEncoder;

use crate::support::{Requests as _, gbp, simulated};

/// How often an authorization had an outcome, as a scrape shows it.
fn count(outcome: &str) -> u64 {
    let scrape = TextEncoder::new().encode_to_string(&prometheus::gather()).unwrap();
    let name = "daybook_payment_provider_calls_total";
    let series = format!(r#"{name}{{operation="authorize",outcome="{outcome}"}} "#);
    let count = scrape.lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn calls_are_counted_by_operation_and_outcome() {
    let provider = Provider::Simulated(simulated());
    for (token, outcome) in [
        ("tok_approve", "ok"),
        ("tok_decline", "declined"),
        ("tok_unheard_of", "invalid"),
        ("tok_timeout", "unavailable"),
    ] {
        let before = count(outcome);
        let _answer = provider.hold(token, gbp(1), token).await;
        assert!(count(outcome) > before, "{outcome}");
    }
}
