use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

/// Each event's text: the subject on the first line, then the body.
const TEXTS: [(&str, &str); 5] = [
    ("OrderConfirmed", include_str!("templates/OrderConfirmed.txt")),
    ("OrderPaid", include_str!("templates/OrderPaid.txt")),
    ("OrderShipped", include_str!("templates/OrderShipped.txt")),
    ("OrderCancelled", include_str!("templates/OrderCancelled.txt")),
    ("OrderRefunded", include_str!("templates/OrderRefunded.txt")),
];

/// The templates, ready to be filled.
pub(crate) fn templates() -> Environment<'static> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    for (kind, text) in TEXTS {
        templates.add_template(kind, text).expect("the templates in the box are well-formed");
    }
    templates
}

/// A text's subject and body.
pub(crate) fn render(
    templates: &Environment<'_>,
    kind: &str,
    facts: &Value,
) -> Result<(String, String), minijinja::Error> {
    let text = templates.get_template(kind)?.render(Serde(facts))?;
    let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
    Ok((subject.to_owned(), body.trim_start().to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_template_says_what_it_is_about() {
        let facts = json!({
            "name": "Ada", "order": "42", "amount": "12.99 GBP", "seller": "acme",
            "tracking": "T1", "items": [{ "sku": "A", "quantity": 2 }, { "sku": "B", "quantity": 1 }],
            "reason": "you asked for it",
        });
        for (kind, _) in TEXTS {
            let (subject, body) = render(&templates(), kind, &facts).unwrap();
            assert!(subject.contains("42") && body.starts_with("Dear Ada,"), "{subject}: {body}");
        }
        let (_, body) = render(&templates(), "OrderShipped", &facts).unwrap();
        assert!(body.contains("acme has sent you 2 of A, 1 of B of your order 42"), "{body}");
    }

    #[test]
    fn a_template_that_lacks_a_fact_is_not_sent() {
        assert!(render(&templates(), "OrderPaid", &json!({ "order": "42" })).is_err());
    }
}
