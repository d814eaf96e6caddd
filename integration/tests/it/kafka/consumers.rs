//! Consumers that are killed, that join and leave, and that are given what is no event.

use std::future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daybook_database::{Address, Executor, Limits, Pool, Tx, query};
use daybook_event_schemas::integration::Topic;
use daybook_event_schemas::{DomainEvent, Envelope};
use daybook_integration::feed::KafkaFeed;
use daybook_integration::{Consumer, ConsumerOptions, HandleError, Kafka, dead_letters, open, run};
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use tokio_util::sync::CancellationToken;

use crate::consumers::options;
use crate::support::{Running, Shop, cluster, order_id, until};

/// Counts how often it was given each event, and refuses one that comes before its turn.
#[derive(Debug, Clone, Default)]
struct Taking {
    taken: Arc<AtomicUsize>,
    /// Where it says that it has got stuck amid a batch, one after its first.
    stuck: Option<PathBuf>,
}

/// Most events of a batch of a [`member`].
const BATCH: usize = 50;

impl Consumer for Taking {
    const NAME: &'static str = "taking";
    const KINDS: &'static [&'static str] = &["OrderConfirmed"];

    async fn handle(&self, tx: &mut Tx, event: &Envelope<DomainEvent>) -> Result<(), HandleError> {
        let (order, revision) = (event.stream.id(), event.revision.0.cast_signed());
        let before = "SELECT count(*) FROM taken WHERE order_id = $1 AND revision < $2";
        let before = tx.fetch_all(query(before).bind(order).bind(revision)).await?;
        if before[0].i64(0)? != revision {
            return Err(HandleError::Refused("it comes before its turn".into()));
        }
        let taken = "INSERT INTO taken (order_id, revision, times) VALUES ($1, $2, 1) \
                     ON CONFLICT (order_id, revision) DO UPDATE SET times = taken.times + 1";
        tx.execute(query(taken).bind(order).bind(revision)).await?;
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.stuck.as_ref().filter(|_| taken == BATCH + BATCH / 2) {
            std::fs::write(place, "stuck").unwrap();
            future::pending::<()>().await;
        }
        Ok(())
    }
}

async fn table(pool: &Pool) {
    let mut tx = pool.begin().await.unwrap();
    let table = "CREATE TABLE taken (order_id TEXT NOT NULL, revision BIGINT NOT NULL, \
                 times BIGINT NOT NULL, PRIMARY KEY (order_id, revision));";
    tx.script(table.to_owned()).await.unwrap();
    tx.commit().await.unwrap();
}

/// How many different events were taken, and how often any.
async fn taken(pool: &Pool) -> (i64, i64) {
    let taken = "SELECT count(*), CAST(COALESCE(sum(times), 0) AS BIGINT) FROM taken";
    let taken = &pool.fetch_all(query(taken)).await.unwrap()[0];
    (taken.i64(0).unwrap(), taken.i64(1).unwrap())
}

async fn is_taken(pool: &Pool, events: i64) {
    until("all events", || async { taken(pool).await.0 == events }).await;
    assert_eq!(taken(pool).await, (events, events), "nothing is doubled");
    assert_eq!(dead_letters::list(pool).await.unwrap(), [], "nothing came before its turn");
}

