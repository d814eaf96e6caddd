//! What a group keeps in streams of its own: how far it has come, and what was parked.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use daybook_event_store::{
    Direction, EventStore, Expected, NewEvent, Revision, Store, StreamId, StreamMetadata,
};
use futures::{TryStreamExt, pin_mut};
use tonic::Status;
use uuid::Uuid;

use super::config::Source;
use super::errors::GroupName;
use super::event;
use crate::errors;
use crate::protocol::now;
use crate::streams::{LINK, Resolved};

/// What the names of groups' own streams begin with.
const PREFIX: &str = "$persistentsubscription-";
const CHECKPOINT: &str = "$SubscriptionCheckpoint";
/// How many checkpoints are kept.
const CHECKPOINTS: NonZeroU64 = NonZeroU64::new(2).expect("2 is not 0");

/// Whether a stream holds the state of a group, or says something of such a stream.
pub(crate) fn is_own(stream: &StreamId) -> bool {
    let name = stream.as_str();
    name.strip_prefix("$$").is_some_and(|of| of.starts_with(PREFIX)) || name.starts_with(PREFIX)
}

/// The streams of one group.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    store: Store,
    source: Source,
    /// Tells the group from earlier ones of its name.
    id: Uuid,
    checkpoints: StreamId,
    parked: StreamId,
}

impl Journal {
    /// # Errors
    /// The group's name cannot be part of a stream's.
    pub(crate) fn new(
        store: Store,
        name: &GroupName,
        id: Uuid,
        source: Source,
    ) -> Result<Self, Status> {
        let stream = |what| {
            let stream = format!("{PREFIX}{}-{what}", name.key());
            stream.parse().map_err(|error| name.failed(&format!("{error}")))
        };
        Ok(Self {
            checkpoints: stream("checkpoint")?,
            parked: stream("parked")?,
            store,
            source,
            id,
        })
    }

    pub(crate) fn parked(&self) -> &StreamId {
        &self.parked
    }

    /// Makes the streams ready for a new group: what an earlier one left is hidden.
    pub(crate) async fn begin(&self) -> Result<(), Status> {
        self.clear().await?;
        let mut metadata = self.metadata(&self.checkpoints).await?;
        metadata.max_count = Some(CHECKPOINTS);
        self.set_metadata(&self.checkpoints, &metadata).await
    }

    /// Hides everything.
    pub(crate) async fn clear(&self) -> Result<(), Status> {
        for stream in [&self.checkpoints, &self.parked] {
            if let Some(last) = self.end(stream, Direction::Backward).await? {
                self.truncate(stream, last + 1).await?;
            }
        }
        Ok(())
    }

    /// The place up to which everything was done.
    pub(crate) async fn checkpoint(&self) -> Result<Option<u64>, Status> {
        let last = self.store.read_last(&self.checkpoints).await;
        let Some(last) = last.map_err(|error| errors::unread(&error))? else { return Ok(None) };
        let text: Option<String> = serde_json::from_slice(&last.data).ok();
        let place = text.and_then(|text| self.source.place(&text));
        let unreadable = || {
            let stream = &self.checkpoints;
            Status::data_loss(format!("the last event of {stream} is not a checkpoint"))
        };
        place.map(Some).ok_or_else(unreadable)
    }

    pub(crate) async fn save_checkpoint(&self, place: u64) -> Result<(), Status> {
        let data = format!("\"{}\"", self.source.text(place));
        self.append(&self.checkpoints, Uuid::now_v7(), CHECKPOINT, data.into(), Bytes::new())
            .await?;
        Ok(())
    }

    /// The revisions of what is parked.
    pub(crate) async fn parked_range(&self) -> Result<Range<u64>, Status> {
        let first = self.end(&self.parked, Direction::Forward).await?;
        let last = self.end(&self.parked, Direction::Backward).await?;
        if let Some((first, last)) = first.zip(last) {
            return Ok(first..last + 1);
        }
        let metadata = self.metadata(&self.parked).await?;
        let next = metadata.truncate_before.map_or(0, |before| before.0);
        Ok(next..next)
    }

    /// Parks a message: its revision among what is parked, of which everything before `first` was
    /// replayed. Repeated it does nothing, unless the message was replayed in between.
    pub(crate) async fn park(
        &self,
        message: &Arc<Resolved>,
        reason: &str,
        first: u64,
    ) -> Result<u64, Status> {
        let data: Bytes = event::target(message).unwrap_or_default().into();
        let origin = event::origin(message);
        let said = serde_json::json!({
            "added": now().to_string(),
            "reason": reason,
            "subscriptionEventNumber": origin,
        });
        let said = Bytes::from(said.to_string());
        let mut round = 0_u64;
        loop {
            let id = Uuid::new_v5(&self.id, format!("{round}:{origin}").as_bytes());
            let at = self.append(&self.parked, id, LINK, data.clone(), said.clone()).await?;
            if at >= first {
                return Ok(at);
            }
            round += 1;
        }
    }

    /// Hides what is parked before a revision.
    pub(crate) async fn truncate_parked(&self, before: u64) -> Result<(), Status> {
        self.truncate(&self.parked, before).await
    }

    async fn truncate(&self, stream: &StreamId, before: u64) -> Result<(), Status> {
        let mut metadata = self.metadata(stream).await?;
        metadata.truncate_before = Some(Revision(before));
        self.set_metadata(stream, &metadata).await
    }

    async fn metadata(&self, stream: &StreamId) -> Result<StreamMetadata, Status> {
        let metadata = self.store.metadata(stream).await.map_err(|error| errors::unread(&error))?;
        Ok(metadata.map(|(metadata, _)| metadata).unwrap_or_default())
    }

