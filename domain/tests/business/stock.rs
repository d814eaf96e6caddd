use daybook_domain::stock::{
    MAX_ON_HAND, ReleaseReason, Stock, StockCommand, StockEvent, StockRejection,
};
use daybook_domain::values::Quantity;

use crate::given::{at, given, order_id, quantity};

fn received(n: i64) -> StockEvent {
    StockEvent::Received { quantity: quantity(n), receipt: "r1".into(), at: at(0) }
}

fn receive(n: i64, receipt: &str) -> StockCommand {
    StockCommand::Receive { quantity: quantity(n), receipt: receipt.into(), at: at(0) }
}

fn adjust(delta: i64, count: &str) -> StockCommand {
    StockCommand::Adjust { delta, count: count.into(), reason: "count".into(), at: at(0) }
}

fn adjusted(delta: i64) -> StockEvent {
    StockEvent::Adjusted { delta, count: "c1".into(), reason: "count".into(), at: at(0) }
}

fn reserve(order: u128, n: i64) -> StockCommand {
    let order = order_id(order);
    StockCommand::Reserve { order, quantity: quantity(n), expires_at: at(30), at: at(0) }
}

fn reserved(order: u128, n: i64) -> StockEvent {
    let order = order_id(order);
    StockEvent::Reserved { order, quantity: quantity(n), expires_at: at(30), at: at(0) }
}

fn extend(until: i64) -> StockCommand {
    StockCommand::Extend { order: order_id(1), expires_at: at(until), at: at(5) }
}

fn release(reason: ReleaseReason, minute: i64) -> StockCommand {
    StockCommand::Release { order: order_id(1), reason, at: at(minute) }
}

fn released(reason: ReleaseReason, n: i64, minute: i64) -> StockEvent {
    StockEvent::Released { order: order_id(1), quantity: quantity(n), reason, at: at(minute) }
}

fn commit() -> StockCommand {
    StockCommand::Commit { order: order_id(1), at: at(9) }
}

fn committed(n: i64) -> StockEvent {
    StockEvent::Committed { order: order_id(1), quantity: quantity(n), at: at(9) }
}

#[test]
fn a_receipt_counts_once() {
    let state = given::<Stock>([]).when(receive(5, "r1")).then([received(5)]);
    assert_eq!((state.on_hand(), state.available()), (5, 5));
    given::<Stock>([received(5)]).when(receive(5, "r1")).then_nothing();
    given::<Stock>([received(5)])
        .when(receive(6, "r1"))
        .then_rejected(StockRejection::ReceiptDiffers { receipt: "r1".into(), booked: 5 });
}

#[test]
fn a_count_counts_once_and_is_no_receipt() {
    let state = given::<Stock>([received(5)]).when(adjust(-2, "c1")).then([adjusted(-2)]);
    assert_eq!(state.on_hand(), 3);
    given::<Stock>([received(5), adjusted(-2)]).when(adjust(-2, "c1")).then_nothing();
    given::<Stock>([received(5), adjusted(-2)])
        .when(adjust(-1, "c1"))
        .then_rejected(StockRejection::CountDiffers { count: "c1".into(), booked: -2 });
    given::<Stock>([received(5)]).when(adjust(1, "r1")).then([StockEvent::Adjusted {
        delta: 1,
        count: "r1".into(),
        reason: "count".into(),
        at: at(0),
    }]);
}

#[test]
fn an_adjustment_is_not_zero() {
    given::<Stock>([received(5)])
        .when(adjust(0, "c1"))
        .then_rejected(StockRejection::ZeroAdjustment);
}

#[test]
fn an_adjustment_leaves_what_is_reserved() {
    given::<Stock>([received(5), reserved(1, 3)]).when(adjust(-2, "c1")).then([adjusted(-2)]);
    given::<Stock>([received(5), reserved(1, 3)])
        .when(adjust(-3, "c1"))
        .then_rejected(StockRejection::ReservedWouldBeMissing { reserved: 3, on_hand: 2 });
    given::<Stock>([received(5)]).when(adjust(i64::MIN, "c1")).then_rejected(
        StockRejection::ReservedWouldBeMissing { reserved: 0, on_hand: i64::MIN + 5 },
    );
}

#[test]
fn there_is_a_most_that_a_stock_can_count() {
    let full = adjusted(MAX_ON_HAND);
    given::<Stock>([full.clone()])
        .when(receive(1, "r1"))
        .then_rejected(StockRejection::TooMuchStock);
    for delta in [1, i64::MAX] {
        given::<Stock>([full.clone()])
            .when(adjust(delta, "c2"))
            .then_rejected(StockRejection::TooMuchStock);
    }
}

