//! The contract of the one way to carry out a command.

use std::sync::Arc;

use crate::hall::{Hall, HallCommand, HallEvent, HallRejection};
use daybook_command_side::commands::event_id;
use daybook_command_side::{
    CommandContext, CommandError, CommandOptions, Commands, Handled, StoreError,
};
use daybook_event_schemas::{Actor, Metadata, open};
use daybook_event_store::{
    Direction, EventStore, Expected, Limits, MemoryStore, NewEvent, Recorded, Revision, Store,
    StreamId,
};
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use prometheus::proto::LabelPair;
use uuid::Uuid;

type Answer = Result<Handled<Hall>, CommandError<HallRejection>>;

fn context() -> CommandContext {
    CommandContext::new(Actor("user:alice".into()))
}

fn take(guest: impl Into<String>) -> HallCommand {
    HallCommand::Take { guest: guest.into() }
}

async fn given_hall(store: &Store, seats: usize) -> Commands {
    let commands = Commands::new(store.clone());
    commands.handle::<Hall>("a", HallCommand::Open { seats }, &context()).await.unwrap();
    commands
}

/// Takes a seat on behalf of another process.
async fn elsewhere(store: &Store, guest: &str) {
    Commands::new(store.clone()).handle::<Hall>("a", take(guest), &context()).await.unwrap();
}

async fn recorded(store: &Store) -> Vec<Recorded> {
    let stream = StreamId::new("hall", "a").unwrap();
    store.read(&stream, Revision::START, Direction::Forward).try_collect().await.unwrap()
}

async fn guests(store: &Store) -> Vec<String> {
    let events = recorded(store).await;
    let event = |recorded: &Recorded| open::<HallEvent>(recorded).unwrap().unwrap().event;
    let guest = |event| match event {
        HallEvent::Taken { guest } => Some(guest),
        HallEvent::Opened { .. } => None,
    };
    events.iter().map(event).filter_map(guest).collect()
}

#[tokio::test]
async fn an_accepted_command_is_appended_with_its_cause() {
    let store = Store::memory();
    let commands = given_hall(&store, 2).await;
    let context = context();

    let handled = commands.handle::<Hall>("a", take("bob"), &context).await.unwrap();

    assert_eq!(handled.revision, Some(Revision(1)));
    assert_eq!(handled.events, [HallEvent::Taken { guest: "bob".into() }]);
    assert_eq!(guests(&store).await, ["bob"]);
    let last = recorded(&store).await.pop().unwrap();
    assert_eq!(handled.position, Some(last.position));
    assert_eq!(last.id, event_id(context.command_id, 0));
    let metadata: Metadata = serde_json::from_slice(&last.metadata).unwrap();
    assert_eq!(
        metadata,
        Metadata {
            schema_version: 1,
            correlation_id: context.correlation_id,
            causation_id: context.command_id,
            actor: context.actor,
            traceparent: None,
        }
    );
}

#[tokio::test]
async fn a_rejected_command_appends_nothing() {
    let store = Store::memory();
    let commands = given_hall(&store, 1).await;
    commands.handle::<Hall>("a", take("bob"), &context()).await.unwrap();

    let answer = commands.handle::<Hall>("a", take("eve"), &context()).await;

    assert!(matches!(answer, Err(CommandError::Rejected(HallRejection::Full))));
    assert_eq!(recorded(&store).await.len(), 2);
}

#[tokio::test]
async fn a_command_whose_effect_is_there_appends_nothing() {
    let store = Store::memory();
    let commands = given_hall(&store, 3).await;

    let command = HallCommand::Open { seats: 3 };
    let handled = commands.handle::<Hall>("a", command, &context()).await.unwrap();

    assert_eq!((handled.revision, handled.events.len()), (Some(Revision(0)), 0));
    assert_eq!(recorded(&store).await.len(), 1);
}

#[tokio::test]
async fn what_another_process_wrote_is_seen_before_deciding() {
    let store = Store::memory();
    let commands = given_hall(&store, 1).await;
    elsewhere(&store, "eve").await;

    let answer = commands.handle::<Hall>("a", take("bob"), &context()).await;

    // The cached state still had a free seat: the append's expected revision finds out.
    assert!(matches!(answer, Err(CommandError::Rejected(HallRejection::Full))));
    assert_eq!(guests(&store).await, ["eve"]);
}

#[tokio::test]
async fn conflicts_are_retried_so_often_and_no_more() {
    let store = Store::memory();
    let options = CommandOptions { attempts: 1, ..CommandOptions::default() };
    let commands = Commands::with_options(store.clone(), options);
    commands.handle::<Hall>("a", HallCommand::Open { seats: 9 }, &context()).await.unwrap();
    elsewhere(&store, "eve").await;

    let first = commands.handle::<Hall>("a", take("bob"), &context()).await;
    let second = commands.handle::<Hall>("a", take("bob"), &context()).await;

    assert!(matches!(first, Err(CommandError::Conflict { attempts: 1 })));
    assert!(second.is_ok());
    assert_eq!(guests(&store).await, ["eve", "bob"]);
}

