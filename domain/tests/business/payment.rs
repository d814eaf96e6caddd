use daybook_domain::payment::{
    Payment, PaymentCommand, PaymentEvent, PaymentRejection, PaymentState,
};
use daybook_domain::values::Money;

use crate::given::{at, currency, eur, gbp, given, method, order_id, some_payment};

fn request(amount: Money) -> PaymentCommand {
    let (payment, order) = (some_payment(9), order_id(1));
    PaymentCommand::Request { payment, order, amount, method: method(), at: at(0) }
}

fn requested() -> PaymentEvent {
    let (payment, order, amount) = (some_payment(9), order_id(1), gbp(100));
    PaymentEvent::Requested { payment, order, amount, method: method(), at: at(0) }
}

fn authorize(reference: &str) -> PaymentCommand {
    PaymentCommand::Authorize { reference: reference.into(), at: at(1) }
}

fn authorized() -> PaymentEvent {
    let (order, amount) = (order_id(1), gbp(100));
    PaymentEvent::Authorized { order, amount, reference: "auth".into(), at: at(1) }
}

fn capture(name: &str, amount: Money) -> PaymentCommand {
    PaymentCommand::Capture { capture: name.into(), amount, at: at(2) }
}

fn captured(name: &str, amount: i64, sum: i64) -> PaymentEvent {
    let (amount, captured) = (gbp(amount), gbp(sum));
    PaymentEvent::Captured { order: order_id(1), capture: name.into(), amount, captured, at: at(2) }
}

fn refund(name: &str, amount: Money) -> PaymentCommand {
    PaymentCommand::Refund { refund: name.into(), amount, at: at(3) }
}

fn refunded(name: &str, amount: i64, sum: i64) -> PaymentEvent {
    let (amount, refunded) = (gbp(amount), gbp(sum));
    PaymentEvent::Refunded { order: order_id(1), refund: name.into(), amount, refunded, at: at(3) }
}

fn void() -> PaymentCommand {
    PaymentCommand::Void { at: at(4) }
}

fn voided() -> PaymentEvent {
    PaymentEvent::Voided { order: order_id(1), at: at(4) }
}

fn decline(reason: &str) -> PaymentCommand {
    PaymentCommand::Decline { reason: reason.into(), at: at(5) }
}

fn declined() -> PaymentEvent {
    PaymentEvent::Declined { order: order_id(1), reason: "no funds".into(), at: at(5) }
}

fn already_declined() -> PaymentRejection {
    PaymentRejection::AlreadyDeclined { reason: "no funds".into() }
}

#[test]
fn a_payment_is_requested_once() {
    given::<Payment>([]).when(request(gbp(100))).then([requested()]);
    given::<Payment>([requested()]).when(request(gbp(100))).then_nothing();
    given::<Payment>([requested()])
        .when(request(gbp(101)))
        .then_rejected(PaymentRejection::AlreadyRequested);
}

#[test]
fn amounts_are_above_zero() {
    for amount in [gbp(0), gbp(-5)] {
        let rejection = PaymentRejection::AmountNotPositive { amount };
        given::<Payment>([]).when(request(amount)).then_rejected(rejection.clone());
        given::<Payment>([requested(), authorized()])
            .when(capture("c", amount))
            .then_rejected(rejection.clone());
        given::<Payment>([requested(), authorized(), captured("c", 100, 100)])
            .when(refund("r", amount))
            .then_rejected(rejection);
    }
}

#[test]
fn amounts_are_in_the_currency_of_the_payment() {
    let mismatch =
        PaymentRejection::CurrencyMismatch { expected: currency("GBP"), actual: currency("EUR") };
    given::<Payment>([requested(), authorized()])
        .when(capture("c", eur(5)))
        .then_rejected(mismatch.clone());
    given::<Payment>([requested(), authorized(), captured("c", 100, 100)])
        .when(refund("r", eur(5)))
        .then_rejected(mismatch);
}

#[test]
fn a_payment_is_authorized_once() {
    given::<Payment>([requested()]).when(authorize("auth")).then([authorized()]);
    let later = [vec![], vec![captured("c", 100, 100)], vec![voided()]];
    for events in later {
        let past = [vec![requested(), authorized()], events].concat();
        given::<Payment>(past).when(authorize("auth")).then_nothing();
    }
    let already = || PaymentRejection::AlreadyAuthorized { reference: "auth".into() };
    given::<Payment>([requested(), authorized()]).when(authorize("b")).then_rejected(already());
    given::<Payment>([requested(), authorized(), captured("c", 100, 100)])
        .when(authorize("b"))
        .then_rejected(already());
}