/// A process of its own with a member of the group, which may get stuck.
fn member(shop: &Shop, kafka: &Kafka, stuck: Option<&Path>) -> Child {
    let mut member = Command::new(std::env::current_exe().unwrap());
    member
        .args(["--exact", "kafka::consumers::a_member", "--ignored"])
        .env("DAYBOOK_TEST_MEMBER", format!("{} {}", kafka.prefix, shop.address.reveal()))
        .stdout(Stdio::null());
    if let Some(place) = stuck {
        member.env("DAYBOOK_TEST_STUCK", place);
    }
    member.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is started by others, to be killed"]
async fn a_member() {
    let Ok(given) = std::env::var("DAYBOOK_TEST_MEMBER") else { return };
    let (prefix, address) = given.split_once(' ').unwrap();
    let kafka = Kafka { prefix: prefix.to_owned(), ..cluster() };
    let pool = open(&Address::from(address), &Limits::default()).await.unwrap();
    let feed = KafkaFeed::join(kafka, Taking::NAME, Taking::KINDS).await.unwrap();
    let options = ConsumerOptions { batch: BATCH, ..options() };
    let stuck = std::env::var_os("DAYBOOK_TEST_STUCK").map(PathBuf::from);
    let taking = Taking { stuck, ..Taking::default() };
    run(taking, feed, pool, options, CancellationToken::new()).await.unwrap();
}

async fn join(shop: &Shop, kafka: &Kafka, taking: &Taking) -> Running {
    let feed = KafkaFeed::join(kafka.clone(), Taking::NAME, Taking::KINDS).await.unwrap();
    crate::consumers::start(taking.clone(), feed, &shop.pool)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/with-kafka"]
async fn a_consumer_that_is_killed_amid_a_batch_is_followed_by_another() {
    let (shop, kafka) = (Shop::new().await, cluster());
    table(&shop.pool).await;
    let relay = shop.relay(&kafka);
    shop.orders(20, 25).await;

    let folder = tempfile::tempdir().unwrap();
    let stuck = folder.path().join("stuck");
    let mut killed = member(&shop, &kafka, Some(&stuck));
    until("a second batch", || async { stuck.exists() }).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let so_far = usize::try_from(taken(&shop.pool).await.0).unwrap();
    assert!(so_far <= BATCH + BATCH / 2, "{so_far}: what was not committed is not there");

    let mut next = member(&shop, &kafka, None);
    is_taken(&shop.pool, 500).await;
    next.kill().unwrap();
    next.wait().unwrap();
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/with-kafka"]
async fn members_may_come_and_go() {
    let (shop, kafka) = (Shop::new().await, cluster());
    table(&shop.pool).await;
    let relay = shop.relay(&kafka);
    let (first, second) = (Taking::default(), Taking::default());
    shop.orders(20, 10).await;
    let one = join(&shop, &kafka, &first).await;
    until("work of the first", || async { first.taken.load(Ordering::Relaxed) > 0 }).await;

    let other = join(&shop, &kafka, &second).await;
    until("work of the second", || async {
        shop.orders(20, 1).await;
        second.taken.load(Ordering::Relaxed) > 0
    })
    .await;
    shop.orders(20, 5).await;
    one.stop().await;
    shop.orders(20, 5).await;

    let head = shop.confirmed().await;
    is_taken(&shop.pool, head).await;
    other.stop().await;
    relay.stop().await;
}

/// Sends something to the topic of orders as anybody could.
async fn send(kafka: &Kafka, key: &str, headers: &[(&str, &[u8])], payload: &[u8]) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &kafka.brokers).create().unwrap();
    let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(*value) })
    });
    let topic = kafka.topic(Topic::Orders);
    let record = FutureRecord::to(&topic).key(key).payload(payload).headers(headers);
    producer.send(record, Timeout::Never).await.unwrap();
}

/// What lies on a consumer's topic of dead letters: payloads and errors.
async fn buried(kafka: &Kafka, letters: usize) -> Vec<(Vec<u8>, String)> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &kafka.brokers)
        .set("group.id", &kafka.prefix)
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[&kafka.dead_letter_topic(Topic::Orders, Taking::NAME)]).unwrap();
    let mut found = Vec::new();
    while found.len() < letters {
        let message = consumer.recv().await.unwrap();
        let headers = message.headers().unwrap();
        let error = headers.iter().find(|header| header.key == "daybook_error").unwrap();
        let error = String::from_utf8_lossy(error.value.unwrap()).into_owned();
        found.push((message.payload().unwrap_or_default().to_vec(), error));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/with-kafka"]
async fn poison_is_set_aside_and_the_others_go_on() {
    let (shop, kafka) = (Shop::new().await, cluster());
    table(&shop.pool).await;
    let running = join(&shop, &kafka, &Taking::default()).await;
    let confirmed: &[(&str, &[u8])] = &[("ce_type", b"daybook.OrderConfirmed.v1")];
    let large = vec![b'x'; 900_000];

    send(&kafka, "a", &[], b"{}").await;
    send(&kafka, "b", confirmed, b"{").await;
    send(&kafka, "c", &[("ce_type", b"\xff\xfe")], &[0, 159, 146]).await;
    send(&kafka, "d", confirmed, &large).await;
    send(&kafka, "e", &[("ce_type", b"daybook.OrderAdmired.v1")], b"{}").await;
    let relay = shop.relay(&kafka);
    shop.orders(5, 4).await;

    until("the events", || async { taken(&shop.pool).await == (20, 20) }).await;
    until("dead letters", || async { dead_letters::list(&shop.pool).await.unwrap().len() == 4 })
        .await;
    let mut buried = buried(&kafka, 4).await;
    buried.sort();
    let payloads: Vec<_> = buried.iter().map(|(payload, _)| payload.as_slice()).collect();
    assert_eq!(payloads, [&[0, 159, 146], &large[..], b"{", b"{}"]);
    assert!(buried.iter().all(|(_, error)| error.contains("header")), "{buried:?}");
    running.stop().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs scripts/with-kafka, and DAYBOOK_TEST_PYTHON with confluent-kafka"]
async fn python_reads_the_topics_as_the_reference_says() {
    let python = std::env::var("DAYBOOK_TEST_PYTHON").expect("see integration/tests/clients");
    let (shop, kafka) = (Shop::new().await, cluster());
    let relay = shop.relay(&kafka);
    shop.orders(5, 4).await;

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/read.py");
    let mut command = Command::new(python);
    command.args([script, &kafka.brokers, &kafka.prefix, "20"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();

    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for order in 0..5 {
        assert_eq!(read[order_id(order).to_string()], serde_json::json!([0, 1, 2, 3]), "{read}");
    }
    relay.stop().await;
}
