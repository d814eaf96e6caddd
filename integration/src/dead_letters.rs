//! What could not be published or consumed, and what came after it on the same key: it waits here
//! for an operator, who has it processed again or gives it up.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use daybook_database::{Error, Executor, Pool, Row, Tx, chain, now, query};
use daybook_event_schemas::integration::{Header, Topic, parse_type};
use thiserror::Error;
use uuid::Uuid;

use crate::database::without_nul;
use crate::discarded::{Discarded, keep};
use crate::feed::Message;

/// A topic and a key on it: what is kept in order.
pub(crate) type Key = (Topic, String);

/// A message that waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: Uuid,
    /// Who could not process it: `relay`, or a consumer's name.
    pub consumer: String,
    /// The message.
    pub message: Message,
    /// Why, with all causes; `None`: it only waits for those before it on its key.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u64,
    /// When it was tried last: microseconds since 1970-01-01T00:00:00Z.
    pub died_at: i64,
}

impl DeadLetter {
    /// The stream that it is about.
    pub fn stream(&self) -> String {
        format!("{}-{}", self.message.topic.category(), self.message.key)
    }

    /// The type of its event, as far as its headers say.
    pub fn kind(&self) -> &str {
        self.message.header("ce_type").and_then(parse_type).map_or("unknown", |(kind, _)| kind)
    }
}

