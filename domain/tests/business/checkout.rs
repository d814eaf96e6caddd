use daybook_domain::checkout::{
    Checkout, CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutState, CheckoutTimeout,
    payment_id,
};
use daybook_domain::order::CancelReason;
use daybook_domain::stock::ReleaseReason;
use daybook_domain::values::Money;
use daybook_domain::{Effect, ProcessManager, Route};

use crate::given::{at, gbp, method, order_id, quantity, sku};

/// A checkout that has heard some facts, and what the last of them made it ask for.
struct Heard {
    state: CheckoutState,
    asked: Vec<String>,
}

/// A checkout that heard these facts at minute 0.
fn given(facts: impl IntoIterator<Item = CheckoutFact>) -> Heard {
    let nothing = Heard { state: CheckoutState::default(), asked: vec![] };
    facts.into_iter().fold(nothing, Heard::when)
}

impl Heard {
    fn when(self, fact: CheckoutFact) -> Self {
        self.when_at(0, fact)
    }

    fn when_at(self, minute: i64, what: CheckoutFact) -> Self {
        let input = CheckoutInput { order: order_id(1), at: at(minute), what };
        let effects = Checkout::react(&self.state, &input);
        let asked = effects.into_iter().map(told).collect();
        Self { state: Checkout::evolve(self.state, &input), asked }
    }

