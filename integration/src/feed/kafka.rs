use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use daybook_event_schemas::integration::{Header, Topic};
use futures::FutureExt;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Headers, Message as _, OwnedMessage};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::timeout;

use super::{Feed, FeedError, Message};
use crate::kafka::{Kafka, Producer, Told, record};

/// How long it waits for a message before it says that there is none.
const SILENCE: Duration = Duration::from_secs(1);

/// The largest batch of dead letters, in bytes: what a broker takes by default.
const BATCH: usize = 1_000_000;

/// Topics, for a member of a group of consumers.
pub struct KafkaFeed {
    consumer: StreamConsumer<Told>,
    producer: Producer,
    kafka: Kafka,
    group: &'static str,
    topics: HashMap<String, Topic>,
    /// What was delivered and not committed: the next offset of each partition.
    delivered: HashMap<(String, i32), i64>,
}

impl KafkaFeed {
    /// Joins a group that wants events of these types, and makes their topics where missing.
    ///
    /// # Errors
    /// The cluster does not answer, or a setting makes no sense.
    pub async fn join(
        kafka: Kafka,
        group: &'static str,
        kinds: &'static [&'static str],
    ) -> KafkaResult<Self> {
        let wanted = |topic: &Topic| topic.forms().iter().any(|form| kinds.contains(&form.kind));
        let topics: HashMap<_, _> = Topic::ALL
            .into_iter()
            .filter(wanted)
            .map(|topic| (kafka.topic(topic), topic))
            .collect();
        let graves = topics.values().map(|topic| kafka.dead_letter_topic(*topic, group));
        let all: Vec<_> = topics.keys().cloned().chain(graves).collect();
        kafka.ensure_topics(&all).await?;
        let consumer: StreamConsumer<Told> = kafka.client(&[
            ("group.id", &format!("{}.{group}", kafka.prefix)),
            ("auto.offset.reset", "earliest"),
            // What is done with is said message by message, and told to the broker every second.
            ("enable.auto.offset.store", "false"),
            ("auto.commit.interval.ms", "1000"),
            ("session.timeout.ms", "10000"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("queued.max.messages.kbytes", "16384"),
        ])?;
        consumer.subscribe(&topics.keys().map(String::as_str).collect::<Vec<_>>())?;
        let producer = kafka.producer(BATCH, 16 << 20)?;
        Ok(Self { consumer, producer, kafka, group, topics, delivered: HashMap::new() })
    }

    fn take(&mut self, message: &OwnedMessage) -> Option<Message> {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        self.delivered.insert((topic.to_owned(), partition), offset + 1);
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(&[])).into_owned();
        Some(Message {
            topic: *self.topics.get(topic)?,
            key: text(message.key()),
            headers: headers
                .map(|header| -> Header { (header.key.to_owned().into(), text(header.value)) })
                .collect(),
            payload: Bytes::copy_from_slice(message.payload().unwrap_or(&[])),
            place: format!("{topic}/{partition}/{offset}"),
        })
    }
}

impl Feed for KafkaFeed {
    async fn next(&mut self, most: usize) -> Result<Vec<Message>, FeedError> {
        let mut messages = Vec::new();
        let mut next = match timeout(SILENCE, self.consumer.recv()).await {
            Ok(first) => Some(first?.detach()),
            Err(_) => None,
        };
        while let Some(message) = next {
            messages.extend(self.take(&message));
            let more = messages.len() < most;
            next = match more.then(|| self.consumer.recv().now_or_never()).flatten() {
                Some(Ok(message)) => Some(message.detach()),
                // An error is not of a message: it comes again, or has passed.
                Some(Err(_)) | None => None,
            };
        }
        Ok(messages)
    }

    async fn commit(&mut self) -> Result<(), FeedError> {
        for ((topic, partition), next) in self.delivered.drain() {
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset(&topic, partition, Offset::Offset(next))?;
            // A partition that is another member's by now is not this one's to speak for.
            if let Err(error) = self.consumer.store_offsets(&offsets) {
                tracing::debug!(%error, topic, partition, "an offset was not kept");
            }
        }
        Ok(())
    }

    async fn bury(&mut self, message: &Message, error: &str) -> Result<(), FeedError> {
        let topic = self.kafka.dead_letter_topic(message.topic, self.group);
        let why = [("daybook_error".into(), error.to_owned())];
        let record = record(&topic, message, &why);
        match self.producer.send(record, Duration::from_secs(30)).await {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                if let KafkaError::MessageProduction(_) = error {
                    self.producer = self.kafka.producer(BATCH, 16 << 20)?;
                }
                Err(error.into())
            }
        }
    }

    async fn close(self) {
        // Leaving takes calls to the cluster that block.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}
