//! Takes events in that were salvaged of a store.

use std::collections::HashSet;
use std::mem;

use bytes::Bytes;

use crate::copy::{Batch, GAP, Written};
use crate::{
    AppendError, CopyError, EventStore, Gaps, Position, ReadError, Recorded, RecordedEvent,
    StreamId, StreamMetadata,
};

/// What came of a [`Loading`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Events that the store has now.
    pub events: u64,
    /// Of these, events that it had before.
    pub known: u64,
    /// Placeholders in the places of events that are missing.
    pub gaps: u64,
    /// Events that were left out, since others before them in their streams are missing.
    pub left_out: u64,
}

/// Appends events as they were in another store: in the same order, with their ids, streams and
/// revisions. Done again, it appends what is missing. The time of recording is that of the store.
///
/// Their revisions are those of before, but in metadata streams, of which the last event alone
/// matters. Positions are those of before as long as the store was empty, none is missing, and no
/// deleted stream begins anew.
#[derive(Debug)]
pub struct Loading<'a, S> {
    store: &'a S,
    gaps: Gaps,
    /// The last event that was there before.
    head: Option<Position>,
    batch: Batch,
    /// The streams that have a gap, where what comes after it is left out.
    broken: HashSet<StreamId>,
    loaded: Loaded,
}

impl<'a, S: EventStore> Loading<'a, S> {
    /// Begins to load into a store, which need not be empty.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn begin(store: &'a S, gaps: Gaps) -> Result<Self, ReadError> {
        let head = store.head().await?;
        let (batch, broken, loaded) = (Batch::default(), HashSet::new(), Loaded::default());
        Ok(Self { store, gaps, head, batch, broken, loaded })
    }

    /// Takes the next event. One that scavenging had dropped is known by its id again, and is
    /// otherwise a placeholder.
    ///
    /// # Errors
    /// Some of the events so far cannot be appended.
    pub async fn push(
        &mut self,
        mut event: RecordedEvent,
        scavenged: bool,
    ) -> Result<(), CopyError> {
        if scavenged {
            let describes = event.stream.described().is_some();
            event.kind = if describes { StreamMetadata::KIND } else { GAP }.into();
            (event.data, event.is_json) = (Bytes::new(), false);
        }
        let event = Recorded::from(event);
        if !self.batch.takes(&event) {
            self.flush().await?;
        }
        self.batch.push(event);
        Ok(())
    }

    /// Appends what is left.
    ///
    /// # Errors
    /// Some of the events cannot be appended.
    pub async fn finish(mut self) -> Result<Loaded, CopyError> {
        self.flush().await?;
        Ok(self.loaded)
    }

    async fn flush(&mut self) -> Result<(), CopyError> {
        let batch = mem::take(&mut self.batch);
        match self.write(batch.clone()).await {
            // The store has a part of it.
            Err(
                CopyError::Refused { error: AppendError::IdReused { .. }, .. }
                | CopyError::Differs { .. },
            ) if batch.len() > 1 => {
                for one in batch.split() {
                    self.write(one).await?;
                }
                Ok(())
            }
            written => written,
        }
    }

    async fn write(&mut self, batch: Batch) -> Result<(), CopyError> {
        let Some(stream) = batch.stream().cloned() else { return Ok(()) };
        let count = batch.len() as u64;
        if self.broken.contains(&stream) {
            self.loaded.left_out += count;
            return Ok(());
        }
        let Written { last, gaps, left_out } = batch.write(self.store, self.gaps).await?;
        self.loaded.gaps += gaps;
        if left_out {
            self.broken.insert(stream);
            self.loaded.left_out += count;
        } else {
            self.loaded.events += count;
            self.loaded.known += if last <= self.head { count } else { 0 };
        }
        Ok(())
    }
}
