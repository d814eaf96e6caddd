//! Requests with an idempotency key: the same key has the same result for ever.
//!
//! A request claims a stream of its own before it is carried out and writes its outcome there
//! afterwards. Where the outcome is missing (the program stopped in between), the request is
//! carried out again under the same command id, which has no second effect.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use daybook_event_schemas::runtime::CommandRecord;
use daybook_event_schemas::{Actor, DecodeError, open, seal};
use daybook_event_store::{
    AppendError, Direction, EventStore, Expected, InvalidStreamId, ReadError, Revision, Store,
    StreamId,
};
use futures::TryStreamExt;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::commands::CommandContext;

/// Category of the streams of claims.
const CATEGORY: &str = "idempotency";
/// Keeps the ids of claims apart from other derived ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f14_e0a5_6c1d_4b7e_9a3b_52d7_c0f1_6e28);

/// What a caller names a request by: 1 to 255 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

/// A text is not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an idempotency key must be 1 to 255 printable ASCII characters")]
pub struct InvalidKey;

impl FromStr for IdempotencyKey {
    type Err = InvalidKey;

    fn from_str(input: &str) -> Result<Self, InvalidKey> {
        let printable = input.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if printable && (1..=255).contains(&input.len()) {
            Ok(Self(input.into()))
        } else {
            Err(InvalidKey)
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells requests apart: SHA-256 over everything that makes a request what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a request in parts, such as method, path and body.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (high, low) = digest.split_at(16);
        let half = |bytes: &[u8]| bytes.iter().fold(0, |sum: u128, &b| sum << 8 | u128::from(b));
        Self(format!("{:032x}{:032x}", half(high), half(low)))
    }
}

/// The answer to a request, to be given again word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status.
    pub status: u16,
    /// Headers that belong to the answer.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Outcome {
    /// Whether the request is settled; otherwise the caller may try it again with the same key.
    fn is_final(&self) -> bool {
        !matches!(self.status, 409 | 429 | 500..)
    }
}

/// How to carry a request out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The command's id, the same at every attempt.
    pub command_id: Uuid,
    /// There was an attempt before, and it may have taken effect.
    pub repeated: bool,
}

/// Why a request was not carried out, or its outcome not kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdempotencyError {
    /// The key belongs to another request.
    #[error("the idempotency key was used for another request: use a new one")]
    DifferentPayload,
    /// The same request is being carried out right now.
    #[error("a request with this idempotency key is in progress: try again later")]
    InProgress,
    /// Claims cannot be read or written now. The request may have been carried out: repeat it
    /// with the same key.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The claim is not what was written.
    #[error("the claim of the idempotency key is damaged: {0}")]
    Damaged(String),
}

/// What is known of a key.
struct Claim {
    fingerprint: Fingerprint,
    outcome: Option<Outcome>,
}

/// Carries requests out under their idempotency keys. Clones share what is in progress.
#[derive(Debug, Clone)]
pub struct Idempotency {
    store: Store,
    running: Arc<Mutex<HashSet<Uuid>>>,
}

impl Idempotency {
    /// Keeps claims in `store`.
    pub fn new(store: Store) -> Self {
        Self { store, running: Arc::default() }
    }

    /// Carries a request out unless that was done before, and gives its outcome. Outcomes that
    /// invite another try (409, 429, 5xx) are not kept.
    ///
    /// # Errors
    /// The key belongs to another request or to one in progress, or claims cannot be kept now.
    pub async fn run<F>(
        &self,
        actor: &Actor,
        key: &IdempotencyKey,
        fingerprint: Fingerprint,
        request: impl FnOnce(Attempt) -> F,
    ) -> Result<Outcome, IdempotencyError>
    where
        F: Future<Output = Outcome>,
    {
        let claim = Uuid::new_v5(&NAMESPACE, format!("{}\0{key}", actor.0).as_bytes());
        let _running = Running::enter(&self.running, claim).ok_or(IdempotencyError::InProgress)?;
        let stream = StreamId::new(CATEGORY, claim)?;
        let repeated = match self.find(&stream).await? {
            None => !self.claim(&stream, actor, &fingerprint).await?,
            Some(claim) if claim.fingerprint != fingerprint => {
                return Err(IdempotencyError::DifferentPayload);
            }
            Some(Claim { outcome: Some(outcome), .. }) => return Ok(outcome),
            Some(Claim { outcome: None, .. }) => true,
        };
        let outcome = request(Attempt { command_id: claim, repeated }).await;
        if outcome.is_final() { self.complete(&stream, actor, outcome).await } else { Ok(outcome) }
    }

