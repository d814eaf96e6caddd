use std::collections::BTreeSet;
use std::error::Error;

use daybook_database::chain;
use daybook_domain::Decider;
use daybook_domain::product::Product;
use daybook_domain::stock::Stock;
use daybook_domain::values::Sku;
use daybook_event_store::{Filter, Position, Recorded, RecordedEvent, Store};
use tokio::time::Instant;
use tracing::error;

use super::CatalogError;
use super::checkpoint::Checkpoint;
use super::entry::Change;
use super::index::CatalogIndex;
use super::known::Known;
use super::left_out::LeftOut;

/// The events that the index is posted from.
pub(crate) fn events() -> Filter {
    Filter::categories(&[Product::CATEGORY, Stock::CATEGORY])
}

/// What was read and is not committed yet.
pub(crate) struct Batch {
    /// Products whose documents change.
    pub(crate) changed: BTreeSet<Sku>,
    pub(crate) checkpoint: Checkpoint,
    /// Whether there is nothing more to read for now.
    pub(crate) caught_up: bool,
    /// When to commit it.
    pub(crate) due: Option<Instant>,
}

impl Batch {
    pub(crate) fn after(checkpoint: &Checkpoint) -> Self {
        let checkpoint = checkpoint.clone();
        Self { changed: BTreeSet::new(), checkpoint, caught_up: false, due: None }
    }

    /// Takes an event in.
    pub(crate) async fn take(
        &mut self,
        store: &Store,
        known: &mut Known,
        recorded: &Recorded,
    ) -> Result<(), CatalogError> {
        let position = recorded.position;
        self.checkpoint.position = Some(position);
        let Ok(sku) = recorded.stream.id().parse::<Sku>() else { return Ok(()) };
        match Change::read(recorded) {
            Ok(None) => {}
            Ok(Some(change)) => {
                let entry = known.before(store, &sku, position).await?;
                if entry.post(&change, position) {
                    self.change(sku, position);
                }
            }
            Err(error) => self.leave_out(recorded, &error),
        }
        Ok(())
    }

    /// Writes what has changed, if anything has.
    pub(crate) async fn commit(
        self,
        index: CatalogIndex,
        known: &mut Known,
    ) -> Result<CatalogIndex, CatalogError> {
        if self.checkpoint == *index.checkpoint() {
            return Ok(index);
        }
        let changed = self.changed.iter().filter_map(|sku| known.get(sku).cloned());
        let index = index.commit(changed.collect(), self.checkpoint).await?;
        known.make_room();
        Ok(index)
    }

    fn change(&mut self, sku: Sku, position: Position) {
        self.changed.insert(sku);
        self.checkpoint.changed = Some(position);
    }

    /// Leaves an event out of the index, and says so.
    fn leave_out(&mut self, recorded: &Recorded, error: &(dyn Error + 'static)) {
        let RecordedEvent { stream, position, .. } = &**recorded;
        error!(%stream, %position, error, "an event is left out of the catalog index");
        self.checkpoint.leave_out(LeftOut::unreadable(*position, stream.id(), &chain(error)));
    }
}
