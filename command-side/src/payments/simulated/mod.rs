//! A provider that moves no money, with a ledger that says what it would have moved.
//!
//! The ledger is a [`Store`] of its own: one stream for each authorization, one event for each
//! request under its key. Before that, the key is claimed for the authorization, in a stream of the
//! key's own: a key that was used on another authorization is refused.

mod account;
mod ledger;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use daybook_event_store::{
    AppendError, Direction, EventStore, Expected, Filter, NewEvent, ReadError, Recorded, Revision,
    Store, StreamId,
};
use futures::{Stream, TryStreamExt, pin_mut};
use uuid::Uuid;

use self::account::{Account, Entry, Token};
use self::ledger::Totals;
pub use self::ledger::{Ledger, Sums};
use super::port::{Operation, PaymentProvider, ProviderError, Receipt, RequestKey};

const CATEGORY: &str = "authorization";
/// The category of the keys' streams.
const KEYS: &str = "request";

/// A provider for development, tests and demonstrations. What it does depends on the payment
/// method alone; see the [module](crate::payments) for the test tokens.
#[derive(Debug, Clone)]
pub struct SimulatedProvider {
    store: Store,
    repeated: Arc<AtomicU64>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// The caller learns the answer.
    Answered(Result<Receipt, ProviderError>),
    /// It was done and recorded, but the caller does not learn of it.
    Lost,
    /// Nothing was done, and the caller is told nothing.
    Silent,
}

impl SimulatedProvider {
    /// A provider that keeps its ledger in this store, which nobody else writes to.
    pub fn new(store: Store) -> Self {
        Self { store, repeated: Arc::default() }
    }