    async fn set_metadata(
        &self,
        stream: &StreamId,
        metadata: &StreamMetadata,
    ) -> Result<(), Status> {
        let set = self.store.set_metadata(stream, Expected::Any, metadata, Uuid::now_v7()).await;
        set.map(drop).map_err(|error| errors::refused("Append", &error))
    }

    /// The revision of the first or last event that can be read.
    async fn end(&self, stream: &StreamId, direction: Direction) -> Result<Option<u64>, Status> {
        let from = match direction {
            Direction::Forward => Revision::START,
            Direction::Backward => Revision::END,
        };
        let events = self.store.read(stream, from, direction);
        pin_mut!(events);
        let end = events.try_next().await.map_err(|error| errors::unread(&error))?;
        Ok(end.map(|event| event.revision.0))
    }

    async fn append(
        &self,
        stream: &StreamId,
        id: Uuid,
        kind: &str,
        data: Bytes,
        metadata: Bytes,
    ) -> Result<u64, Status> {
        let is_json = kind == CHECKPOINT;
        let event = NewEvent { id, kind: kind.into(), data, metadata, is_json };
        let appended = self.store.append(stream, Expected::Any, vec![event]).await;
        let appended = appended.map_err(|error| errors::refused("Append", &error))?;
        Ok(appended.revision.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn given(stream: &str) -> Journal {
        let store = Store::memory();
        let name = GroupName { stream: stream.into(), group: "group".into() };
        let source = Source::named(stream).unwrap();
        let journal = Journal::new(store, &name, Uuid::from_u128(1), source).unwrap();
        journal.begin().await.unwrap();
        journal
    }

    async fn message(journal: &Journal, count: u128) -> Vec<Arc<Resolved>> {
        let order = "order-1".parse().unwrap();
        for id in 0..count {
            let (kind, data) = ("Placed".into(), Bytes::new());
            let id = Uuid::from_u128(1_000 + id);
            let event = NewEvent { id, kind, data: data.clone(), metadata: data, is_json: false };
            journal.store.append(&order, Expected::Any, vec![event]).await.unwrap();
        }
        let events = journal.store.read(&order, Revision::START, Direction::Forward);
        let plain = events.map_ok(|event| Arc::new(Resolved::plain(event)));
        plain.try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn the_last_checkpoint_counts() {
        for stream in ["order-1", "$ce-order", "$all"] {
            let journal = given(stream).await;
            assert_eq!(journal.checkpoint().await.unwrap(), None);
            for place in [0, 7, u64::MAX - 1] {
                journal.save_checkpoint(place).await.unwrap();
                assert_eq!(journal.checkpoint().await.unwrap(), Some(place));
            }
            journal.clear().await.unwrap();
            assert_eq!(journal.checkpoint().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn old_checkpoints_are_not_kept() {
        let journal = given("order-1").await;
        for place in 0..5 {
            journal.save_checkpoint(place).await.unwrap();
        }
        let kept = journal.store.read(&journal.checkpoints, Revision::START, Direction::Forward);
        assert_eq!(kept.try_collect::<Vec<_>>().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_is_not_a_checkpoint_is_not_taken_for_one() {
        let journal = given("order-1").await;
        for data in ["", "[]", "\"C:1/P:1\"", "\"-1\"", "7"] {
            let (data, said) = (Bytes::from(data.to_owned()), Bytes::new());
            let id = Uuid::now_v7();
            journal.append(&journal.checkpoints, id, CHECKPOINT, data, said).await.unwrap();
            let refused = journal.checkpoint().await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::DataLoss);
        }
    }

    #[tokio::test]
    async fn a_message_is_parked_once_until_it_is_replayed() {
        let journal = given("order-1").await;
        let messages = message(&journal, 2).await;

        for _ in 0..2 {
            assert_eq!(journal.park(&messages[0], "no stock", 0).await.unwrap(), 0);
        }
        assert_eq!(journal.park(&messages[1], "no stock", 0).await.unwrap(), 1);
        assert_eq!(journal.parked_range().await.unwrap(), 0..2);

        journal.truncate_parked(1).await.unwrap();
        assert_eq!(journal.parked_range().await.unwrap(), 1..2);
        for _ in 0..2 {
            assert_eq!(journal.park(&messages[0], "no stock", 1).await.unwrap(), 2);
        }
        assert_eq!(journal.parked_range().await.unwrap(), 1..3);

        journal.truncate_parked(3).await.unwrap();
        assert_eq!(journal.parked_range().await.unwrap(), 3..3);
    }

    #[tokio::test]
    async fn a_parked_message_says_why_and_leads_to_its_event() {
        let journal = given("order-1").await;
        let messages = message(&journal, 2).await;
        journal.park(&messages[1], "no \"stock\"", 0).await.unwrap();

        let parked = journal.store.read(&journal.parked, Revision::START, Direction::Forward);
        let parked = parked.try_collect::<Vec<_>>().await.unwrap().remove(0);

        assert_eq!((&*parked.kind, &*parked.data), (LINK, &b"1@order-1"[..]));
        let said: serde_json::Value = serde_json::from_slice(&parked.metadata).unwrap();
        assert_eq!(said["reason"], "no \"stock\"");
        let found = Resolved::of(&journal.store, parked).await.unwrap();
        assert_eq!(found.event, messages[1].event);
    }

    #[test]
    fn groups_own_streams_are_known() {
        for (name, is_theirs) in [
            ("$persistentsubscription-order-1::group-parked", true),
            ("$$$persistentsubscription-order-1::group-checkpoint", true),
            ("$persistentSubscriptionConfig", false),
            ("order-$persistentsubscription-", false),
        ] {
            assert_eq!(is_own(&name.parse().unwrap()), is_theirs, "{name}");
        }
    }
}
