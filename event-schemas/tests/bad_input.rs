//! What is not an event gets a clear error and never a panic.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::error::Error;
use std::fs;

use daybook_event_schemas::{Contract, DecodeError, DomainEvent, MAX_PAYLOAD, catalogue};
use proptest::prelude::*;
use serde_json::{Value, json};

fn fixture(kind: &str) -> Value {
    let path = format!("{}/fixtures/{kind}.v1.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn decode(kind: &str, payload: &Value) -> Result<Option<DomainEvent>, DecodeError> {
    DomainEvent::decode(kind, 1, payload.to_string().as_bytes())
}

/// The error of a payload with one value replaced.
#[track_caller]
fn refusal(kind: &str, pointer: &str, value: Value) -> String {
    let mut payload = fixture(kind);
    *payload.pointer_mut(pointer).unwrap() = value;
    match decode(kind, &payload) {
        Err(DecodeError::Malformed { source, .. }) => source.to_string(),
        other => panic!("{payload} was read as {other:?}"),
    }
}

#[track_caller]
fn assert_refused(kind: &str, pointer: &str, value: Value, why: &str) {
    let refusal = refusal(kind, pointer, value);
    assert!(refusal.contains(why), "{refusal}");
}

#[test]
fn an_unknown_type_is_reported() {
    let error = decode("OrderFramed", &json!({})).unwrap_err();

    assert_eq!(error.to_string(), "unknown event type \"OrderFramed\"");
}

#[test]
fn a_version_of_a_later_release_is_reported() {
    let error = DomainEvent::decode("OrderPaid", 2, b"{}").unwrap_err();

    assert!(matches!(error, DecodeError::TooNew { version: 2, newest: 1, .. }), "{error:?}");
}

#[test]
fn a_version_that_never_was_is_reported() {
    let error = DomainEvent::decode("OrderPaid", 0, b"{}").unwrap_err();

    assert!(matches!(error, DecodeError::UnknownVersion { version: 0, .. }), "{error:?}");
}

#[test]
fn a_payload_that_is_too_large_is_not_even_parsed() {
    let data = vec![b' '; MAX_PAYLOAD + 1];

    let error = DomainEvent::decode("OrderPaid", 1, &data).unwrap_err();

    assert!(matches!(error, DecodeError::TooLarge { .. }), "{error:?}");
}

#[test]
fn text_that_is_not_json_is_malformed_and_says_where() {
    let error = DomainEvent::decode("OrderPaid", 1, b"{\"payment\": ").unwrap_err();

    assert_eq!(error.to_string(), "OrderPaid version 1 is malformed");
    assert!(error.source().unwrap().to_string().contains("line 1 column 12"), "{error:?}");
}

#[test]
fn deep_nesting_is_malformed() {
    let data = "[".repeat(100_000);

    let error = DomainEvent::decode("OrderPaid", 1, data.as_bytes()).unwrap_err();

    assert!(matches!(error, DecodeError::Malformed { .. }), "{error:?}");
}

#[test]
fn quantities_out_of_range_are_malformed() {
    for quantity in [json!(-6), json!(0), json!(1_000_000_001), json!(i64::MAX)] {
        assert_refused("StockReserved", "/quantity", quantity, "a quantity must be from 1");
    }
    for quantity in [json!(u64::MAX), json!(1.5), json!("6"), json!(null)] {
        assert_refused("StockReserved", "/quantity", quantity, "invalid");
    }
}

#[test]
fn amounts_are_whole_minor_units_of_a_known_currency() {
    assert_refused("OrderPaid", "/amount/amount", json!(15.30), "invalid type: floating point");
    assert_refused("OrderPaid", "/amount/amount", json!(u64::MAX), "invalid value");
    assert_refused("OrderPaid", "/amount/currency", json!("gbp"), "ISO 4217");
    assert_refused("OrderPaid", "/amount/currency", json!("XYZ"), "ISO 4217");
}

#[test]
fn ids_are_hyphenated_uuids() {
    for id in
        ["", "42", "7d4448409dc051d1b2455ffdce74fad2", "{7d444840-9dc0-51d1-b245-5ffdce74fad2}"]
    {
        assert_refused("OrderPaid", "/payment", json!(id), "a UUID must be hyphenated");
    }
}

#[test]
fn instants_have_one_form() {
    for at in ["2011-12-09", "2011-12-09T12:50:00Z", "2011-12-09T12:50:00.000000+01:00"] {
        assert_refused("OrderPaid", "/at", json!(at), "an instant must be");
    }
}

#[test]
fn texts_are_what_the_domain_takes() {
    assert_refused("ProductListed", "/sku", json!("x".repeat(65)), "1 to 64 characters");
    assert_refused("ProductListed", "/seller", json!("Oak & Iron"), "lowercase");
    assert_refused("ProductListed", "/name", json!("two\nlines"), "one line");
    assert_refused("CustomerRegistered", "/email", json!("zoe"), "an e-mail address");
    assert_refused("CustomerChanged", "/country", json!("gb"), "ISO 3166-1");
    assert_refused("PaymentRequested", "/method", json!("a card"), "a payment method");
}

#[test]
fn choices_are_those_that_are_known() {
    assert_refused("StockReleased", "/reason", json!("stolen"), "unknown variant `stolen`");
    assert_refused("OrderCancelled", "/reason/type", json!("mood"), "unknown variant `mood`");
}

#[test]
fn a_missing_field_is_malformed() {
    let mut payload = fixture("OrderPaid");
    payload.as_object_mut().unwrap().remove("amount");

    let error = decode("OrderPaid", &payload).unwrap_err();

    assert!(error.source().unwrap().to_string().contains("missing field `amount`"), "{error:?}");
}

#[test]
fn a_missing_optional_field_reads_as_none() {
    let mut payload = fixture("CustomerRegistered");
    let with_null = decode("CustomerRegistered", &payload).unwrap();

    payload.as_object_mut().unwrap().remove("country");

    assert_eq!(decode("CustomerRegistered", &payload).unwrap(), with_null);
}

#[test]
fn a_field_of_a_later_release_is_passed_over() {
    let mut payload = fixture("OrderPaid");
    let known = decode("OrderPaid", &payload).unwrap();

    payload["loyaltyPoints"] = json!(15);

    assert_eq!(decode("OrderPaid", &payload).unwrap(), known);
}

#[test]
fn a_doubled_field_is_malformed() {
    let data = br#"{"at": "2011-12-09T12:50:00.000000Z", "at": "2011-12-09T12:50:00.000000Z"}"#;

    let error = DomainEvent::decode("OrderConfirmed", 1, data).unwrap_err();

    assert!(error.source().unwrap().to_string().contains("duplicate field"), "{error:?}");
}

/// Any JSON of a moderate size.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".*", inner), 0..6)
                .prop_map(|o| Value::Object(o.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_are_read_with_a_panic(data in prop::collection::vec(any::<u8>(), 0..256), version: u16) {
        for form in catalogue() {
            let _ = (form.renew)(version, &data);
            let _ = (form.renew)(form.version, &data);
        }
    }

    #[test]
    fn no_json_in_a_field_is_read_with_a_panic(value in any_json(), place: prop::sample::Index) {
        for form in catalogue() {
            let mut payload = fixture(form.kind);
            let fields = payload.as_object_mut().unwrap();
            let field = fields.keys().nth(place.index(fields.len())).cloned().unwrap();
            fields[&field] = value.clone();
            if let Ok(Some(wire)) = (form.renew)(1, payload.to_string().as_bytes()) {
                let again = (form.renew)(wire.version, &wire.data).unwrap();
                prop_assert_eq!(again, Some(wire));
            }
        }
    }
}