#[test]
fn captures_come_to_at_most_what_is_authorized() {
    let past = || [requested(), authorized(), captured("a", 60, 60)];
    given::<Payment>(past()).when(capture("b", gbp(40))).then([captured("b", 40, 100)]);
    let over = PaymentRejection::OverCapture { capturable: gbp(40), requested: gbp(41) };
    given::<Payment>(past()).when(capture("b", gbp(41))).then_rejected(over);
    given::<Payment>([requested(), authorized()]).when(capture("a", gbp(i64::MAX))).then_rejected(
        PaymentRejection::OverCapture { capturable: gbp(100), requested: gbp(i64::MAX) },
    );
}

#[test]
fn a_capture_counts_once() {
    let past = || [requested(), authorized(), captured("a", 60, 60)];
    given::<Payment>(past()).when(capture("a", gbp(60))).then_nothing();
    given::<Payment>(past())
        .when(capture("a", gbp(40)))
        .then_rejected(PaymentRejection::CaptureDiffers { capture: "a".into(), recorded: gbp(60) });
}

#[test]
fn refunds_come_to_at_most_what_was_captured() {
    let past = || [requested(), authorized(), captured("a", 60, 60), refunded("r", 20, 20)];
    let state = given::<Payment>(past()).when(refund("s", gbp(40))).then([refunded("s", 40, 60)]);
    assert_eq!(state.captured_and_refunded(), Some((gbp(60), gbp(60))));
    given::<Payment>(past())
        .when(refund("s", gbp(41)))
        .then_rejected(PaymentRejection::OverRefund { refundable: gbp(40), requested: gbp(41) });
}

#[test]
fn a_refund_counts_once() {
    let past = || [requested(), authorized(), captured("a", 60, 60), refunded("r", 20, 20)];
    given::<Payment>(past()).when(refund("r", gbp(20))).then_nothing();
    given::<Payment>(past())
        .when(refund("r", gbp(21)))
        .then_rejected(PaymentRejection::RefundDiffers { refund: "r".into(), recorded: gbp(20) });
}

#[test]
fn only_the_uncaptured_can_be_voided() {
    let state = given::<Payment>([requested(), authorized()]).when(void()).then([voided()]);
    assert!(matches!(state, PaymentState::Voided { .. }));
    given::<Payment>([requested(), authorized(), voided()]).when(void()).then_nothing();
    given::<Payment>([requested(), authorized(), captured("a", 100, 100)])
        .when(void())
        .then_rejected(PaymentRejection::NothingToVoid);
}

#[test]
fn after_the_rest_is_voided_no_more_is_captured() {
    let past = || [requested(), authorized(), captured("a", 60, 60)];
    given::<Payment>(past()).when(void()).then([voided()]);
    let closed = || past().into_iter().chain([voided()]);
    given::<Payment>(closed()).when(void()).then_nothing();
    given::<Payment>(closed())
        .when(capture("b", gbp(1)))
        .then_rejected(PaymentRejection::AlreadyVoided);
    given::<Payment>(closed()).when(capture("a", gbp(60))).then_nothing();
    given::<Payment>(closed()).when(refund("r", gbp(60))).then([refunded("r", 60, 60)]);
}

#[test]
fn a_provider_can_decline_until_it_has_taken_something() {
    for past in [vec![requested()], vec![requested(), authorized()]] {
        let state = given::<Payment>(past).when(decline("no funds")).then([declined()]);
        assert!(matches!(state, PaymentState::Declined { .. }));
    }
    given::<Payment>([requested(), declined()]).when(decline("no funds")).then_nothing();
    given::<Payment>([requested(), declined()])
        .when(decline("stolen"))
        .then_rejected(already_declined());
    given::<Payment>([requested(), authorized(), captured("a", 1, 1)])
        .when(decline("no funds"))
        .then_rejected(PaymentRejection::AlreadyCaptured);
}

#[test]
fn nothing_can_be_done_with_a_payment_in_the_wrong_stage() {
    let commands = || [capture("a", gbp(1)), void(), refund("r", gbp(1))];
    for command in commands() {
        given::<Payment>([]).when(command.clone()).then_rejected(PaymentRejection::NotRequested);
        given::<Payment>([requested()])
            .when(command.clone())
            .then_rejected(PaymentRejection::NotAuthorized);
        given::<Payment>([requested(), declined()]).when(command).then_rejected(already_declined());
    }
    for command in [capture("a", gbp(1)), refund("r", gbp(1)), decline("late"), authorize("b")] {
        given::<Payment>([requested(), authorized(), voided()])
            .when(command)
            .then_rejected(PaymentRejection::AlreadyVoided);
    }
    for command in [authorize("auth"), decline("no")] {
        given::<Payment>([]).when(command).then_rejected(PaymentRejection::NotRequested);
    }
    given::<Payment>([requested(), declined()])
        .when(authorize("auth"))
        .then_rejected(already_declined());
    given::<Payment>([requested(), authorized()])
        .when(refund("r", gbp(1)))
        .then_rejected(PaymentRejection::NotCaptured);
}
