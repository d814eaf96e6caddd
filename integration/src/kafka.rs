//! Kafka as this crate uses it: addresses, topics, and how clients are set up.

use std::collections::HashMap;
use std::time::Duration;

use daybook_event_schemas::integration::{Header, Topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::feed::Message;

/// How long questions to the cluster may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a broker takes in one batch unless it is told otherwise.
const USUAL_LIMIT: usize = 1_048_588;

/// A cluster, and what is stated of the topics on it.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// Addresses of some of its brokers: `host:port`, separated by commas.
    pub brokers: String,
    /// What the names of topics and groups begin with.
    pub prefix: String,
    /// Partitions of topics that are made.
    pub partitions: i32,
    /// Replicas of topics that are made.
    pub replication: i32,
    /// More settings of librdkafka, which go before those of this crate.
    pub properties: Vec<(String, String)>,
}

/// Tells what librdkafka has to say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told;

pub(crate) type Producer = FutureProducer<Told>;

impl ClientContext for Told {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka has a problem, and is tried again");
    }
}

impl rdkafka::consumer::ConsumerContext for Told {}

impl Kafka {
    /// A cluster with topics of 6 partitions without replicas, named `daybook.…`.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: "daybook".into(),
            partitions: 6,
            replication: 1,
            properties: Vec::new(),
        }
    }

    /// The whole name of a topic.
    pub fn topic(&self, topic: Topic) -> String {
        format!("{}.{}", self.prefix, topic.name())
    }

    /// Where a consumer puts the messages of a topic that it could not process.
    pub fn dead_letter_topic(&self, topic: Topic, group: &str) -> String {
        format!("{}.{group}.dlq", self.topic(topic))
    }

    /// A client's settings; those that are given take the place of the ones in the box.
    pub(crate) fn client<T: FromClientConfigAndContext<Told>>(
        &self,
        settings: &[(&str, &str)],
    ) -> KafkaResult<T> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "daybook");
        // After a broker was away, so as to be back soon.
        config.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.create_with_context(Told)
    }

    /// A producer that loses nothing and keeps the order: it tries for ever, and a message that is
    /// refused stops it rather than letting others pass.
    pub(crate) fn producer(&self, batch: usize, message: usize) -> KafkaResult<Producer> {
        self.client(&[
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("acks", "all"),
            ("message.timeout.ms", "0"),
            ("compression.type", "lz4"),
            // Java's, so that all clients agree on where a key is.
            ("partitioner", "murmur2_random"),
            ("batch.size", &batch.to_string()),
            ("message.max.bytes", &message.to_string()),
        ])
    }

    /// Makes the topics that are not there. Those that are stay as they are, and what is different
    /// of them is told.
    ///
    /// # Errors
    /// The cluster does not answer, or refuses a topic.
    pub async fn ensure_topics(&self, names: &[String]) -> KafkaResult<()> {
        let admin: AdminClient<Told> = self.client(&[])?;
        let new = names.iter().map(|name| {
            NewTopic::new(name, self.partitions, TopicReplication::Fixed(self.replication))
        });
        let new: Vec<_> = new.collect();
        let options =
            AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let mut there = Vec::new();
        for made in admin.create_topics(&new, &options).await? {
            match made {
                Ok(name) => tracing::info!(topic = name, "a topic was made"),
                Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => there.push(name),
                Err((_, code)) => return Err(KafkaError::AdminOp(code)),
            }
        }
        let this = self.clone();
        let compared = tokio::task::spawn_blocking(move || this.compare(&admin, &there));
        compared.await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Tells in what topics are other than stated.
    fn compare(&self, admin: &AdminClient<Told>, names: &[String]) -> KafkaResult<()> {
        for name in names {
            let metadata = admin.inner().fetch_metadata(Some(name), PATIENCE)?;
            for topic in metadata.topics() {
                let partitions = topic.partitions();
                let replicas = partitions.first().map_or(0, |first| first.replicas().len());
                let stated = (self.partitions, self.replication);
                let found = [partitions.len(), replicas].map(|n| i32::try_from(n).unwrap_or(-1));
                if !partitions.is_empty() && (found[0], found[1]) != stated {
                    tracing::warn!(
                        topic = name,
                        partitions = found[0],
                        replicas = found[1],
                        "a topic is other than stated, and stays as it is"
                    );
                }
            }
        }
        Ok(())
    }

    /// The largest batch that each topic takes, in bytes.
    pub(crate) async fn limits(&self) -> KafkaResult<HashMap<Topic, usize>> {
        let admin: AdminClient<Told> = self.client(&[])?;
        let names = Topic::ALL.map(|topic| self.topic(topic));
        let topics: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let described = admin.describe_configs(&topics, &options).await?;
        let limit = |(topic, described): (Topic, Result<_, RDKafkaErrorCode>)| {
            let described: rdkafka::admin::ConfigResource =
                described.map_err(KafkaError::AdminOp)?;
            let limit = described.get("max.message.bytes").and_then(|entry| entry.value.as_ref());
            Ok((topic, limit.and_then(|limit| limit.parse().ok()).unwrap_or(USUAL_LIMIT)))
        };
        Topic::ALL.into_iter().zip(described).map(limit).collect()
    }
}

/// A message as Kafka takes it.
pub(crate) fn record<'a>(
    topic: &'a str,
    message: &'a Message,
    more: &[Header],
) -> FutureRecord<'a, str, [u8]> {
    let all = message.headers.iter().chain(more);
    let headers = all.fold(OwnedHeaders::new(), |headers, (name, value)| {
        headers.insert(KafkaHeader { key: name, value: Some(value) })
    });
    FutureRecord::to(topic).key(message.key.as_str()).payload(&message.payload[..]).headers(headers)
}
