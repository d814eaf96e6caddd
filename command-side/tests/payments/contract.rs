//! What every provider promises, whichever way it is reached.

use daybook_command_side::payments::{
    CaptureRequest, Ledger, PaymentProvider, ProviderError, Receipt,
};
use futures::future::join_all;

use crate::support::{Answer, Requests as _, Subject, authorization, gbp, key};

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod simulated {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::support::in_process()).await;
            })*
        }
        mod simulated_on_disk {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::support::on_disk()).await;
            })*
        }
        mod http {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::support::over_http().await).await;
            })*
        }
    };
}

contract! {
    what_is_held_can_be_taken_and_given_back,
    declines_are_answers,
    silence_does_nothing,
    a_lost_answer_is_given_when_asked_again,
    the_same_request_has_the_same_answer_for_ever,
    a_key_is_good_for_one_request_only,
    a_key_is_good_for_one_authorization_only,
    no_more_is_taken_than_held,
    nothing_is_taken_after_a_void,
    only_the_rest_is_voided,
    no_more_is_given_back_than_taken,
    another_currency_is_invalid,
    amounts_out_of_range_are_invalid,
    unknown_tokens_and_authorizations_are_invalid,
    one_of_many_concurrent_requests_counts,
    one_of_many_concurrent_uses_of_a_key_wins,
    concurrent_captures_share_what_is_held,
}

#[track_caller]
fn assert_invalid(answer: &Answer) {
    assert!(matches!(answer, Err(ProviderError::Invalid { .. })), "{answer:?}");
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert!(matches!(answer, Err(ProviderError::Unavailable { .. })), "{answer:?}");
}

