//! Events as messages to other systems, and the document that describes these.
//!
//! After a change: `UPDATE_SCHEMAS=1 cargo test -p daybook-event-schemas --test integration`.

use std::fs;

use daybook_event_schemas::integration::{
    Header, ReceiveError, Topic, asyncapi, publish, publish_unread, receive,
};
use daybook_event_schemas::{Actor, DomainEvent, Metadata};
use daybook_event_schemas::{DecodeError, open, seal};
use daybook_event_store::{Position, Recorded, RecordedEvent, Revision};
use serde_json::Value;
use uuid::Uuid;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/asyncapi.json");

fn metadata() -> Metadata {
    Metadata {
        schema_version: 1,
        correlation_id: Uuid::from_u128(1),
        causation_id: Uuid::from_u128(2),
        actor: Actor("user:alice".into()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

fn fixture(kind: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{kind}.v1.json", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).expect(&path)
}

fn recorded(stream: &str, kind: &str) -> Recorded {
    RecordedEvent {
        stream: stream.parse().expect("it is a stream"),
        revision: Revision(3),
        position: Position(7),
        recorded_at: 1_323_435_000_000_000,
        id: Uuid::from_u128(9),
        kind: kind.into(),
        data: fixture(kind).into(),
        metadata: serde_json::to_vec(&metadata()).expect("metadata are JSON").into(),
        is_json: true,
    }
    .into()
}

fn with(headers: &[Header], name: &str, value: Option<&str>) -> Vec<Header> {
    let others = headers.iter().filter(|(header, _)| header != name).cloned();
    others.chain(value.map(|value| (name.to_owned().into(), value.to_owned()))).collect()
}

#[test]
fn every_event_of_the_business_reads_as_it_was_published() {
    for topic in Topic::ALL {
        for form in topic.forms() {
            let recorded = recorded(&format!("{}-A 1", topic.category()), form.kind);

            let (headers, payload) = publish(&recorded).unwrap().unwrap();
            let received = receive(topic, &headers, &payload).unwrap();

            assert_eq!(received, open::<DomainEvent>(&recorded).unwrap());
        }
    }
}

#[test]
fn an_event_that_cannot_be_read_is_told_by_its_headers() {
    let recorded = recorded("order-A", "OrderPlaced");
    let recorded = RecordedEvent { data: "{}".into(), ..(*recorded).clone() }.into();
    assert!(publish(&recorded).is_err());

    let headers = publish_unread(&recorded);
    let refused = receive(Topic::Orders, &headers, &recorded.data);

    assert!(matches!(refused, Err(ReceiveError::Decode(DecodeError::Malformed { .. }))));
}

#[test]
fn malformed_headers_are_named() {
    let (good, payload) = publish(&recorded("order-A", "OrderConfirmed")).unwrap().unwrap();
    for (name, bad) in [
        ("ce_id", Some("42")),
        ("ce_id", None),
        ("ce_type", Some("OrderConfirmed")),
        ("ce_type", Some("daybook.OrderConfirmed.vX")),
        ("ce_subject", None),
        ("ce_subject", Some("a\0b")),
        ("ce_time", Some("yesterday")),
        ("ce_revision", Some("-1")),
        ("ce_position", Some("18446744073709551616")),
        ("ce_correlationid", Some("")),
        ("ce_actor", None),
    ] {
        let refused = receive(Topic::Orders, &with(&good, name, bad), &payload).unwrap_err();
        assert!(refused.to_string().contains(name), "{name} {bad:?}: {refused}");
    }
    let later = with(&good, "ce_type", Some("daybook.OrderConfirmed.v9"));
    let refused = receive(Topic::Orders, &later, &payload);
    assert!(matches!(refused, Err(ReceiveError::Decode(DecodeError::TooNew { .. }))));
}

#[test]
fn a_sealed_event_keeps_what_was_said_about_it() {
    let placed = open::<DomainEvent>(&recorded("order-A", "OrderPlaced")).unwrap().unwrap();
    let sealed = seal(placed.id, &placed.event, &placed.metadata);
    assert_eq!(serde_json::from_slice::<Metadata>(&sealed.metadata).unwrap(), metadata());
}

#[test]
fn the_committed_document_is_that_of_the_code() {
    let document = serde_json::to_string_pretty(&asyncapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(DOCUMENT, &document).unwrap();
    }
    assert_eq!(fs::read_to_string(DOCUMENT).unwrap(), document, "renew with UPDATE_SCHEMAS=1");
}

/// What a JSON pointer within the document, or a file beside it, holds.
fn resolve(document: &Value, reference: &str) -> Option<Value> {
    if let Some(pointer) = reference.strip_prefix('#') {
        return document.pointer(pointer).cloned();
    }
    let path = format!("{}/{reference}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_has_every_event_and_refers_to_nothing_that_is_missing() {
    let document = asyncapi();
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in &found {
        assert!(resolve(&document, reference).is_some(), "{reference} is nowhere");
    }
    for topic in Topic::ALL {
        assert_eq!(document["operations"][topic.name()]["action"], "send");
        for form in topic.forms() {
            let listed = &document["channels"][topic.name()]["messages"][form.kind]["$ref"];
            let message = resolve(&document, listed.as_str().unwrap()).unwrap();
            assert_eq!(message["name"], format!("daybook.{}.v{}", form.kind, form.version));
            let payload = message["payload"]["schema"]["$ref"].as_str().unwrap();
            assert_eq!(resolve(&document, payload).unwrap()["title"], form.kind);
        }
    }
}

#[test]
fn headers_are_as_the_document_says() {
    let document = asyncapi();
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    compiler.add_resource("mem:///document", document).unwrap();
    let mut schemas = boon::Schemas::new();
    for topic in Topic::ALL {
        for form in topic.forms() {
            let recorded = recorded(&format!("{}-A", topic.category()), form.kind);
            let (headers, _) = publish(&recorded).unwrap().unwrap();
            let headers: Value =
                headers.into_iter().map(|(name, value)| (name.into_owned(), value)).collect();
            let place = format!("mem:///document#/components/messages/{}/headers", form.kind);
            let schema = compiler.compile(&place, &mut schemas).unwrap();
            assert_eq!(schemas.validate(&headers, schema).map_err(|e| e.to_string()), Ok(()));
            let mut without = headers.clone();
            without.as_object_mut().unwrap().remove("ce_id");
            assert!(schemas.validate(&without, schema).is_err());
        }
    }
}

/// With the official schema of `AsyncAPI` 3, where its file is given.
#[test]
#[ignore = "needs DAYBOOK_ASYNCAPI_SCHEMA, the file schemas/3.0.0.json of npm's @asyncapi/specs"]
fn the_document_is_as_the_official_schema_says() {
    let path = std::env::var("DAYBOOK_ASYNCAPI_SCHEMA").expect("the schema's file is given");
    let official: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.set_default_draft(boon::Draft::V7);
    compiler.add_resource("mem:///official", official).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile("mem:///official", &mut schemas).unwrap();
    let judged = schemas.validate(&asyncapi(), schema).map_err(|error| format!("{error:#}"));
    assert_eq!(judged, Ok(()));
}