#[tokio::test]
async fn a_stale_revision_is_refused() {
    let store = Store::memory();
    let commands = given_hall(&store, 9).await;
    let at = |revision| CommandContext { expected: Some(Revision(revision)), ..context() };

    let fresh = commands.handle::<Hall>("a", take("bob"), &at(0)).await;
    let stale = commands.handle::<Hall>("a", take("eve"), &at(0)).await;
    let nowhere = commands.handle::<Hall>("b", take("eve"), &at(0)).await;

    assert_eq!(fresh.unwrap().revision, Some(Revision(1)));
    let CommandError::Stale { expected, actual } = stale.unwrap_err() else { panic!() };
    assert_eq!((expected, actual), (Revision(0), Some(Revision(1))));
    assert!(matches!(nowhere, Err(CommandError::Stale { actual: None, .. })));
    assert_eq!(guests(&store).await, ["bob"]);
}

#[tokio::test]
async fn of_concurrent_commands_with_one_expected_revision_one_wins() {
    let store = Store::memory();
    let commands = given_hall(&store, 99).await;
    let at = CommandContext { expected: Some(Revision(0)), ..context() };
    let at = || CommandContext { command_id: Uuid::now_v7(), ..at.clone() };

    let answers = all(&commands, (0..32).map(|n| (take(n.to_string()), at()))).await;

    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(guests(&store).await.len(), 1);
}

#[tokio::test]
async fn a_repeated_command_gives_its_first_result() {
    let store = Store::memory();
    let commands = given_hall(&store, 9).await;
    let context = context();
    commands.handle::<Hall>("a", take("bob"), &context).await.unwrap();
    commands.handle::<Hall>("a", take("eve"), &self::context()).await.unwrap();

    let repeated = CommandContext { repeated: true, ..context.clone() };
    let known = commands.handle::<Hall>("a", take("bob"), &repeated).await.unwrap();
    let unknown = commands.handle::<Hall>("a", take("bob"), &context).await.unwrap();

    for handled in [known, unknown] {
        assert_eq!(handled.revision, Some(Revision(1)));
        assert_eq!(handled.events, [HallEvent::Taken { guest: "bob".into() }]);
    }
    assert_eq!(guests(&store).await, ["bob", "eve"]);
}

#[tokio::test]
async fn a_repeated_command_that_did_nothing_is_decided() {
    let store = Store::memory();
    let commands = given_hall(&store, 9).await;
    let repeated = CommandContext { repeated: true, ..context() };

    commands.handle::<Hall>("a", take("bob"), &repeated).await.unwrap();

    assert_eq!(guests(&store).await, ["bob"]);
}

#[tokio::test]
async fn a_command_sent_many_times_at_once_takes_effect_once() {
    let store = Store::memory();
    let commands = given_hall(&store, 9).await;
    let (twice, other) = (context(), context());

    let sent = [&twice, &other, &twice, &twice].map(|context| (take("bob"), context.clone()));
    let answers = all(&commands, sent).await;

    let revisions: Vec<_> = answers.into_iter().map(|a| a.unwrap().revision.unwrap().0).collect();
    assert_eq!(revisions, [1, 2, 1, 1]);
    assert_eq!(guests(&store).await.len(), 2);
}

#[tokio::test]
async fn a_command_id_of_another_stream_is_that_of_another_command() {
    let store = Store::memory();
    let commands = given_hall(&store, 9).await;
    let context = context();
    commands.handle::<Hall>("a", take("bob"), &context).await.unwrap();

    let opened = commands.handle::<Hall>("b", HallCommand::Open { seats: 1 }, &context).await;
    let again = CommandContext { repeated: true, ..context };
    let repeated = commands.handle::<Hall>("b", HallCommand::Open { seats: 1 }, &again).await;

    let opened = opened.unwrap();
    assert_eq!(opened.events, [HallEvent::Opened { seats: 1 }]);
    assert_eq!(repeated.unwrap().revision, opened.revision);
    assert_eq!(guests(&store).await, ["bob"]);
}

#[tokio::test]
async fn a_command_that_is_too_large_fails_alone() {
    let limits = Limits { event_bytes: 2_000, append_bytes: 6_000, append_events: 20 };
    let store = Store::Memory(MemoryStore::new(limits));
    let commands = given_hall(&store, 99).await;
    let guest = |n: usize| if n == 7 { "x".repeat(3_000) } else { n.to_string() };

    let answers = all(&commands, (0..64).map(|n| (take(guest(n)), context()))).await;

    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Err(CommandError::TooLarge(_)) => assert_eq!(n, 7),
            other => assert!(other.is_ok() && n != 7, "{n}: {other:?}"),
        }
    }
    assert_eq!(guests(&store).await.len(), 63);
}

