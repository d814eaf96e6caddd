//! Events as they stand in a store.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use daybook_domain::order::OrderEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::Timestamp;
use daybook_event_schemas::{Actor, DecodeError, DomainEvent, Metadata, open, open_known, seal};
use daybook_event_store::{NewEvent, Position, Recorded, RecordedEvent, Revision, StreamId};
use serde_json::{Value, json};
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);

fn metadata(traceparent: Option<&str>) -> Metadata {
    Metadata {
        schema_version: 0,
        correlation_id: Uuid::from_u128(1),
        causation_id: Uuid::from_u128(2),
        actor: Actor("user:alice".into()),
        traceparent: traceparent.map(Into::into),
    }
}

fn confirmed() -> OrderEvent {
    OrderEvent::Confirmed { at: Timestamp::from_micros(0) }
}

fn recorded(event: NewEvent) -> Recorded {
    RecordedEvent {
        stream: StreamId::new("order", ID).unwrap(),
        revision: Revision(3),
        position: Position(42),
        recorded_at: 5,
        id: event.id,
        kind: event.kind,
        data: event.data,
        metadata: event.metadata,
        is_json: true,
    }
    .into()
}

#[test]
fn a_sealed_event_opens_as_it_was() {
    for traceparent in [None, Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")] {
        let sealed = seal(ID, &confirmed(), &metadata(traceparent));

        let envelope = open::<OrderEvent>(&recorded(sealed)).unwrap().unwrap();

        assert_eq!(envelope.event, confirmed());
        assert_eq!(envelope.metadata, Metadata { schema_version: 1, ..metadata(traceparent) });
        assert_eq!((envelope.id, envelope.revision.0, envelope.position.0), (ID, 3, 42));
    }
}

#[test]
fn metadata_are_written_under_the_names_that_event_stores_know() {
    let sealed = seal(ID, &confirmed(), &metadata(None));

    assert_eq!(
        serde_json::from_slice::<Value>(&sealed.metadata).unwrap(),
        json!({
            "schemaVersion": 1,
            "$correlationId": "00000000-0000-0000-0000-000000000001",
            "$causationId": "00000000-0000-0000-0000-000000000002",
            "actor": "user:alice",
        })
    );
}

#[test]
fn a_reader_that_may_skip_passes_over_unknown_types() {
    let unknown = recorded(NewEvent {
        kind: "OrderFramed".into(),
        ..seal(ID, &confirmed(), &metadata(None))
    });
    let of_others = recorded(seal(ID, &confirmed(), &metadata(None)));

    assert_eq!(open_known::<DomainEvent>(&unknown).unwrap(), None);
    assert_eq!(open_known::<StockEvent>(&of_others).unwrap(), None);
    assert!(open_known::<DomainEvent>(&of_others).unwrap().is_some());
}

#[test]
fn a_reader_that_may_not_skip_reports_unknown_types() {
    let unknown = recorded(NewEvent {
        kind: "OrderFramed".into(),
        ..seal(ID, &confirmed(), &metadata(None))
    });

    let error = open::<DomainEvent>(&unknown).unwrap_err();

    assert!(matches!(error, DecodeError::UnknownKind { kind } if kind == "OrderFramed"));
}

#[test]
fn not_even_a_reader_that_may_skip_passes_over_damage() {
    let sealed = seal(ID, &confirmed(), &metadata(None));
    let no_metadata = recorded(NewEvent { metadata: "".into(), ..sealed.clone() });
    let no_data = recorded(NewEvent { data: "".into(), ..sealed.clone() });
    let newer = sealed.metadata.iter().map(|&byte| if byte == b'1' { b'9' } else { byte });
    let newer = recorded(NewEvent { metadata: newer.collect(), ..sealed });

    let error = |recorded| open_known::<DomainEvent>(recorded).unwrap_err();

    assert!(matches!(error(&no_metadata), DecodeError::Metadata { id: ID, .. }));
    assert!(matches!(error(&no_data), DecodeError::Malformed { .. }));
    assert!(matches!(error(&newer), DecodeError::TooNew { version: 9, .. }));
}
