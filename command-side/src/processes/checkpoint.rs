use std::mem;
use std::num::NonZeroU64;

use daybook_domain::values::OrderId;
use daybook_event_schemas::runtime::{CheckpointRecord, Timer};
use daybook_event_schemas::{Actor, Envelope, Metadata, ProcessForm, open, seal};
use daybook_event_store::{
    AppendError, Direction, EventStore, Expected, NewEvent, Position, Revision, Store, StreamId,
    StreamMetadata,
};
use futures::TryStreamExt;
use uuid::Uuid;

use super::ProcessError;
use super::timers::Timers;

/// Events of checkpoints that are kept: those of the last one, however many timers it has, and
/// some before it for people to look at.
const KEPT: NonZeroU64 = NonZeroU64::MIN.saturating_add(999);

/// Timers of one event, so that none becomes too large.
const CHUNK: usize = 2_000;

/// The stream of a process's checkpoints, of which the last one counts.
///
/// Each is appended with the revision of the one before expected: who is not the only one to
/// write here finds out, whatever the clocks say.
pub(super) struct Checkpoint {
    stream: StreamId,
    revision: Option<Revision>,
    pub(super) position: Option<Position>,
    /// Events of which it is not known whether they were appended.
    uncertain: Vec<NewEvent>,
}

impl Checkpoint {
    /// The last checkpoint, with the timers that belong to it.
    pub(super) async fn load<P: ProcessForm>(
        store: &Store,
    ) -> Result<(Self, Timers<P>), ProcessError> {
        let stream = StreamId::new("checkpoint", P::NAME)?;
        let mut events = store.read(&stream, Revision::END, Direction::Backward);
        let mut checkpoint = Self { stream, revision: None, position: None, uncertain: Vec::new() };
        let (mut timers, mut id) = (Timers::default(), None);
        // One checkpoint is one append of one or more events, which share their cause.
        while let Some(recorded) = events.try_next().await? {
            let Some(envelope) = open(&recorded)? else { continue };
            let Envelope { metadata, event, revision, .. } = envelope;
            if *id.get_or_insert(metadata.causation_id) != metadata.causation_id {
                break;
            }
            let CheckpointRecord::Checkpointed { position, timers: set } = event;
            checkpoint.revision = checkpoint.revision.max(Some(revision));
            checkpoint.position = Some(Position(position));
            for Timer { instance, timeout, due } in set {
                let malformed = |what: String| ProcessError::Undecodable(what);
                let instance: OrderId = instance.parse().map_err(|e| malformed(format!("{e}")))?;
                let timeout =
                    P::timeout_from_json(&timeout).map_err(|e| malformed(format!("{e}")))?;
                timers.set(instance, timeout, due);
            }
        }
        Ok((checkpoint, timers))
    }

    /// Lets the store drop old checkpoints, unless somebody has said how long they are kept.
    pub(super) async fn bound(&self, store: &Store) -> Result<(), ProcessError> {
        if store.metadata(&self.stream).await?.is_some() {
            return Ok(());
        }
        let metadata = StreamMetadata { max_count: Some(KEPT), ..StreamMetadata::default() };
        let said = store.set_metadata(&self.stream, Expected::NoStream, &metadata, Uuid::now_v7());
        match said.await {
            // Somebody was first.
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// [`ProcessError::Superseded`]: somebody else wrote one since this one's last.
    pub(super) async fn save<P: ProcessForm>(
        &mut self,
        store: &Store,
        position: Position,
        timers: &Timers<P>,
        actor: &Actor,
    ) -> Result<(), ProcessError> {
        let uncertain = mem::take(&mut self.uncertain);
        self.append::<P>(store, uncertain).await?;
        let id = Uuid::now_v7();
        let metadata = Metadata {
            schema_version: 0,
            correlation_id: id,
            causation_id: id,
            actor: actor.clone(),
            traceparent: None,
        };
        let record = |timers: &[Timer]| CheckpointRecord::Checkpointed {
            position: position.0,
            timers: timers.to_vec(),
        };
        let timers: Vec<_> = timers
            .all()
            .map(|timer| Timer {
                instance: timer.instance.to_string(),
                timeout: P::timeout_to_json(&timer.timeout),
                due: timer.at,
            })
            .collect();
        let records: Vec<_> = if timers.is_empty() {
            vec![record(&[])]
        } else {
            timers.chunks(CHUNK).map(record).collect()
        };
        let events = records.iter().map(|record| seal(Uuid::now_v7(), record, &metadata)).collect();
        self.append::<P>(store, events).await?;
        self.position = Some(position);
        Ok(())
    }

    async fn append<P: ProcessForm>(
        &mut self,
        store: &Store,
        events: Vec<NewEvent>,
    ) -> Result<(), ProcessError> {
        if events.is_empty() {
            return Ok(());
        }
        let expected = self.revision.map_or(Expected::NoStream, Expected::At);
        match store.append(&self.stream, expected, events.clone()).await {
            Ok(appended) => {
                self.revision = Some(appended.revision);
                Ok(())
            }
            Err(AppendError::Conflict { .. }) => Err(ProcessError::Superseded { process: P::NAME }),
            Err(error) => {
                if matches!(error, AppendError::Uncertain { .. }) {
                    // If they are there, the next append is not to take them for somebody else's.
                    self.uncertain = events;
                }
                Err(error.into())
            }
        }
    }
}
