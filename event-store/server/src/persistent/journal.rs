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
        let events = self.store.read(&self.checkpoints, Revision::END, Direction::Backward);
        pin_mut!(events);
        let last = events.try_next().await.map_err(|error| errors::unread(&error))?;
        let Some(last) = last else { return Ok(None) };
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
