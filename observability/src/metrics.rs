use prometheus::TextEncoder;

/// Every metric of the default registry in Prometheus' text exposition format.
///
/// A metric that cannot be rendered is a mistake in the program: it is logged, and what could be
/// rendered before it is returned.
pub fn render() -> String {
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&prometheus::gather(), &mut text) {
        tracing::error!(%error, "metrics cannot be rendered");
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounter, register};

    #[test]
    fn registered_metrics_are_rendered() {
        let sold = IntCounter::new("daybook_test_sold_total", "Things sold").expect("a metric");
        register(Box::new(sold.clone())).expect("a free name");
        sold.inc_by(3);
        let text = super::render();
        assert!(text.contains("# TYPE daybook_test_sold_total counter"), "{text}");
        assert!(text.contains("\ndaybook_test_sold_total 3\n"), "{text}");
    }
}
