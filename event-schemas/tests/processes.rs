//! The records of process managers.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use daybook_domain::Effect;
use daybook_domain::checkout::{
    Checkout, CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutTimeout,
};
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::order::CancelReason;
use daybook_domain::stock::ReleaseReason;
use daybook_domain::values::{OrderId, Quantity, Timestamp};
use daybook_event_schemas::{Advanced, Contract, DecodeError, ProcessForm};
use serde_json::json;

const AT: Timestamp = Timestamp::from_micros(1_323_435_000_000_000);

fn input(what: CheckoutFact) -> CheckoutInput {
    let order = OrderId("0190f0c4-0a2b-7c3d-8e4f-5a6b7c8d9e0f".parse().unwrap());
    CheckoutInput { order, at: AT, what }
}

fn reserve() -> CheckoutCommand {
    CheckoutCommand::Reserve {
        sku: "22423".parse().unwrap(),
        quantity: Quantity::try_from(6).unwrap(),
        expires_at: AT,
    }
}

#[test]
fn a_record_names_its_order_and_each_instant_once() {
    let record = Advanced::<Checkout> {
        inputs: vec![
            input(CheckoutFact::Reserved { sku: "22423".parse().unwrap() }),
            input(CheckoutFact::TimedOut(CheckoutTimeout::ReservationExpiry)),
        ],
        effects: vec![
            Effect::Dispatch(CheckoutCommand::Release {
                sku: "22423".parse().unwrap(),
                reason: ReleaseReason::Expired,
            }),
            Effect::Dispatch(CheckoutCommand::CancelOrder {
                reason: CancelReason::ReservationExpired,
            }),
            Effect::Schedule { timeout: CheckoutTimeout::ReservationExpiry, due: AT },
            Effect::Complete,
        ],
        upto: 42,
    };

    let wire = record.encode();

    assert_eq!(wire.kind, "CheckoutAdvanced");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&wire.data).unwrap(),
        json!({
            "order": "0190f0c4-0a2b-7c3d-8e4f-5a6b7c8d9e0f",
            "inputs": [
                [
                    "2011-12-09T12:50:00.000000Z",
                    [{"reserved": {"sku": "22423"}}, {"timedOut": "reservationExpiry"}],
                ],
            ],
            "effects": [
                {"dispatch": [
                    {"release": {"sku": "22423", "reason": "expired"}},
                    {"cancelOrder": {"reason": {"type": "reservationExpired"}}},
                ]},
                {"schedule": {"timeout": "reservationExpiry", "due": "2011-12-09T12:50:00.000000Z"}},
                "complete",
            ],
            "upto": 42,
        })
    );
    assert_eq!(Advanced::decode(wire.kind, 1, &wire.data).unwrap(), Some(record));
}

#[test]
fn a_record_keeps_the_order_of_inputs_and_effects() {
    let later = AT.plus(std::time::Duration::from_micros(1));
    let confirm = || Effect::Dispatch(CheckoutCommand::ConfirmOrder);
    let record = Advanced::<Checkout> {
        inputs: vec![
            input(CheckoutFact::OrderConfirmed),
            CheckoutInput { at: later, ..input(CheckoutFact::OrderShipped) },
            input(CheckoutFact::OrderPaid),
        ],
        effects: vec![
            Effect::Dispatch(reserve()),
            Effect::Complete,
            Effect::Complete,
            confirm(),
            confirm(),
        ],
        upto: u64::MAX,
    };

    let wire = record.encode();

    assert_eq!(Advanced::decode(wire.kind, 1, &wire.data).unwrap(), Some(record));
}

#[test]
fn a_record_without_inputs_needs_no_order() {
    let record = Advanced::<Checkout> { inputs: vec![], effects: vec![], upto: 7 };

    let wire = record.encode();

    assert_eq!(Advanced::decode(wire.kind, 1, &wire.data).unwrap(), Some(record));
}

#[test]
fn inputs_without_an_order_are_malformed() {
    let data = br#"{"order": null, "inputs": [["2011-12-09T12:50:00.000000Z", ["orderPaid"]]],
        "effects": [], "upto": 7}"#;

    let result = Advanced::<Checkout>::decode("CheckoutAdvanced", 1, data);

    assert!(matches!(result, Err(DecodeError::Malformed { .. })), "{result:?}");
}

#[test]
fn a_record_of_another_process_is_unknown() {
    let result = Advanced::<Fulfilment>::decode("CheckoutAdvanced", 1, b"{}");

    assert!(matches!(result, Err(DecodeError::UnknownKind { .. })), "{result:?}");
}

#[test]
fn commands_and_timeouts_read_back_from_json() {
    let command = Checkout::command_to_json(&reserve());
    let timeout = Checkout::timeout_to_json(&CheckoutTimeout::ReservationExpiry);

    assert_eq!(Checkout::command_from_json(&command).unwrap(), reserve());
    assert_eq!(Checkout::timeout_from_json(&timeout).unwrap(), CheckoutTimeout::ReservationExpiry);
    assert!(Fulfilment::command_from_json(&command).is_err());
    assert!(Fulfilment::timeout_from_json(&timeout).is_err());
}
