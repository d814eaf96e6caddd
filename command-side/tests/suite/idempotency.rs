//! The same key has the same result for ever.

use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::hall::{Hall, HallCommand};
use daybook_command_side::idempotency::{
    Attempt, Fingerprint, Idempotency, IdempotencyError, IdempotencyKey, InvalidKey, Outcome,
};
use daybook_command_side::{CommandContext, Commands};
use daybook_event_schemas::Actor;
use daybook_event_store::Store;
use futures::future::pending;

fn alice() -> Actor {
    Actor("user:alice".into())
}

fn key() -> IdempotencyKey {
    "4b1c".parse().unwrap()
}

fn request(body: &str) -> Fingerprint {
    Fingerprint::of([b"POST".as_slice(), b"/v1/orders", body.as_bytes()])
}

fn outcome(status: u16, body: impl Display) -> Outcome {
    let headers = vec![("location".into(), "/v1/orders/1".into())];
    Outcome { status, headers, body: format!("{body}") }
}

/// Runs a request that answers with how many have been run.
async fn run(
    idempotency: &Idempotency,
    counter: &AtomicU32,
    status: u16,
) -> Result<Outcome, IdempotencyError> {
    let count = |_| async { outcome(status, counter.fetch_add(1, SeqCst)) };
    idempotency.run(&alice(), &key(), request("a"), count).await
}

#[tokio::test]
async fn the_same_key_gives_the_same_result_also_after_a_restart() {
    let (store, counter) = (Store::memory(), AtomicU32::new(0));
    let first = run(&Idempotency::new(store.clone()), &counter, 201).await.unwrap();

    let again = run(&Idempotency::new(store), &counter, 201).await.unwrap();

    assert_eq!(first, outcome(201, 0));
    assert_eq!(again, first);
    assert_eq!(counter.into_inner(), 1);
}

#[tokio::test]
async fn another_payload_under_the_same_key_is_refused() {
    let (idempotency, counter) = (Idempotency::new(Store::memory()), AtomicU32::new(0));
    run(&idempotency, &counter, 201).await.unwrap();

    let other = async |_| outcome(201, "never");
    let refused = idempotency.run(&alice(), &key(), request("b"), other).await;

    assert_eq!(refused, Err(IdempotencyError::DifferentPayload));
}

#[tokio::test]
async fn keys_belong_to_their_actor() {
    let (idempotency, counter) = (Idempotency::new(Store::memory()), AtomicU32::new(0));
    run(&idempotency, &counter, 201).await.unwrap();

    let bob = Actor("user:bob".into());
    let other = async |_| outcome(201, "bob's");
    let answer = idempotency.run(&bob, &key(), request("b"), other).await;

    assert_eq!(answer.unwrap().body, "bob's");
}

#[tokio::test]
async fn a_concurrent_duplicate_is_in_progress_until_the_first_is_gone() {
    let (idempotency, counter) = (Idempotency::new(Store::memory()), AtomicU32::new(0));
    let (actor, key) = (alice(), key());
    let mut first = Box::pin(idempotency.run(&actor, &key, request("a"), |_| pending::<Outcome>()));
    assert!(futures::poll!(&mut first).is_pending());

    let meanwhile = run(&idempotency, &counter, 201).await;
    drop(first);
    let afterwards = run(&idempotency, &counter, 201).await;

    assert_eq!(meanwhile, Err(IdempotencyError::InProgress));
    assert_eq!(afterwards, Ok(outcome(201, 0)));
}

#[tokio::test]
async fn outcomes_that_invite_another_try_are_not_kept() {
    let (idempotency, counter) = (Idempotency::new(Store::memory()), AtomicU32::new(0));

    for (n, status) in [503, 409, 429, 422, 422].into_iter().enumerate() {
        let answer = run(&idempotency, &counter, status).await.unwrap();
        assert_eq!(answer, outcome(status, n.min(3)));
    }
}

#[tokio::test]
async fn a_crash_between_effect_and_outcome_has_no_second_effect() {
    let store = Store::memory();
    let commands = Commands::new(store.clone());
    let context = CommandContext::new(alice());
    commands.handle::<Hall>("a", HallCommand::Open { seats: 9 }, &context).await.unwrap();
    let take = |attempt: Attempt| {
        let Attempt { command_id, repeated } = attempt;
        let context = CommandContext { command_id, repeated, ..CommandContext::new(alice()) };
        let command = HallCommand::Take { guest: "bob".into() };
        let commands = &commands;
        async move { commands.handle::<Hall>("a", command, &context).await.unwrap() }
    };

    // The first program stops after the command took effect.
    let crashed = Idempotency::new(store.clone());
    let (actor, key) = (alice(), key());
    let effect = async |attempt: Attempt| {
        assert!(!attempt.repeated);
        take(attempt).await;
        pending::<Outcome>().await
    };
    let mut crash = Box::pin(crashed.run(&actor, &key, request("a"), effect));
    while commands.load::<Hall>("a").await.unwrap().state.guests.is_empty() {
        assert!(futures::poll!(&mut crash).is_pending());
        tokio::task::yield_now().await;
    }
    drop(crash);

    let again = async |attempt: Attempt| {
        assert!(attempt.repeated);
        outcome(201, take(attempt).await.revision.unwrap())
    };
    let answer = Idempotency::new(store).run(&actor, &key, request("a"), again).await;

    assert_eq!(answer, Ok(outcome(201, 1)));
    assert_eq!(commands.load::<Hall>("a").await.unwrap().state.guests, ["bob"]);
}

#[tokio::test]
async fn two_processes_at_once_keep_one_outcome() {
    let store = Store::memory();
    let counter = AtomicU32::new(0);
    let other = Idempotency::new(store.clone());

    let nested = async |_| {
        let inner = run(&other, &counter, 201).await.unwrap();
        assert_eq!(inner, outcome(201, 0));
        outcome(201, "the later one")
    };
    let outer = Idempotency::new(store).run(&alice(), &key(), request("a"), nested).await;

    assert_eq!(outer, Ok(outcome(201, 0)));
}

#[test]
fn keys_have_a_form() {
    for text in ["", "a\nb", "ключ", &"x".repeat(256)] {
        assert_eq!(text.parse::<IdempotencyKey>(), Err(InvalidKey), "{text}");
    }
    assert_eq!("a key".parse::<IdempotencyKey>().unwrap().to_string(), "a key");
}

#[test]
fn fingerprints_tell_where_parts_end() {
    let of = |parts: [&str; 2]| Fingerprint::of(parts.map(str::as_bytes));
    assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
    assert_eq!(of(["ab", "c"]), of(["ab", "c"]));
}