async fn what_is_held_can_be_taken_and_given_back(Subject { provider, truth, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    provider.take("c1", &held, gbp(60)).await.unwrap();
    provider.take("c2", &held, gbp(40)).await.unwrap();
    provider.give_back("r", &held, gbp(30)).await.unwrap();

    let ledger = truth.ledger().await.unwrap();
    assert_eq!((ledger.authorizations, ledger.captures, ledger.refunds), (1, 2, 1));
    assert_eq!((ledger.authorized["GBP"], ledger.captured["GBP"]), (100, 100));
    assert_eq!((ledger.refunded["GBP"], ledger.overdrawn, ledger.repeated), (30, 0, 0));
}

async fn declines_are_answers(Subject { provider, truth, .. }: Subject) {
    for (token, reason) in
        [("tok_decline", "the card was declined"), ("tok_insufficient_funds", "insufficient funds")]
    {
        let declined = ProviderError::Declined { reason: reason.into() };
        assert_eq!(provider.hold(token, gbp(100), token).await, Err(declined));
    }
    let ledger = truth.ledger().await.unwrap();
    assert_eq!((ledger.authorizations, ledger.refused), (0, 2));
}

async fn silence_does_nothing(Subject { provider, truth, .. }: Subject) {
    for _ in 0..2 {
        assert_unavailable(&provider.hold("a", gbp(100), "tok_timeout").await);
    }
    assert_eq!(truth.ledger().await.unwrap(), Ledger::default());
}

async fn a_lost_answer_is_given_when_asked_again(Subject { provider, truth, .. }: Subject) {
    assert_unavailable(&provider.hold("a", gbp(100), "tok_lost_answer").await);
    let held = provider.hold("a", gbp(100), "tok_lost_answer").await.unwrap();
    assert_unavailable(&provider.take("c", &held, gbp(100)).await);
    provider.take("c", &held, gbp(100)).await.unwrap();

    let ledger = truth.ledger().await.unwrap();
    assert_eq!((ledger.authorizations, ledger.captures, ledger.repeated), (1, 1, 2));
    assert_eq!((ledger.captured["GBP"], ledger.charged_twice), (100, 0));
}

async fn the_same_request_has_the_same_answer_for_ever(Subject { provider, truth, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    let taken = provider.take("c", &held, gbp(70)).await;
    let refused = provider.give_back("r", &held, gbp(90)).await;
    assert_invalid(&refused);
    provider.take("later", &held, gbp(30)).await.unwrap();

    assert_eq!(provider.hold("a", gbp(100), "tok_approve").await, Ok(held.clone()));
    assert_eq!(provider.take("c", &held, gbp(70)).await, taken);
    assert_eq!(provider.give_back("r", &held, gbp(90)).await, refused);
    assert_eq!(truth.ledger().await.unwrap().repeated, 3);
}

async fn a_key_is_good_for_one_request_only(Subject { provider, truth, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    provider.take("c", &held, gbp(10)).await.unwrap();

    let reused = Err(ProviderError::KeyReused);
    assert_eq!(provider.hold("a", gbp(101), "tok_approve").await, reused);
    assert_eq!(provider.hold("a", gbp(100), "tok_decline").await, reused);
    assert_eq!(provider.take("c", &held, gbp(11)).await, reused);
    assert_eq!(provider.take("a", &held, gbp(10)).await, reused);
    assert_eq!(provider.let_go("c", &held).await, reused);
    assert_eq!(truth.ledger().await.unwrap().captured["GBP"], 10);
}

async fn a_key_is_good_for_one_authorization_only(Subject { provider, .. }: Subject) {
    let one = provider.hold("a1", gbp(100), "tok_approve").await.unwrap();
    let other = provider.hold("a2", gbp(100), "tok_approve").await.unwrap();
    provider.take("c", &one, gbp(10)).await.unwrap();

    let reused = Err(ProviderError::KeyReused);
    assert_eq!(provider.take("c", &other, gbp(10)).await, reused);
    assert_eq!(provider.take("a1", &other, gbp(10)).await, reused);
    assert_eq!(provider.hold("c", gbp(10), "tok_approve").await, reused);
}

async fn no_more_is_taken_than_held(Subject { provider, truth, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    assert_invalid(&provider.take("c1", &held, gbp(101)).await);
    provider.take("c2", &held, gbp(60)).await.unwrap();
    assert_invalid(&provider.take("c3", &held, gbp(41)).await);
    assert_eq!(truth.ledger().await.unwrap().captured["GBP"], 60);
}

async fn nothing_is_taken_after_a_void(Subject { provider, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    provider.let_go("v1", &held).await.unwrap();
    assert_invalid(&provider.take("c", &held, gbp(1)).await);
    assert_invalid(&provider.let_go("v2", &held).await);
}

async fn only_the_rest_is_voided(Subject { provider, truth, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    provider.take("c", &held, gbp(60)).await.unwrap();
    provider.let_go("v", &held).await.unwrap();
    provider.give_back("r", &held, gbp(60)).await.unwrap();
    assert_eq!(truth.ledger().await.unwrap().voids, 1);
}

async fn no_more_is_given_back_than_taken(Subject { provider, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    assert_invalid(&provider.give_back("r1", &held, gbp(1)).await);
    provider.take("c", &held, gbp(60)).await.unwrap();
    provider.give_back("r2", &held, gbp(50)).await.unwrap();
    assert_invalid(&provider.give_back("r3", &held, gbp(11)).await);
    provider.give_back("r4", &held, gbp(10)).await.unwrap();
}

async fn another_currency_is_invalid(Subject { provider, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    let euros = daybook_domain::values::Money::new(1, "EUR".parse().unwrap());
    assert_invalid(&provider.take("c", &held, euros).await);
}

async fn amounts_out_of_range_are_invalid(Subject { provider, truth, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    for minor in [0, -1, i64::MIN, i64::MAX] {
        assert_invalid(&provider.hold("x", gbp(minor), "tok_approve").await);
        assert_invalid(&provider.take("x", &held, gbp(minor)).await);
        assert_invalid(&provider.give_back("x", &held, gbp(minor)).await);
    }
    assert_eq!(truth.ledger().await.unwrap().authorizations, 1);
}

async fn unknown_tokens_and_authorizations_are_invalid(Subject { provider, truth, .. }: Subject) {
    assert_invalid(&provider.hold("a", gbp(100), "tok_unheard_of").await);
    let unheard_of = "auth_".to_owned() + &"0".repeat(32);
    for reference in ["", ".", "..", "auth_", "cap_1", "a/b", "auth_x?y", &unheard_of] {
        let held = Receipt { reference: reference.into() };
        assert_invalid(&provider.take("c", &held, gbp(1)).await);
        assert_invalid(&provider.let_go("v", &held).await);
    }
    assert_eq!(truth.ledger().await.unwrap(), Ledger::default());
}

/// Asks all at once, on several threads.
async fn at_once(
    requests: impl Iterator<Item = impl Future<Output = Answer> + Send + 'static>,
) -> Vec<Answer> {
    let requests: Vec<_> = requests.map(tokio::spawn).collect();
    join_all(requests).await.into_iter().map(Result::unwrap).collect()
}

async fn one_of_many_concurrent_requests_counts(Subject { provider, truth, .. }: Subject) {
    let answers = at_once((0..32).map(|_| {
        let request = authorization("a", gbp(100));
        let provider = provider.clone();
        async move { provider.authorize(request).await }
    }));
    let answers = answers.await;
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.is_ok()));

    let ledger = truth.ledger().await.unwrap();
    assert_eq!((ledger.authorizations, ledger.repeated), (1, 31));
}

async fn one_of_many_concurrent_uses_of_a_key_wins(Subject { provider, truth, .. }: Subject) {
    let answers = at_once((1..=32).map(|minor| {
        let request = authorization("a", gbp(minor));
        let provider = provider.clone();
        async move { provider.authorize(request).await }
    }));
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 31));
    assert!(lost.iter().all(|answer| *answer == Err(ProviderError::KeyReused)));
    assert_eq!(truth.ledger().await.unwrap().authorizations, 1);
}

async fn concurrent_captures_share_what_is_held(Subject { provider, truth, .. }: Subject) {
    let held = provider.hold("a", gbp(100), "tok_approve").await.unwrap();
    let answers = at_once((0..32).map(|n| {
        let (key, reference, amount) = (key(&format!("c{n}")), held.reference.clone(), gbp(9));
        let request = CaptureRequest { key, reference, amount };
        let provider = provider.clone();
        async move { provider.capture(request).await }
    }));

    assert_eq!(answers.await.iter().filter(|answer| answer.is_ok()).count(), 11);
    let ledger = truth.ledger().await.unwrap();
    assert_eq!((ledger.captured["GBP"], ledger.refused, ledger.overdrawn), (99, 21, 0));
}