    #[track_caller]
    fn then(self, asked: impl AsRef<[&'static str]>) -> Self {
        assert_eq!(self.asked, asked.as_ref());
        self
    }

    #[track_caller]
    fn then_nothing(self) -> Self {
        self.then([])
    }

    #[track_caller]
    fn and_is(self, name: &str) -> Self {
        assert_eq!(self.state.name(), name);
        self
    }
}

/// An effect in a few words.
fn told(effect: Effect<CheckoutCommand, CheckoutTimeout>) -> String {
    let minute = |at: daybook_domain::values::Timestamp| at.as_micros() / 60_000_000;
    match effect {
        Effect::Complete => "complete".into(),
        Effect::Schedule { due, .. } => format!("wake at {}", minute(due)),
        Effect::Dispatch(command) => match command {
            CheckoutCommand::Reserve { sku, quantity, expires_at } => {
                format!("reserve {} {sku} until {}", quantity.get(), minute(expires_at))
            }
            CheckoutCommand::Extend { sku, expires_at } => {
                format!("extend {sku} until {}", minute(expires_at))
            }
            CheckoutCommand::Release { sku, reason } => format!("release {sku} {reason:?}"),
            CheckoutCommand::ConfirmOrder => "confirm".into(),
            CheckoutCommand::Authorize { amount, .. } => format!("authorize {amount}"),
            CheckoutCommand::Capture { amount, .. } => format!("capture {amount}"),
            CheckoutCommand::Void { .. } => "void".into(),
            CheckoutCommand::Refund { amount, .. } => format!("refund {amount}"),
            CheckoutCommand::MarkPaid { amount, .. } => format!("mark paid {amount}"),
            CheckoutCommand::CancelOrder { reason } => format!("cancel: {reason}"),
            CheckoutCommand::RecordRefund { refund, amount } => format!("note {refund} {amount}"),
        },
    }
}

fn placed() -> CheckoutFact {
    CheckoutFact::OrderPlaced {
        items: vec![(sku("A"), quantity(3)), (sku("B"), quantity(1))],
        total: gbp(400),
        method: method(),
    }
}

fn reserved(what: &str) -> CheckoutFact {
    CheckoutFact::Reserved { sku: sku(what) }
}

fn refused_reservation(what: &str) -> CheckoutFact {
    CheckoutFact::ReservationRefused { sku: sku(what), reason: "only 0 available".into() }
}

fn released(what: &str) -> CheckoutFact {
    CheckoutFact::Released { sku: sku(what) }
}

fn captured(amount: i64) -> CheckoutFact {
    CheckoutFact::PaymentCaptured { captured: gbp(amount) }
}

fn refunded(name: &str, amount: i64, sum: i64) -> CheckoutFact {
    let (amount, refunded) = (gbp(amount), gbp(sum));
    CheckoutFact::PaymentRefunded { refund: name.into(), amount, refunded }
}

fn cancelled() -> CheckoutFact {
    CheckoutFact::OrderCancelled { reason: CancelReason::CustomerRequest }
}

fn declined() -> CheckoutFact {
    CheckoutFact::PaymentDeclined { reason: "no funds".into() }
}

fn refused(command: CheckoutCommand) -> CheckoutFact {
    CheckoutFact::Refused { command, reason: "no".into() }
}

fn capture() -> CheckoutCommand {
    CheckoutCommand::Capture { payment: payment_id(order_id(1)), amount: gbp(400) }
}

fn timeout() -> CheckoutFact {
    CheckoutFact::TimedOut(CheckoutTimeout::ReservationExpiry)
}

/// The facts of a checkout that goes well.
fn story() -> Vec<CheckoutFact> {
    vec![
        placed(),
        reserved("A"),
        reserved("B"),
        CheckoutFact::OrderConfirmed,
        CheckoutFact::PaymentAuthorized,
        captured(400),
        CheckoutFact::OrderPaid,
    ]
}

const RESERVING: usize = 1;
const CONFIRMING: usize = 3;
const AUTHORIZING: usize = 4;
const CAPTURING: usize = 5;
const MARKING_PAID: usize = 6;
const SETTLED: usize = 7;

fn given_story(facts: usize) -> Heard {
    given(story().into_iter().take(facts))
}

#[test]
fn a_placed_order_begins_a_checkout_and_other_facts_continue_it() {
    let order = order_id(1);
    for (n, what) in story().into_iter().enumerate() {
        let expected = if n == 0 { Route::Start(order) } else { Route::Continue(order) };
        assert_eq!(Checkout::route(&CheckoutInput { order, at: at(0), what }), expected);
    }
}

#[test]
fn every_sku_is_reserved_at_once_for_thirty_minutes() {
    given([])
        .when_at(5, placed())
        .then(["reserve 3 A until 35", "reserve 1 B until 35", "wake at 35"])
        .and_is("reserving");
}

#[test]
fn all_goes_well() {
    given([placed()])
        .when(reserved("B"))
        .then_nothing()
        .when(reserved("A"))
        .then(["confirm"])
        .when(CheckoutFact::OrderConfirmed)
        .then(["authorize 4.00 GBP"])
        .when(CheckoutFact::PaymentAuthorized)
        .then(["capture 4.00 GBP"])
        .when(captured(400))
        .then(["mark paid 4.00 GBP"])
        .when(CheckoutFact::OrderPaid)
        .then(["complete"])
        .and_is("settled")
        .when(CheckoutFact::OrderShipped)
        .then_nothing()
        .and_is("shipped");
}

#[test]
fn an_order_has_one_payment() {
    assert_eq!(payment_id(order_id(1)), payment_id(order_id(1)));
    assert_ne!(payment_id(order_id(1)), payment_id(order_id(2)));
}

#[test]
fn duplicates_ask_for_nothing() {
    let mut heard = given([]);
    for fact in story() {
        let (first, name) = {
            heard = heard.when(fact.clone());
            (heard.state.clone(), heard.state.name())
        };
        heard = heard.when(fact).then_nothing().and_is(name);
        assert_eq!(heard.state, first);
    }
    story().into_iter().fold(heard, |heard, fact| heard.when(fact).then_nothing());
}

#[test]
fn what_cannot_be_reserved_calls_the_order_off() {
    given([placed(), reserved("A")])
        .when(refused_reservation("B"))
        .then(["release A Cancelled", "cancel: B is out of stock"])
        .when(released("A"))
        .then_nothing()
        .when(cancelled())
        .then(["complete"])
        .and_is("called off");
}

#[test]
fn a_late_reservation_is_released_and_waited_for() {
    given([placed()])
        .when(refused_reservation("B"))
        .then(["cancel: B is out of stock"])
        .when(cancelled())
        .then_nothing()
        .and_is("compensating")
        .when(reserved("A"))
        .then(["release A Cancelled"])
        .when(released("A"))
        .then(["complete"])
        .and_is("called off")
        .when(reserved("A"))
        .then(["release A Cancelled"])
        .and_is("called off");
}

#[test]
fn a_late_refusal_ends_the_wait_too() {
    given([placed(), refused_reservation("B"), cancelled()])
        .when(refused_reservation("A"))
        .then(["complete"]);
}

#[test]
fn a_declined_payment_calls_the_order_off() {
    for stage in [AUTHORIZING, CAPTURING] {
        given_story(stage).when(declined()).then([
            "release A PaymentFailed",
            "release B PaymentFailed",
            "cancel: the payment was declined: no funds",
        ]);
    }
}

#[test]
fn an_expired_reservation_calls_the_order_off() {
    for stage in [CONFIRMING, AUTHORIZING] {
        given_story(stage).when_at(30, timeout()).then([
            "release A Expired",
            "release B Expired",
            "cancel: the reservation expired",
        ]);
    }
    given_story(RESERVING).when_at(30, timeout()).then(["cancel: the reservation expired"]);
}

#[test]
fn a_timer_that_goes_off_early_does_nothing() {
    for stage in RESERVING..=SETTLED {
        given_story(stage).when_at(29, timeout()).then_nothing();
    }
}

#[test]
fn a_capture_under_way_wins_against_the_expiry() {
    for stage in [CAPTURING, MARKING_PAID] {
        given_story(stage)
            .when_at(31, timeout())
            .then(["extend A until 61", "extend B until 61", "wake at 61"])
            .when_at(31, timeout())
            .then_nothing()
            .when_at(61, timeout())
            .then(["extend A until 91", "extend B until 91", "wake at 91"]);
    }
}

#[test]
fn a_late_authorization_is_voided() {
    given_story(AUTHORIZING)
        .when_at(30, timeout())
        .when(released("A"))
        .when(released("B"))
        .when(cancelled())
        .then_nothing()
        .when(CheckoutFact::PaymentAuthorized)
        .then(["void"])
        .when(CheckoutFact::PaymentVoided)
        .then(["complete"])
        .and_is("called off");
}

#[test]
fn a_late_capture_is_refunded() {
    given_story(CAPTURING)
        .when(cancelled())
        .then(["release A Cancelled", "release B Cancelled"])
        .when(captured(400))
        .then(["refund 4.00 GBP"])
        .when(released("A"))
        .when(released("B"))
        .then_nothing()
        .when(refunded("r", 400, 400))
        .then(["note r 4.00 GBP", "complete"])
        .and_is("called off");
}

#[test]
fn money_that_turns_up_after_the_end_is_given_back() {
    let called_off = || {
        given_story(AUTHORIZING)
            .when(refused(authorize(gbp(400))))
            .when(cancelled())
            .when(released("A"))
            .when(released("B"))
            .then(["complete"])
            .and_is("called off")
    };
    called_off().when(CheckoutFact::PaymentAuthorized).then(["void"]).and_is("compensating");
    called_off()
        .when(captured(400))
        .then(["refund 4.00 GBP"])
        .and_is("compensating")
        .when(refunded("r", 400, 400))
        .then(["note r 4.00 GBP", "complete"])
        .and_is("called off")
        .when(captured(400))
        .then_nothing();
}

fn authorize(amount: Money) -> CheckoutCommand {
    CheckoutCommand::Authorize { payment: payment_id(order_id(1)), amount, method: method() }
}

#[test]
fn a_customer_can_cancel_until_the_order_ships() {
    given_story(RESERVING).when(cancelled()).then_nothing().and_is("compensating");
    for stage in [CONFIRMING, AUTHORIZING, CAPTURING] {
        let releases = ["release A Cancelled", "release B Cancelled"];
        given_story(stage).when(cancelled()).then(releases);
    }
    for stage in [MARKING_PAID, SETTLED] {
        given_story(stage).when(cancelled()).then([
            "refund 4.00 GBP",
            "release A Cancelled",
            "release B Cancelled",
        ]);
    }
    given_story(SETTLED).when(CheckoutFact::OrderShipped).when(cancelled()).then_nothing();
}

#[test]
fn a_refused_capture_is_voided() {
    given_story(CAPTURING).when(refused(capture())).then([
        "void",
        "release A PaymentFailed",
        "release B PaymentFailed",
        "cancel: the payment was declined: no",
    ]);
}

#[test]
fn an_authorization_that_somebody_voided_calls_the_order_off() {
    given_story(CAPTURING)
        .when(CheckoutFact::PaymentVoided)
        .then([
            "release A PaymentFailed",
            "release B PaymentFailed",
            "cancel: the payment was declined: the authorization was voided",
        ])
        .when(refused(capture()))
        .then_nothing();
}

#[test]
fn an_order_that_cannot_be_confirmed_or_paid_is_called_off() {
    given_story(CONFIRMING).when(refused(CheckoutCommand::ConfirmOrder)).then([
        "release A Cancelled",
        "release B Cancelled",
        "cancel: the shop called it off: it could not be confirmed: no",
    ]);
    let payment = payment_id(order_id(1));
    let mark_paid = CheckoutCommand::MarkPaid { payment, amount: gbp(400) };
    given_story(MARKING_PAID).when(refused(mark_paid)).then([
        "refund 4.00 GBP",
        "release A Cancelled",
        "release B Cancelled",
        "cancel: the shop called it off: it could not be marked paid: no",
    ]);
}

#[test]
fn a_refused_cancellation_means_that_the_order_is_cancelled() {
    let reason = CancelReason::OutOfStock { sku: sku("B") };
    given([placed(), reserved("A"), refused_reservation("B"), released("A")])
        .when(refused(CheckoutCommand::CancelOrder { reason }))
        .then(["complete"]);
}

#[test]
fn a_release_that_comes_before_the_expiry_is_made_for_another_reason() {
    let release = |reason| CheckoutCommand::Release { sku: sku("A"), reason };
    given_story(CONFIRMING)
        .when_at(30, timeout())
        .when(refused(release(ReleaseReason::Expired)))
        .then(["release A Cancelled"])
        .when(refused(release(ReleaseReason::Cancelled)))
        .then_nothing()
        .when(released("B"))
        .when(cancelled())
        .then(["complete"]);
}

#[test]
fn stock_that_somebody_released_calls_the_order_off() {
    for stage in [CONFIRMING, AUTHORIZING] {
        given_story(stage)
            .when(released("A"))
            .then(["release B Cancelled", "cancel: A is out of stock"]);
    }
    given_story(SETTLED).when(released("A")).then_nothing();
}

#[test]
fn the_order_is_told_of_every_refund() {
    for stage in RESERVING..=SETTLED {
        given_story(stage).when(refunded("r", 10, 10)).then(["note r 0.10 GBP"]);
    }
    given_story(SETTLED)
        .when(CheckoutFact::OrderShipped)
        .when(refunded("r", 10, 10))
        .then(["note r 0.10 GBP"]);
    given([]).when(refunded("r", 10, 10)).then_nothing();
}

#[test]
fn no_more_is_refunded_than_is_left() {
    given_story(SETTLED)
        .when(refunded("r", 150, 150))
        .when(cancelled())
        .then(["refund 2.50 GBP", "release A Cancelled", "release B Cancelled"])
        .when(refunded("s", 50, 200))
        .then(["note s 0.50 GBP", "refund 2.00 GBP"])
        .when(refunded("s", 50, 200))
        .then(["note s 0.50 GBP"]);
}

#[test]
fn a_partial_capture_is_refunded_and_its_rest_voided() {
    given_story(CAPTURING).when(captured(100)).then_nothing().when(refused(capture())).then([
        "void",
        "refund 1.00 GBP",
        "release A PaymentFailed",
        "release B PaymentFailed",
        "cancel: the payment was declined: no",
    ]);
}

#[test]
fn facts_before_the_order_was_placed_are_ignored() {
    for fact in story().into_iter().skip(1).chain([timeout(), cancelled()]) {
        given([]).when(fact).then_nothing().and_is("not started");
    }
}

#[test]
fn a_refusal_becomes_a_fact_unless_an_operator_must_look() {
    let rejected = |command: &CheckoutCommand| {
        Checkout::rejected(order_id(1), command, "no", at(3)).map(|input| input.what)
    };
    let reserve =
        CheckoutCommand::Reserve { sku: sku("A"), quantity: quantity(1), expires_at: at(30) };
    let expected = CheckoutFact::ReservationRefused { sku: sku("A"), reason: "no".into() };
    assert_eq!(rejected(&reserve), Some(expected));
    assert_eq!(rejected(&capture()), Some(refused(capture())));
    let (payment, amount) = (payment_id(order_id(1)), gbp(1));
    assert_eq!(rejected(&CheckoutCommand::Refund { payment, amount }), None);
    assert_eq!(rejected(&CheckoutCommand::RecordRefund { refund: "r".into(), amount }), None);
}