    /// Claims a key. `false`: another process did the same at the same time. Both carry the
    /// request out, under one command id, which takes effect once.
    async fn claim(
        &self,
        stream: &StreamId,
        actor: &Actor,
        fingerprint: &Fingerprint,
    ) -> Result<bool, IdempotencyError> {
        let claimed = CommandRecord::Claimed { fingerprint: fingerprint.0.clone() };
        if self.append(stream, Expected::NoStream, actor, &claimed).await? {
            return Ok(true);
        }
        match self.find(stream).await? {
            Some(claim) if claim.fingerprint == *fingerprint => Ok(false),
            _ => Err(IdempotencyError::DifferentPayload),
        }
    }

    /// Keeps an outcome. Where another process was first, that one's stands.
    async fn complete(
        &self,
        stream: &StreamId,
        actor: &Actor,
        outcome: Outcome,
    ) -> Result<Outcome, IdempotencyError> {
        let Outcome { status, headers, body } = outcome.clone();
        let completed = CommandRecord::Completed { status, headers, body };
        if self.append(stream, Expected::At(Revision::START), actor, &completed).await? {
            return Ok(outcome);
        }
        let earlier = self.find(stream).await?.and_then(|claim| claim.outcome);
        Ok(earlier.unwrap_or(outcome))
    }

    /// Appends unless another process was first. The event's id is new, so that the store does
    /// not take the other's event for this one.
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        actor: &Actor,
        event: &CommandRecord,
    ) -> Result<bool, IdempotencyError> {
        let id = Uuid::now_v7();
        let metadata = CommandContext::new(actor.clone()).metadata();
        match self.store.append(stream, expected, vec![seal(id, event, &metadata)]).await {
            Ok(_) => Ok(true),
            Err(AppendError::Conflict { .. }) => Ok(false),
            Err(error) => Err(IdempotencyError::Unavailable(error.to_string())),
        }
    }

    async fn find(&self, stream: &StreamId) -> Result<Option<Claim>, IdempotencyError> {
        let mut events = self.store.read(stream, Revision::START, Direction::Forward);
        let mut known: Option<Claim> = None;
        while let Some(recorded) = events.try_next().await? {
            let event = open(&recorded)?.map(|envelope| envelope.event);
            match (event, &mut known) {
                (Some(CommandRecord::Claimed { fingerprint }), None) => {
                    known = Some(Claim { fingerprint: Fingerprint(fingerprint), outcome: None });
                }
                (Some(CommandRecord::Completed { status, headers, body }), Some(claim)) => {
                    claim.outcome.get_or_insert(Outcome { status, headers, body });
                }
                _ => {}
            }
        }
        Ok(known)
    }
}

/// A request that is being carried out, until dropped.
struct Running<'a> {
    all: &'a Mutex<HashSet<Uuid>>,
    claim: Uuid,
}

impl<'a> Running<'a> {
    fn enter(all: &'a Mutex<HashSet<Uuid>>, claim: Uuid) -> Option<Self> {
        all.lock().insert(claim).then(|| Self { all, claim })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.claim);
    }
}

impl From<InvalidStreamId> for IdempotencyError {
    fn from(error: InvalidStreamId) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<ReadError> for IdempotencyError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            ReadError::Damaged { .. } | ReadError::Deleted { .. } => {
                Self::Damaged(error.to_string())
            }
        }
    }
}

impl From<DecodeError> for IdempotencyError {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(error.to_string())
    }
}