#[test]
fn no_more_is_reserved_than_is_available() {
    let state = given::<Stock>([received(5)]).when(reserve(1, 5)).then([reserved(1, 5)]);
    assert_eq!((state.on_hand(), state.reserved(), state.available()), (5, 5, 0));
    given::<Stock>([received(5), reserved(2, 3)])
        .when(reserve(1, 3))
        .then_rejected(StockRejection::NotEnoughStock { available: 2, requested: 3 });
    given::<Stock>([]).when(reserve(1, Quantity::MAX.into())).then_rejected(
        StockRejection::NotEnoughStock { available: 0, requested: Quantity::MAX.into() },
    );
}

#[test]
fn an_order_has_one_reservation() {
    given::<Stock>([received(5), reserved(1, 3)]).when(reserve(1, 3)).then_nothing();
    given::<Stock>([received(5), reserved(1, 3)])
        .when(reserve(1, 2))
        .then_rejected(StockRejection::ReservedDifferently { reserved: 3, requested: 2 });
}

#[test]
fn a_reservation_is_not_made_again_after_its_end() {
    let released = released(ReleaseReason::Cancelled, 3, 1);
    given::<Stock>([received(5), reserved(1, 3), released])
        .when(reserve(1, 3))
        .then_rejected(StockRejection::AlreadyReleased);
    given::<Stock>([received(5), reserved(1, 3), committed(3)]).when(reserve(1, 3)).then_nothing();
}

#[test]
fn a_reservation_can_only_become_longer() {
    let past = || [received(5), reserved(1, 3)];
    let state = given::<Stock>(past()).when(extend(60)).then([StockEvent::Extended {
        order: order_id(1),
        expires_at: at(60),
        at: at(5),
    }]);
    assert_eq!(state.reservation(order_id(1)).map(|held| held.expires_at), Some(at(60)));
    given::<Stock>(past()).when(extend(30)).then_nothing();
    given::<Stock>(past())
        .when(extend(29))
        .then_rejected(StockRejection::ExpiryNotLater { expires_at: at(30) });
    given::<Stock>([received(5)]).when(extend(60)).then_rejected(StockRejection::NotReserved);
}

#[test]
fn a_released_reservation_is_available_again() {
    for reason in [ReleaseReason::Cancelled, ReleaseReason::PaymentFailed] {
        let state = given::<Stock>([received(5), reserved(1, 3)])
            .when(release(reason, 1))
            .then([released(reason, 3, 1)]);
        assert_eq!((state.on_hand(), state.reserved()), (5, 0));
    }
}

#[test]
fn a_reservation_expires_not_before_its_time() {
    let past = || [received(5), reserved(1, 3)];
    given::<Stock>(past())
        .when(release(ReleaseReason::Expired, 29))
        .then_rejected(StockRejection::NotYetExpired { expires_at: at(30) });
    given::<Stock>(past()).when(release(ReleaseReason::Expired, 30)).then([released(
        ReleaseReason::Expired,
        3,
        30,
    )]);
}

#[test]
fn releasing_nothing_does_nothing() {
    let released = released(ReleaseReason::Cancelled, 3, 1);
    given::<Stock>([received(5)]).when(release(ReleaseReason::Cancelled, 2)).then_nothing();
    given::<Stock>([received(5), reserved(1, 3), released])
        .when(release(ReleaseReason::Expired, 2))
        .then_nothing();
}

#[test]
fn committed_goods_are_gone() {
    let past = || [received(5), reserved(1, 3), committed(3)];
    let state = given::<Stock>([received(5), reserved(1, 3)]).when(commit()).then([committed(3)]);
    assert_eq!((state.on_hand(), state.reserved()), (2, 0));
    given::<Stock>(past()).when(commit()).then_nothing();
    given::<Stock>(past())
        .when(release(ReleaseReason::Cancelled, 10))
        .then_rejected(StockRejection::AlreadyCommitted);
    given::<Stock>(past()).when(extend(60)).then_rejected(StockRejection::AlreadyCommitted);
}

#[test]
fn only_what_is_reserved_can_be_committed() {
    let released = released(ReleaseReason::Cancelled, 3, 1);
    given::<Stock>([received(5)]).when(commit()).then_rejected(StockRejection::NotReserved);
    given::<Stock>([received(5), reserved(1, 3), released])
        .when(commit())
        .then_rejected(StockRejection::AlreadyReleased);
}
