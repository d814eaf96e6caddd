//! What the index lacks, tried again or given up.

use std::collections::HashSet;

use daybook_database::{chain, now};
use daybook_event_schemas::{Contract, Wire};
use daybook_event_store::{EventStore, Position, Recorded, Revision};
use futures::{TryStreamExt, pin_mut};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::batch::events;
use super::entry::Change;
use super::left_out::LeftOut;
use super::{CatalogVersions, NAME};
use crate::operator::{Operator, ParkedDetails, Then};
use crate::parked::{self, Parked};
use crate::replay::Replayed;
use crate::{Built, OperateError};

impl Operator {
    /// What the search index that is read lacks, in the order of the events: those that could not
    /// be read, and those after which a product's document was refused. Nothing waits behind them.
    ///
    /// # Errors
    /// The index, the database or the store failed.
    pub async fn left_out(&self) -> Result<Vec<Parked>, OperateError> {
        let all = self.lacking(|_| true).await?.into_iter();
        Ok(all.map(|details| details.parked).collect())
    }

    /// An event that the search index lacks, with what it says.
    ///
    /// # Errors
    /// The index does not lack it, or the index, the database or the store failed.
    pub async fn left_out_details(
        &self,
        position: Position,
    ) -> Result<ParkedDetails, OperateError> {
        let found = self.lacking(|other| other == position).await?.pop();
        found.ok_or(OperateError::NotParked { name: NAME, position })
    }

    /// Builds the search index anew, beside the one that is read, and has it read from then on. The
    /// answer is what became of all that was left out. A build that was begun is begun again:
    /// it may have left out the same. With `dry_run` nothing is built, and the answer is which
    /// events can be read now; whether a document is taken turns out when it is sent.
    ///
    /// # Errors
    /// Somebody else builds it, or the index, the database or the store failed.
    pub async fn replay_left_out(
        &self,
        dry_run: bool,
        report: &(dyn Fn(Built) + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Vec<Replayed>, OperateError> {
        if dry_run {
            let all = self.lacking(|_| true).await?.into_iter();
            let tried =
                |ParkedDetails { parked, decoded, .. }| Replayed { parked, error: decoded.err() };
            return Ok(all.map(tried).collect());
        }
        let before = self.left_out().await?;
        match self.discard_build(NAME).await {
            Ok(_) | Err(OperateError::NothingBuilt { .. }) => {}
            Err(error) => return Err(error),
        }
        self.rebuild(NAME, Then { verify: None, cut_over: true }, report, stop).await?;
        let still = self.left_out().await?;
        let tried = before.into_iter().map(|parked| {
            let same = still.iter().find(|other| other.position == parked.position);
            Replayed { error: same.map(|other| other.error.clone()), parked }
        });
        Ok(tried.collect())
    }

    /// Gives an event up that the search index lacks: no version of it is said to lack it.
    ///
    /// # Errors
    /// The index does not lack it, or the index, the database or the store failed.
    pub async fn discard_left_out(
        &self,
        position: Position,
        reason: &str,
        by: &str,
    ) -> Result<(), OperateError> {
        let parked = self.left_out_details(position).await?.parked;
        let mut tx = self.database(NAME).await?.begin().await?;
        parked::give_up(&mut tx, &parked, (reason, by), now()).await?;
        Ok(tx.commit().await?)
    }

    /// Events that the index lacks and that an operator gave up.
    pub(crate) async fn given_up(&self) -> Result<HashSet<Position>, OperateError> {
        Ok(parked::given_up(self.database(NAME).await?.pool(), NAME).await?)
    }

    /// The events of some positions that the index that is read lacks, in their order, with what
    /// they say.
    async fn lacking(
        &self,
        wanted: impl Fn(Position) -> bool,
    ) -> Result<Vec<ParkedDetails>, OperateError> {
        let Some(catalog) = &self.catalog else { return Ok(Vec::new()) };
        let versions = CatalogVersions::new(&catalog.0)?;
        let Some(live) = versions.live().await? else { return Ok(Vec::new()) };
        let given_up = self.given_up().await?;
        let mut left_out = versions.standing(live).await?.left_out;
        left_out.retain(|event| wanted(event.position) && !given_up.contains(&event.position));
        left_out.sort_by_key(|event| event.position);
        let mut all = Vec::with_capacity(left_out.len());
        for event in left_out {
            let recorded = self.event_at(event.position).await?;
            let gone = || Err("the event store has it no more".to_owned());
            let decoded = recorded.as_ref().map_or_else(gone, decode);
            let parked = parked(live, event, recorded.as_ref());
            all.push(ParkedDetails { parked, recorded, decoded });
        }
        Ok(all)
    }

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, OperateError> {
        let before = position.0.checked_sub(1).map(Position);
        let recorded = self.store.read_all(before, events());
        pin_mut!(recorded);
        Ok(recorded.try_next().await?.filter(|recorded| recorded.position == position))
    }
}

fn parked(generation: u32, event: LeftOut, recorded: Option<&Recorded>) -> Parked {
    let LeftOut { position, sku, error, at, .. } = event;
    let unknown = || sku.map_or_else(|| "unknown".to_owned(), |sku| format!("product-{sku}"));
    Parked {
        projection: NAME.to_owned(),
        generation,
        position,
        stream: recorded.map_or_else(unknown, |recorded| recorded.stream.to_string()),
        revision: recorded.map_or(Revision::START, |recorded| recorded.revision),
        event_id: recorded.map_or_else(Uuid::nil, |recorded| recorded.id),
        kind: recorded.map_or("unknown", |recorded| &recorded.kind).to_owned(),
        error,
        attempts: 1,
        parked_at: at,
    }
}

fn decode(recorded: &Recorded) -> Result<Option<Wire>, String> {
    let change = Change::read(recorded).map_err(|error| chain(&error))?;
    Ok(change.map(|change| match change {
        Change::Product(event) => event.encode(),
        Change::Stock(event) => event.encode(),
    }))
}