/// Why dead letters could not be looked after.
#[derive(Debug, Error)]
pub enum DeadLetterError {
    /// There is none of this id.
    #[error("there is no dead letter {id}")]
    Unknown {
        /// As given.
        id: Uuid,
    },
    /// The database failed.
    #[error("the database failed")]
    Sql(#[from] Error),
    /// It failed again, and those behind it still wait.
    #[error("dead letter {id} failed again, and those behind it on its key still wait")]
    Again {
        /// Which.
        id: Uuid,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Processes what is taken up again.
pub trait Redo: Send {
    /// Processes a message as if it came for the first time, in the transaction that forgets it.
    fn redo(
        &mut self,
        tx: &mut Tx,
        message: &Message,
    ) -> impl Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send;
}

/// The keys on which a consumer must not go on.
pub(crate) async fn held(executor: impl Executor, consumer: &str) -> Result<HashSet<Key>, Error> {
    let held = "SELECT DISTINCT topic, key FROM dead_letters WHERE consumer = $1 AND key <> ''";
    let rows = executor.fetch_all(query(held).bind(consumer)).await?;
    rows.iter().map(|row| Ok((topic(row)?, row.str("key")?.to_owned()))).collect()
}

/// Lays a message down; one that was before is left as it is.
pub(crate) async fn lay_down(
    tx: &mut Tx,
    consumer: &str,
    message: &Message,
    error: Option<&str>,
    attempts: u64,
) -> Result<(), Error> {
    let (payload, encoded) = text(&message.payload);
    let headers = serde_json::to_string(&message.headers).unwrap_or_default();
    let letter = query(
        "INSERT INTO dead_letters (id, consumer, origin, topic, key, headers, payload, encoded, \
         error, attempts, died_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULLIF($9, ''), $10, \
         $11) ON CONFLICT (consumer, origin) DO NOTHING",
    )
    .bind(Uuid::now_v7())
    .bind(consumer)
    .bind(without_nul(&message.origin()))
    .bind(message.topic.name())
    .bind(without_nul(&message.key))
    .bind(headers)
    .bind(payload)
    .bind(encoded)
    .bind(without_nul(error.unwrap_or_default()))
    .bind(attempts.cast_signed())
    .bind(now());
    tx.execute(letter).await.map(drop)
}

/// The dead letters of everybody, oldest first.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &Pool) -> Result<Vec<DeadLetter>, Error> {
    let rows = pool.fetch_all(query("SELECT * FROM dead_letters ORDER BY id")).await?;
    rows.iter().map(letter).collect()
}

/// One dead letter.
///
/// # Errors
/// There is none of this id, or the database failed.
pub async fn show(executor: impl Executor, id: Uuid) -> Result<DeadLetter, DeadLetterError> {
    let found = query("SELECT * FROM dead_letters WHERE id = $1").bind(id);
    let found = executor.fetch_optional(found).await?;
    Ok(letter(&found.ok_or(DeadLetterError::Unknown { id })?)?)
}

/// Has a dead letter processed, after those of its key that came before it, and none after one that
/// fails. Returns what was processed.
///
/// A dry run does everything, and undoes it.
///
/// # Errors
/// There is none of this id, one failed again, or the database failed.
pub async fn replay(
    pool: &Pool,
    id: Uuid,
    dry_run: bool,
    redo: &mut impl Redo,
) -> Result<Vec<DeadLetter>, DeadLetterError> {
    let named = show(pool, id).await?;
    let mut done = Vec::new();
    while let Some(first) = first(pool, &named, done.last()).await? {
        let mut tx = pool.begin().await?;
        let forget = query("DELETE FROM dead_letters WHERE id = $1").bind(first.id);
        if tx.execute(forget).await? == 1 {
            if let Err(source) = redo.redo(&mut tx, &first.message).await {
                drop(tx);
                if !dry_run {
                    blame(pool, first.id, &*source).await?;
                }
                return Err(DeadLetterError::Again { id: first.id, source });
            }
            if !dry_run {
                tx.commit().await?;
            }
        }
        done.push(first);
    }
    Ok(done)
}

/// Gives a dead letter up: it counts as consumed, and a further copy of it does nothing. What waits
/// behind it goes on waiting. Why, and who did it, is [kept](fn@crate::discarded).
///
/// # Errors
/// There is none of this id, or the database failed.
pub async fn discard(
    pool: &Pool,
    id: Uuid,
    reason: &str,
    by: &str,
) -> Result<DeadLetter, DeadLetterError> {
    let mut tx = pool.begin().await?;
    let letter = show(&mut tx, id).await?;
    consume(&mut tx, &letter.consumer, &letter.message).await?;
    let discarded = Discarded {
        id,
        owner: letter.consumer.clone(),
        key: letter.stream(),
        kind: letter.kind().to_owned(),
        error: letter.error.clone().unwrap_or_default(),
        reason: reason.to_owned(),
        by: by.to_owned(),
        at: now(),
    };
    keep(&mut tx, &discarded).await?;
    tx.execute(query("DELETE FROM dead_letters WHERE id = $1").bind(id)).await?;
    tx.commit().await?;
    Ok(letter)
}

/// Notes that a consumer has processed an event. `false`: it had before.
pub(crate) async fn consume(tx: &mut Tx, consumer: &str, message: &Message) -> Result<bool, Error> {
    let (Some(subject), Some(id)) = (message.header("ce_subject"), message.header("ce_id")) else {
        return Ok(true);
    };
    let stream = format!("{}-{subject}", message.topic.category());
    let note = query(
        "INSERT INTO consumed_events (consumer, stream, event_id) VALUES ($1, $2, $3) \
         ON CONFLICT (consumer, stream, event_id) DO NOTHING",
    )
    .bind(consumer)
    .bind(without_nul(&stream))
    .bind(without_nul(id));
    Ok(tx.execute(note).await? == 1)
}

/// The first letter of the same key up to the one that is named, after another. Where there is no
/// key, the letter itself.
async fn first(
    pool: &Pool,
    named: &DeadLetter,
    after: Option<&DeadLetter>,
) -> Result<Option<DeadLetter>, Error> {
    let Message { topic, key, .. } = &named.message;
    let first = query(
        "SELECT * FROM dead_letters WHERE consumer = $1 AND topic = $2 AND key = $3 AND id > $4 \
         AND id <= $5 AND (key <> '' OR id = $5) ORDER BY id LIMIT 1",
    )
    .bind(&*named.consumer)
    .bind(topic.name())
    .bind(key.as_str())
    .bind(after.map(|letter| letter.id.to_string()).unwrap_or_default())
    .bind(named.id);
    pool.fetch_optional(first).await?.as_ref().map(letter).transpose()
}

async fn blame(
    pool: &Pool,
    id: Uuid,
    error: &(dyn std::error::Error + 'static),
) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    let blame = query(
        "UPDATE dead_letters SET error = $1, attempts = attempts + 1, died_at = $2 WHERE id = $3",
    );
    tx.execute(blame.bind(without_nul(&chain(error))).bind(now()).bind(id)).await?;
    tx.commit().await
}

fn letter(row: &Row) -> Result<DeadLetter, Error> {
    let headers: Vec<Header> = serde_json::from_str(row.str("headers")?).map_err(broken)?;
    let payload = row.str("payload")?;
    let payload = if row.bool("encoded")? {
        BASE64_STANDARD.decode(payload).map_err(broken)?
    } else {
        payload.as_bytes().to_vec()
    };
    Ok(DeadLetter {
        id: Uuid::try_parse(row.str("id")?).map_err(broken)?,
        consumer: row.str("consumer")?.to_owned(),
        message: Message {
            topic: topic(row)?,
            key: row.str("key")?.to_owned(),
            headers,
            payload: payload.into(),
            place: row.str("origin")?.to_owned(),
        },
        error: row.maybe_str("error")?.map(str::to_owned),
        attempts: row.i64("attempts")?.cast_unsigned(),
        died_at: row.i64("died_at")?,
    })
}

fn topic(row: &Row) -> Result<Topic, Error> {
    let name = row.str("topic")?;
    let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name);
    topic.ok_or_else(|| Error::Decode(format!("there is no topic {name}").into()))
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Decode(error.into())
}

/// Bytes as text, in Base64 if they are none that a database takes.
fn text(bytes: &[u8]) -> (String, bool) {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => (text.to_owned(), false),
        _ => (BASE64_STANDARD.encode(bytes), true),
    }
}
