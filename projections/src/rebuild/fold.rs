//! Ranges of events folded into rows in memory, ahead of whoever writes them.

use daybook_event_store::Position;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::LEASE;
use super::tables::{Batch, Batches};
use crate::batch::{Step, plain};
use crate::error::Done;
use crate::parked::Stuck;
use crate::projection::Projection;
use crate::rows::{Buffer, Changes};
use crate::{Database, OperateError};

/// Most batches of a range that nobody waits for.
pub(super) const BATCHES: usize = 8;

/// Bytes of payload at which a range is full, however few its batches.
const BYTES: usize = 64 << 20;

/// Ranges that are folded while another is written.
const AHEAD: usize = 1;

/// What comes of folding.
pub(super) enum Folded {
    /// A range, each row that it changed once.
    Range(Range),
    /// Some event up to here, where a batch ends, cannot be read or applied, or stands behind a parked
    /// one. Nothing more comes.
    Stuck(Position),
}

/// What a range of events did to the rows.
pub(super) struct Range {
    pub(super) changes: Vec<Changes>,
    pub(super) events: usize,
    pub(super) upto: Position,
}

/// How much of a range there is.
struct Extent {
    since: Instant,
    batches: usize,
    events: usize,
    bytes: usize,
}

impl Extent {
    fn none() -> Self {
        Self { since: Instant::now(), batches: 0, events: 0, bytes: 0 }
    }

    /// Whether it is to be written: it is large, or the lease wants to be renewed.
    fn is_full(&self, most: usize) -> bool {
        self.batches >= most || self.bytes >= BYTES || self.since.elapsed() > LEASE / 4
    }
}

/// Rows in memory, with all that was handed out and may not be written yet.
pub(super) struct Fold<P> {
    pub(super) rows: P,
    /// What it may not go on with.
    pub(super) stuck: Stuck,
    /// To read rows that are not in memory.
    pub(super) database: Database,
    /// How far the table is.
    pub(super) written: watch::Receiver<Option<Position>>,
    /// How far what was handed out goes.
    pub(super) handed_out: Option<Position>,
}

impl<P: Projection> Fold<P> {
    /// Folds batches up to the one that ends at the goal, by ranges of at most so many.
    pub(super) fn ranges(
        mut self,
        batches: Batches<P::Event>,
        goal: Position,
        most: usize,
    ) -> mpsc::Receiver<Done<Folded>> {
        let (send, receive) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            // Nobody is there to be told if this cannot be sent.
            if let Err(error) = self.run(batches, goal, most, &send).await {
                let _ = send.send(Err(error)).await;
            }
        });
        receive
    }

    async fn run(
        &mut self,
        mut batches: Batches<P::Event>,
        goal: Position,
        most: usize,
        send: &mpsc::Sender<Done<Folded>>,
    ) -> Done {
        let mut extent = Extent::none();
        while let Some(batch) = batches.recv().await {
            let Batch { steps, upto, bytes } = batch?;
            let Some(events) = self.fold(&steps).await? else {
                return hand_out(send, Folded::Stuck(upto)).await;
            };
            extent.batches += 1;
            extent.events += events;
            extent.bytes += bytes;
            if extent.is_full(most) || upto == goal {
                let changes = self.rows.buffers().into_iter().map(Buffer::take).collect();
                self.handed_out = Some(upto);
                hand_out(send, Folded::Range(Range { changes, events: extent.events, upto }))
                    .await?;
                extent = Extent::none();
            }
        }
        Ok(())
    }

    /// Folds events into the rows, and says how many; `None` where it is stuck.
    async fn fold(&mut self, steps: &[Step<P::Event>]) -> Done<Option<usize>> {
        let Some(events) = plain(steps, &self.stuck) else { return Ok(None) };
        for event in &events {
            self.rows.prepare(event);
        }
        if self.rows.buffers().iter().any(|rows| rows.wants()) {
            self.load().await?;
        }
        let all_applied = events.iter().all(|event| self.rows.apply(event).is_ok());
        Ok(all_applied.then_some(events.len()))
    }

    /// Reads rows, once the table has all that was handed out.
    async fn load(&mut self) -> Done {
        let written = self.written.wait_for(|written| *written >= self.handed_out).await;
        drop(written.map_err(|_| OperateError::Interrupted)?);
        let mut tx = self.database.snapshot().await?;
        for rows in self.rows.buffers() {
            rows.load(&mut tx).await?;
        }
        Ok(())
    }
}

/// Fails where nobody takes it any more.
async fn hand_out(send: &mpsc::Sender<Done<Folded>>, folded: Folded) -> Done {
    send.send(Ok(folded)).await.map_err(|_| OperateError::Interrupted)
}
