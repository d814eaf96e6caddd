use std::collections::{BTreeMap, HashSet};
use std::process::Command;
use std::time::Duration;

use daybook_database::{Address, Limits, Pool, testing};
use daybook_domain::order::{OrderEvent, OrderLine};
use daybook_domain::values::{CustomerId, Money, OrderId, Timestamp};
use daybook_event_schemas::{Actor, Contract, DomainEvent, Metadata, seal};
use daybook_event_store::{EmbeddedOptions, EventStore, Expected, Filter, NewEvent, Store};
use daybook_integration::feed::{Feed, Message};
use daybook_integration::{Kafka, Lease, Relay, RelayOptions, open};
use futures::StreamExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// An event store, and the database of the relay and the consumers.
pub(crate) struct Shop {
    pub(crate) store: Store,
    pub(crate) pool: Pool,
    /// Where the database is.
    pub(crate) address: Address,
    _folder: tempfile::TempDir,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::embedded(folder.path().join("events"), &EmbeddedOptions::default()).unwrap();
        let address = testing::prepare(folder.path(), "integration.db").await.unwrap();
        let pool = open(&address, &Limits::default()).await.unwrap();
        Self { store, pool, address, _folder: folder }
    }

    /// Appends an event to a stream.
    #[track_caller]
    pub(crate) fn happens<E: Contract>(
        &self,
        stream: &str,
        event: &E,
    ) -> impl Future<Output = NewEvent> + use<E> {
        let event = seal(Uuid::now_v7(), event, &metadata());
        let appended = self.append(stream, event.clone());
        async move {
            appended.await;
            event
        }
    }

    /// Appends whatever it is.
    pub(crate) fn append(&self, stream: &str, event: NewEvent) -> impl Future<Output = ()> + use<> {
        let (store, stream) = (self.store.clone(), stream.parse().unwrap());
        async move {
            store.append(&stream, Expected::Any, vec![event]).await.unwrap();
        }
    }

    /// Appends so many events to each of so many orders, in turns.
    pub(crate) async fn orders(&self, orders: u128, events: usize) {
        for _ in 0..events {
            for order in 0..orders {
                self.happens(&format!("order-{}", order_id(order)), &confirmed()).await;
            }
        }
    }

    /// How many events there are of those that [`orders`](Self::orders) appends.
    pub(crate) async fn confirmed(&self) -> i64 {
        let confirmed = self.store.read_all(None, Filter::kinds(&["OrderConfirmed"]));
        i64::try_from(confirmed.count().await).unwrap()
    }

    pub(crate) fn relay(&self, kafka: &Kafka) -> Running {
        self.relay_with(kafka, RelayOptions::new(lease("relay-1")))
    }

    pub(crate) fn relay_with(&self, kafka: &Kafka, options: RelayOptions) -> Running {
        let relay = Relay::new(self.store.clone(), self.pool.clone(), kafka.clone(), options);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(relay.unwrap().run(shutdown.clone()));
        Running { task, shutdown }
    }
}

/// Something that runs beside the test.
pub(crate) struct Running {
    pub(crate) task: JoinHandle<()>,
    pub(crate) shutdown: CancellationToken,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

pub(crate) fn lease(owner: &str) -> Lease {
    Lease { owner: owner.into(), length: Duration::from_secs(2) }
}

pub(crate) fn order_id(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub(crate) fn confirmed() -> DomainEvent {
    DomainEvent::Order(OrderEvent::Confirmed { at: at(0) })
}

pub(crate) fn metadata() -> Metadata {
    Metadata {
        schema_version: 1,
        correlation_id: Uuid::now_v7(),
        causation_id: Uuid::now_v7(),
        actor: Actor("user:alice".into()),
        traceparent: None,
    }
}

/// A cluster of the broker that is given, with topics of the test's own.
pub(crate) fn cluster() -> Kafka {
    let brokers = std::env::var("DAYBOOK_TEST_KAFKA_BROKERS").expect("see scripts/with-kafka");
    Kafka { prefix: format!("t{}", Uuid::now_v7().simple()), partitions: 3, ..Kafka::new(brokers) }
}

/// Has the broker stopped as a crash does (`stop`), or started (`start`).
pub(crate) async fn broker(what: &'static str) {
    let program = std::env::var("DAYBOOK_TEST_KAFKA_RESTART").expect("see scripts/with-kafka");
    let done = move || Command::new(program).arg(what).status().unwrap();
    assert!(tokio::task::spawn_blocking(done).await.unwrap().success());
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until<F: Future<Output = bool>>(
    what: &'static str,
    mut so: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !so().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what} did not come to be, at {place}");
    }
}

/// Takes messages until so many different ones have come, and commits each batch.
pub(crate) async fn take(feed: &mut impl Feed, different: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    take_more(feed, &mut messages, different).await;
    messages
}

/// Takes messages until there are so many different ones, and commits each batch.
pub(crate) async fn take_more(feed: &mut impl Feed, messages: &mut Vec<Message>, different: usize) {
    let mut seen: HashSet<_> = messages.iter().map(identity).collect();
    let taken = tokio::time::timeout(PATIENCE, async {
        while seen.len() < different {
            let Ok(batch) = feed.next(100).await else { continue };
            seen.extend(batch.iter().map(identity));
            messages.extend(batch);
            let _ = feed.commit().await;
        }
    });
    assert!(taken.await.is_ok(), "only {} of {different} messages came", seen.len());
}

fn identity(message: &Message) -> (String, String) {
    (message.key.clone(), message.header("ce_id").unwrap_or_default().to_owned())
}

/// The revisions of each key in the order in which they came first.
pub(crate) fn revisions(messages: &[Message]) -> BTreeMap<String, Vec<u64>> {
    let mut seen = HashSet::new();
    let mut revisions = BTreeMap::<_, Vec<u64>>::new();
    for message in messages.iter().filter(|message| seen.insert(identity(message))) {
        let revision = message.open().unwrap().unwrap().revision.0;
        revisions.entry(message.key.clone()).or_default().push(revision);
    }
    revisions
}

/// What [`revisions`] are if so many orders have so many events.
pub(crate) fn complete(orders: u128, events: usize) -> BTreeMap<String, Vec<u64>> {
    (0..orders).map(|n| (order_id(n).to_string(), (0..events as u64).collect())).collect()
}

pub(crate) fn placed(
    order: u128,
    lines: Vec<OrderLine>,
    total: Money,
    at: Timestamp,
) -> DomainEvent {
    DomainEvent::Order(OrderEvent::Placed {
        order: order_id(order),
        customer: CustomerId(Uuid::from_u128(7)),
        lines,
        total,
        method: "tok_approve".parse().unwrap(),
        at,
    })
}
