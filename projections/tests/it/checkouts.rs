//! The stage that the read model shows is the one that the process manager is in.

use daybook_domain::ProcessManager;
use daybook_domain::checkout::{
    Checkout, CheckoutCommand, CheckoutFact, CheckoutInput, CheckoutState, CheckoutTimeout,
    payment_id,
};
use daybook_domain::order::CancelReason;
use daybook_domain::values::{OrderId, Quantity};
use daybook_event_schemas::Advanced;
use uuid::Uuid;

use crate::support::{World, at, gbp};

const FILE: &str = "read.db";
const ORDER: OrderId = OrderId(Uuid::from_u128(1));

fn placed(skus: &[&str]) -> CheckoutFact {
    let one = Quantity::try_from(1).unwrap();
    CheckoutFact::OrderPlaced {
        items: skus.iter().map(|sku| (sku.parse().unwrap(), one)).collect(),
        total: gbp(10),
        method: "card-ok".parse().unwrap(),
    }
}

fn reserved(sku: &str) -> CheckoutFact {
    CheckoutFact::Reserved { sku: sku.parse().unwrap() }
}

fn released(sku: &str) -> CheckoutFact {
    CheckoutFact::Released { sku: sku.parse().unwrap() }
}

fn cancelled() -> CheckoutFact {
    CheckoutFact::OrderCancelled { reason: CancelReason::CustomerRequest }
}

fn paid() -> Vec<CheckoutFact> {
    vec![
        placed(&["A"]),
        reserved("A"),
        CheckoutFact::OrderConfirmed,
        CheckoutFact::PaymentAuthorized,
        CheckoutFact::PaymentCaptured { captured: gbp(10) },
        CheckoutFact::OrderPaid,
    ]
}

/// Feeds a process record by record, and checks the row after each.
async fn follow(records: Vec<Vec<CheckoutFact>>, then: &[&str]) {
    let world = World::new();
    let mut state = CheckoutState::default();
    let mut shown = Vec::new();
    for facts in records {
        let record = advance(&mut state, facts);
        world.given("checkout", ORDER, &[record]).await;
        world.project(FILE).await;
        let row = world.columns(FILE, "checkouts", "stage").await.remove(0);
        let words: String = state.name().split(' ').map(capitalised).collect();
        assert!(row.eq_ignore_ascii_case(&words), "{row} is shown for {}", state.name());
        shown.push(row);
    }
    assert_eq!(shown, then);
}

fn capitalised(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// What the process manager's runtime would write.
fn advance(state: &mut CheckoutState, facts: Vec<CheckoutFact>) -> Advanced<Checkout> {
    let input = |what| {
        let is_late = matches!(what, CheckoutFact::TimedOut(_));
        CheckoutInput { order: ORDER, at: at(if is_late { 9_999 } else { 3_600 }), what }
    };
    let inputs: Vec<_> = facts.into_iter().map(input).collect();
    let mut effects = Vec::new();
    for input in &inputs {
        effects.extend(Checkout::react(state, input));
        *state = Checkout::evolve(std::mem::take(state), input);
    }
    Advanced { inputs, effects, upto: 0 }
}

fn each_alone(facts: Vec<CheckoutFact>) -> Vec<Vec<CheckoutFact>> {
    facts.into_iter().map(|fact| vec![fact]).collect()
}

#[tokio::test]
async fn a_checkout_that_goes_well() {
    let facts = [paid(), vec![CheckoutFact::OrderShipped]].concat();
    let stages = [
        "reserving",
        "confirming",
        "authorizing",
        "capturing",
        "markingPaid",
        "settled",
        "shipped",
    ];
    follow(each_alone(facts.clone()), &stages).await;
    follow(vec![facts], &["shipped"]).await;
}

#[tokio::test]
async fn a_checkout_that_lacks_stock() {
    let refused =
        CheckoutFact::ReservationRefused { sku: "B".parse().unwrap(), reason: "none".into() };
    let facts = vec![placed(&["A", "B"]), reserved("A"), refused, released("A"), cancelled()];
    let stages = ["reserving", "reserving", "compensating", "compensating", "calledOff"];
    follow(each_alone(facts.clone()), &stages).await;
    follow(vec![facts], &["calledOff"]).await;
}

#[tokio::test]
async fn a_checkout_that_is_cancelled_before_anything_is_reserved() {
    let facts = vec![placed(&["A"]), cancelled(), reserved("A"), released("A")];
    let stages = ["reserving", "compensating", "compensating", "calledOff"];
    follow(each_alone(facts), &stages).await;
}

#[tokio::test]
async fn a_checkout_that_expires() {
    let lapsed = CheckoutFact::TimedOut(CheckoutTimeout::ReservationExpiry);
    let facts = vec![placed(&["A"]), reserved("A"), lapsed];
    follow(each_alone(facts), &["reserving", "confirming", "compensating"]).await;
}

#[tokio::test]
async fn a_checkout_whose_payment_is_declined() {
    let declined = CheckoutFact::PaymentDeclined { reason: "no funds".into() };
    let facts = [paid()[..3].to_vec(), vec![declined, cancelled(), released("A")]].concat();
    let stages =
        ["reserving", "confirming", "authorizing", "compensating", "compensating", "calledOff"];
    follow(each_alone(facts), &stages).await;
}

#[tokio::test]
async fn a_checkout_that_is_called_off_after_payment() {
    let refund =
        CheckoutFact::PaymentRefunded { refund: "r".into(), amount: gbp(10), refunded: gbp(10) };
    let undone = vec![cancelled(), released("A"), refund.clone(), refund];
    let stages = ["settled", "compensating", "compensating", "calledOff", "calledOff"];
    follow([vec![paid()], each_alone(undone)].concat(), &stages).await;
}

#[tokio::test]
async fn a_command_that_was_refused() {
    let command = CheckoutCommand::Authorize {
        payment: payment_id(ORDER),
        amount: gbp(10),
        method: "card-ok".parse().unwrap(),
    };
    let refused = CheckoutFact::Refused { command, reason: "no".into() };
    let facts = [paid()[..3].to_vec(), vec![refused]].concat();
    follow(each_alone(facts), &["reserving", "confirming", "authorizing", "compensating"]).await;
}
