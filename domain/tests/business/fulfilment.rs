use daybook_domain::fulfilment::{
    Fulfilment, FulfilmentCommand, FulfilmentFact, FulfilmentInput, FulfilmentState,
};
use daybook_domain::{Effect, ProcessManager, Route};

use crate::given::{at, order_id, seller, sku};

fn input(what: FulfilmentFact) -> FulfilmentInput {
    FulfilmentInput { order: order_id(1), at: at(0), what }
}

fn shipped(who: &str, skus: &[&str]) -> FulfilmentFact {
    FulfilmentFact::Shipped {
        seller: seller(who),
        skus: skus.iter().map(|name| sku(name)).collect(),
    }
}

fn committed(what: &str) -> FulfilmentFact {
    FulfilmentFact::Committed { sku: sku(what) }
}

fn fulfilled(who: &str, last: bool) -> FulfilmentFact {
    FulfilmentFact::SellerFulfilled { seller: seller(who), last }
}

/// The state after some facts, and what they asked for: `commit A`, `fulfil acme`, `complete`.
fn run(facts: impl IntoIterator<Item = FulfilmentFact>) -> (FulfilmentState, Vec<String>) {
    let mut state = FulfilmentState::default();
    let mut asked = vec![];
    for fact in facts {
        let input = input(fact);
        asked.extend(Fulfilment::react(&state, &input).into_iter().map(|effect| match effect {
            Effect::Dispatch(FulfilmentCommand::Commit { sku }) => format!("commit {sku}"),
            Effect::Dispatch(FulfilmentCommand::Fulfil { seller }) => format!("fulfil {seller}"),
            Effect::Schedule { timeout, .. } => match timeout {},
            Effect::Complete => "complete".to_owned(),
        }));
        state = Fulfilment::evolve(state, &input);
    }
    (state, asked)
}

#[test]
fn a_shipment_begins_a_fulfilment_and_other_facts_continue_it() {
    let order = order_id(1);
    assert_eq!(Fulfilment::route(&input(shipped("acme", &["A"]))), Route::Start(order));
    assert_eq!(Fulfilment::route(&input(committed("A"))), Route::Continue(order));
    assert_eq!(Fulfilment::route(&input(fulfilled("acme", true))), Route::Continue(order));
}

#[test]
fn a_seller_is_done_when_all_its_reservations_are_committed() {
    let (_, asked) = run([shipped("acme", &["A", "B"]), committed("B")]);
    assert_eq!(asked, ["commit A", "commit B"]);
    let (state, asked) = run([
        shipped("acme", &["A", "B"]),
        committed("B"),
        committed("A"),
        fulfilled("acme", true),
    ]);
    assert_eq!(asked, ["commit A", "commit B", "fulfil acme", "complete"]);
    assert_eq!(state, FulfilmentState::Fulfilled);
}

#[test]
fn sellers_are_fulfilled_independently() {
    let (state, asked) = run([
        shipped("acme", &["A"]),
        shipped("corp", &["C"]),
        committed("C"),
        committed("A"),
        fulfilled("corp", false),
        fulfilled("acme", true),
    ]);
    let expected = ["commit A", "commit C", "fulfil corp", "fulfil acme", "complete"];
    assert_eq!(asked, expected);
    assert_eq!(state, FulfilmentState::Fulfilled);
}

#[test]
fn a_seller_that_ships_later_starts_where_the_first_left_off() {
    let (state, asked) = run([
        shipped("acme", &["A"]),
        committed("A"),
        fulfilled("acme", false),
        shipped("corp", &["C"]),
    ]);
    assert_eq!(asked, ["commit A", "fulfil acme", "commit C"]);
    assert!(matches!(state, FulfilmentState::Underway { .. }));
}

#[test]
fn duplicates_ask_for_nothing() {
    let once =
        [shipped("acme", &["A", "B"]), committed("A"), committed("B"), fulfilled("acme", true)];
    let doubled = once.iter().flat_map(|fact| [fact.clone(), fact.clone()]);
    assert_eq!(run(doubled), run(once.clone()));
    let (_, again) = run(once.iter().chain(&once).cloned());
    assert_eq!(again, run(once.clone()).1);
}

#[test]
fn facts_of_other_skus_and_before_any_shipment_are_ignored() {
    let (state, asked) = run([committed("A"), fulfilled("acme", true)]);
    assert_eq!((state, asked), (FulfilmentState::NotStarted, vec![]));
    let (_, asked) = run([shipped("acme", &["A"]), committed("Z")]);
    assert_eq!(asked, ["commit A"]);
}

#[test]
fn a_shipment_of_nothing_is_fulfilled_at_once() {
    assert_eq!(run([shipped("acme", &[])]).1, ["fulfil acme"]);
}

#[test]
fn a_refused_command_needs_an_operator() {
    let command = FulfilmentCommand::Commit { sku: sku("A") };
    assert_eq!(Fulfilment::rejected(order_id(1), &command, "no reservation", at(0)), None);
}