#[tokio::test]
async fn a_command_goes_on_without_its_caller() {
    let store = Store::memory();
    let commands = given_hall(&store, 9).await;
    let context = context();

    let mut abandoned = Box::pin(commands.handle::<Hall>("a", take("bob"), &context));
    assert!(futures::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    commands.handle::<Hall>("a", take("eve"), &self::context()).await.unwrap();

    assert_eq!(guests(&store).await, ["bob", "eve"]);
}

#[tokio::test]
async fn a_panicking_decision_does_not_block_its_stream() {
    let store = Store::memory();
    let commands = given_hall(&store, 9).await;

    let answer = commands.handle::<Hall>("a", HallCommand::Break, &context()).await;
    let next = commands.handle::<Hall>("a", take("bob"), &context()).await;

    assert!(matches!(answer, Err(CommandError::Unavailable(StoreError::Abandoned))));
    assert_eq!(next.unwrap().revision, Some(Revision(1)));
}

#[tokio::test]
async fn a_stream_with_an_unreadable_event_is_reported() {
    let store = Store::memory();
    let (id, stream) = (Uuid::now_v7(), StreamId::new("hall", "a").unwrap());
    let data = "?".into();
    let event =
        NewEvent { id, kind: "HallOpened".into(), data, metadata: "{}".into(), is_json: true };
    store.append(&stream, Expected::NoStream, vec![event]).await.unwrap();

    let answer = Commands::new(store).handle::<Hall>("a", take("bob"), &context()).await;

    assert!(matches!(answer, Err(CommandError::Damaged(_))));
}

#[tokio::test]
async fn an_id_that_makes_no_stream_name_is_refused() {
    let commands = Commands::new(Store::memory());

    let answer = commands.handle::<Hall>("x".repeat(300), take("bob"), &context()).await;

    assert!(matches!(answer, Err(CommandError::InvalidId(_))));
}

#[tokio::test]
async fn commands_that_come_together_are_appended_together() {
    let store = Store::memory();
    let commands = given_hall(&store, 40).await;

    let answers = all(&commands, (0..64).map(|n| (take(n.to_string()), context()))).await;

    let (seated, refused) = answers.split_at(40);
    let at = |answer: &Answer| answer.as_ref().unwrap().position.unwrap();
    assert!(seated.iter().all(|answer| at(answer) == at(&seated[0])));
    assert!(refused.iter().all(Result::is_err));
    assert_eq!(guests(&store).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hot_stream_is_never_oversold() {
    let store = Store::memory();
    let commands = given_hall(&store, 400).await;

    let writers = (0..64).map(|writer| {
        let commands = commands.clone();
        tokio::spawn(async move {
            let one_by_one = stream::iter(0..10).then(|n| {
                let commands = commands.clone();
                let guest = format!("{writer}.{n}");
                async move { commands.handle::<Hall>("a", take(guest), &context()).await }
            });
            one_by_one.collect::<Vec<_>>().await
        })
    });
    let answers: Vec<_> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();

    let mut revisions: Vec<_> =
        answers.iter().flatten().map(|handled| handled.revision.unwrap().0).collect();
    revisions.sort_unstable();
    assert!(revisions.into_iter().eq(1..=400));
    assert_eq!(guests(&store).await.len(), 400);
}

#[tokio::test]
async fn commands_are_counted_by_outcome() {
    let commands = given_hall(&Store::memory(), 1).await;
    for _ in 0..2 {
        drop(commands.handle::<Hall>("a", take("bob"), &context()).await);
    }

    let families = prometheus::gather();
    let family = families.iter().find(|f| f.name() == "daybook_commands_total").unwrap();
    for outcome in ["accepted", "rejected"] {
        let counted = family.get_metric().iter().any(|metric| {
            let labels = metric.get_label().iter().map(LabelPair::value);
            labels.eq(["hall", outcome]) && metric.get_counter().get_value() > 0.0
        });
        assert!(counted, "no {outcome} commands");
    }
}

/// Sends commands at the same time.
async fn all(
    commands: &Commands,
    sent: impl IntoIterator<Item = (HallCommand, CommandContext)>,
) -> Vec<Answer> {
    let sent: Vec<_> = sent.into_iter().map(|(c, context)| (c, Arc::new(context))).collect();
    join_all(sent.iter().map(|(c, context)| commands.handle::<Hall>("a", c.clone(), context))).await
}
