//! What every contract promises.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use daybook_domain::product::ProductEvent;
use daybook_domain::stock::StockEvent;
use daybook_domain::values::{Money, OrderId, Quantity, Timestamp};
use daybook_event_schemas::{Contract, DecodeError, DomainEvent};
use proptest::prelude::*;

fn reserved() -> StockEvent {
    StockEvent::Reserved {
        order: OrderId("0190f0c4-0a2b-7c3d-8e4f-5a6b7c8d9e0f".parse().unwrap()),
        quantity: Quantity::try_from(6).unwrap(),
        expires_at: Timestamp::from_micros(1_323_436_800_000_000),
        at: Timestamp::from_micros(1_323_435_000_000_000),
    }
}

#[test]
fn an_event_is_written_in_its_documented_form() {
    let wire = reserved().encode();

    assert_eq!((wire.kind, wire.version), ("StockReserved", 1));
    assert_eq!(
        String::from_utf8(wire.data).unwrap(),
        "{\"order\":\"0190f0c4-0a2b-7c3d-8e4f-5a6b7c8d9e0f\",\"quantity\":6,\
         \"expiresAt\":\"2011-12-09T13:20:00.000000Z\",\"at\":\"2011-12-09T12:50:00.000000Z\"}"
    );
}

#[test]
fn an_event_reads_back_through_its_own_contract_and_the_common_one() {
    let wire = reserved().encode();

    let own = StockEvent::decode(wire.kind, wire.version, &wire.data).unwrap();
    let common = DomainEvent::decode(wire.kind, wire.version, &wire.data).unwrap();

    assert_eq!(own, Some(reserved()));
    assert_eq!(common, Some(DomainEvent::Stock(reserved())));
}

#[test]
fn a_type_of_another_contract_is_unknown() {
    let result = StockEvent::decode("OrderPlaced", 1, b"{}");

    assert!(matches!(result, Err(DecodeError::UnknownKind { kind }) if kind == "OrderPlaced"));
}

proptest! {
    #[test]
    fn texts_and_numbers_read_back_whatever_they_are(
        delta: i64,
        count in any::<String>(),
        reason in any::<String>(),
        micros in 0..=253_402_300_799_999_999_i64,
    ) {
        let at = Timestamp::from_micros(micros);
        let event = StockEvent::Adjusted { delta, count, reason, at };

        let wire = event.encode();

        prop_assert_eq!(StockEvent::decode(wire.kind, wire.version, &wire.data)?, Some(event));
    }

    #[test]
    fn money_reads_back_whatever_it_is(minor: i64, code in "GBP|EUR|JPY|KWD|XAU") {
        let price = Money::new(minor, code.parse()?);
        let event = ProductEvent::Repriced { price, at: Timestamp::from_micros(0) };

        let wire = event.encode();

        prop_assert_eq!(ProductEvent::decode(wire.kind, wire.version, &wire.data)?, Some(event));
    }
}