    /// Adds the whole ledger up.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn ledger(&self) -> Result<Ledger, ProviderError> {
        let events = self.store.read_all(None, Filter::categories(&[CATEGORY]));
        let totals = fold(events, Totals::default(), |totals, recorded, entry| {
            totals.add(recorded.stream.clone(), &entry);
        });
        Ok(totals.await?.finish(self.repeated.load(Ordering::Relaxed)))
    }

    /// Does what is asked, and says whether the caller gets to know.
    pub(super) async fn reply(&self, key: RequestKey, operation: Operation) -> Reply {
        self.settle(key, operation).await.unwrap_or_else(|error| Reply::Answered(Err(error)))
    }

    async fn settle(&self, key: RequestKey, operation: Operation) -> Result<Reply, ProviderError> {
        account::check(&operation)?;
        if is_timeout(&operation) {
            return Ok(Reply::Silent);
        }
        let authorization = account::authorization_of(&key, &operation)?;
        let stream = StreamId::new(CATEGORY, authorization).map_err(unavailable)?;
        let attempt = Uuid::now_v7();
        // What stands in the stream is the answer, whoever put it there; so read again after each
        // append, lost race or not.
        loop {
            let account = self.account(&stream).await?;
            if let Some(entry) = account.entry(&key) {
                return self.reply_from(&account, entry, &operation, attempt);
            }
            let refusal = account.decide(&operation)?;
            self.claim(&key, authorization).await?;
            let entry = Entry { key: key.clone(), attempt, operation: operation.clone(), refusal };
            self.append(&stream, account.entries.len(), &entry).await?;
        }
    }

    fn reply_from(
        &self,
        account: &Account,
        entry: &Entry,
        operation: &Operation,
        attempt: Uuid,
    ) -> Result<Reply, ProviderError> {
        if entry.operation != *operation {
            return Err(ProviderError::KeyReused);
        }
        if entry.attempt != attempt {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        } else if account.token() == Some(Token::LostAnswer) {
            return Ok(Reply::Lost);
        }
        Ok(Reply::Answered(entry.answer()))
    }

    async fn account(&self, stream: &StreamId) -> Result<Account, ProviderError> {
        let events = self.store.read(stream, Revision::START, Direction::Forward);
        fold(events, Account::default(), |account, _, entry| account.push(entry)).await
    }

    /// Takes a key for an authorization. The event's id is the authorization, so that the same
    /// claim again is a repetition, and another one a conflict.
    async fn claim(&self, key: &RequestKey, authorization: Uuid) -> Result<(), ProviderError> {
        let stream = StreamId::new(KEYS, account::id_of(key)).map_err(unavailable)?;
        let event = NewEvent {
            id: authorization,
            kind: "Claimed".into(),
            data: format!("{{\"authorization\":\"{authorization}\"}}").into(),
            metadata: bytes::Bytes::new(),
            is_json: true,
        };
        match self.store.append(&stream, Expected::NoStream, vec![event]).await {
            Ok(_) => Ok(()),
            Err(AppendError::Conflict { .. }) => Err(ProviderError::KeyReused),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Appends an entry to a stream of this length, unless somebody else was first.
    async fn append(
        &self,
        stream: &StreamId,
        length: usize,
        entry: &Entry,
    ) -> Result<(), ProviderError> {
        let last = length.checked_sub(1).map(|last| Revision(last as u64));
        let event = NewEvent {
            id: account::id_of(&entry.key),
            kind: entry.kind().into(),
            data: serde_json::to_vec(entry).map_err(unavailable)?.into(),
            metadata: bytes::Bytes::new(),
            is_json: true,
        };
        let expected = last.map_or(Expected::NoStream, Expected::At);
        match self.store.append(stream, expected, vec![event]).await {
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }
}

fn is_timeout(operation: &Operation) -> bool {
    matches!(operation, Operation::Authorize { method, .. }
        if method.as_str().parse() == Ok(Token::Timeout))
}

async fn fold<S>(
    events: impl Stream<Item = Result<Recorded, ReadError>>,
    mut state: S,
    mut step: impl FnMut(&mut S, Recorded, Entry),
) -> Result<S, ProviderError> {
    pin_mut!(events);
    while let Some(recorded) = events.try_next().await.map_err(unavailable)? {
        let entry = serde_json::from_slice(&recorded.data).map_err(unavailable)?;
        step(&mut state, recorded, entry);
    }
    Ok(state)
}

fn unavailable(error: impl std::error::Error) -> ProviderError {
    ProviderError::Unavailable { reason: format!("the provider's ledger: {error}") }
}

impl PaymentProvider for SimulatedProvider {
    async fn perform(
        &self,
        key: RequestKey,
        operation: Operation,
    ) -> Result<Receipt, ProviderError> {
        let silence = |reason: &str| Err(ProviderError::Unavailable { reason: reason.into() });
        match self.reply(key, operation).await {
            Reply::Answered(answer) => answer,
            Reply::Lost => silence("the answer was lost"),
            Reply::Silent => silence("the provider did not answer in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use daybook_domain::values::{Money, PaymentId};

    use super::*;

    fn entry(key: &str, operation: Operation) -> Entry {
        let key = key.parse().unwrap();
        Entry { key, attempt: Uuid::now_v7(), operation, refusal: None }
    }

    #[tokio::test]
    async fn what_was_decided_on_a_stale_account_is_not_written() {
        let provider = SimulatedProvider::new(Store::memory());
        let stream = StreamId::new(CATEGORY, "a").unwrap();
        let amount = Money::new(100, "GBP".parse().unwrap());
        let (payment, method) = (PaymentId(Uuid::nil()), "tok_approve".parse().unwrap());
        let capture = || Operation::Capture { reference: "auth_a".into(), amount };
        let opened = entry("a", Operation::Authorize { payment, amount, method });
        provider.append(&stream, 0, &opened).await.unwrap();
        provider.append(&stream, 1, &entry("c1", capture())).await.unwrap();

        provider.append(&stream, 1, &entry("c2", capture())).await.unwrap();
        provider.append(&stream, 0, &entry("c3", capture())).await.unwrap();

        let account = provider.account(&stream).await.unwrap();
        let keys: Vec<_> = account.entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["a", "c1"]);
    }
}
