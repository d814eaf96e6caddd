//! Versions of the index built beside the live one, compared with it, and made live.
//!
//! A version is to the index what a generation is to tables. Its checkpoint is in it, so a build
//! that is killed goes on from there. In a folder its one writer holds a lock; on a cluster two
//! builders do the same work.

use std::collections::HashSet;

use daybook_event_store::{EventStore, Position};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, pin_mut};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::batch::{Batch, events};
use super::checkpoint::Standing;
use super::document::VERSION;
use super::index::CatalogIndex;
use super::known::Known;
use super::left_out::LeftOut;
use super::versions::{CatalogVersions, Contents};
use super::{CatalogError, CatalogPlace};
use crate::compare::{LOOK_EVERY, PATIENCE, Rows, compare};
use crate::error::Done;
use crate::model::Rebuilt;
use crate::rebuild::{Build, Built, Job, LEASE, Outcome, Task, Which, drive, find};
use crate::registry::{Generation, Role, next_number};
use crate::rows_of::{Cell, TableRow};
use crate::{Comparison, Expected, OperateError};

/// What operators call the index.
pub const NAME: &str = "catalog";

/// How often two readings that differ are repeated until they differ in the same.
const READINGS: usize = 10;

/// The index at a place, as a read model that can be built anew.
#[derive(Debug, Clone)]
pub(crate) struct Rebuilder(pub(crate) CatalogPlace);

impl Rebuilt for Rebuilder {
    fn run<'a>(&'a self, job: Job<'a>, task: Task<'a>) -> BoxFuture<'a, Done<Outcome>> {
        async move { drive(job.store, &mut self.build(job, task.which).await?, task).await }.boxed()
    }

    fn discard<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Done<u32>> {
        async move {
            // As long as it is open, nobody else writes to it.
            let build = self.build(job, Which::Begun).await?;
            build.versions.drop(build.built.generation).await?;
            Ok(build.built.generation)
        }
        .boxed()
    }

    fn pause<'a>(&'a self, _: Job<'a>, paused: bool) -> BoxFuture<'a, Done<bool>> {
        async move {
            let versions = CatalogVersions::new(&self.0)?;
            versions.live().await?.ok_or(OperateError::Absent { name: NAME })?;
            Ok(versions.pause(paused).await?)
        }
        .boxed()
    }
}

impl Rebuilder {
    /// Every version of the index, with how many events it lacks beside those that were given up.
    pub(crate) async fn generations(&self, given_up: &HashSet<Position>) -> Done<Vec<Generation>> {
        Ok(generations(&CatalogVersions::new(&self.0)?, given_up).await?)
    }

    async fn build<'a>(&'a self, job: Job<'a>, which: Which) -> Done<IndexBuild<'a>> {
        let versions = CatalogVersions::new(&self.0)?;
        let all = generations(&versions, &HashSet::new()).await?;
        let found = find(&all, which, NAME, version(VERSION))?;
        let generation = found.map_or_else(|| next_number(&all), |found| found.generation);
        let index = open(job, &self.0, generation).await?;
        Ok(IndexBuild::new(job, &self.0, versions, generation, index))
    }
}

async fn generations(
    versions: &CatalogVersions,
    given_up: &HashSet<Position>,
) -> Result<Vec<Generation>, CatalogError> {
    let roles = versions.roles().await?;
    let mut all = Vec::new();
    for generation in versions.list().await? {
        let Standing { documents, position, left_out, at } = versions.standing(generation).await?;
        let parked = left_out.iter().filter(|event| !given_up.contains(&event.position)).count();
        let role = match Some(generation) {
            this if this == roles.live => Role::Live,
            this if this == roles.retired => Role::Retired,
            _ => Role::Building,
        };
        all.push(Generation {
            name: NAME.to_owned(),
            generation,
            version: version(documents),
            role,
            position,
            updated_at: at,
            owner: None,
            lease_until: 0,
            parked: parked as u64,
            paused: roles.paused,
            retired_at: None,
            declaration: String::new(),
        });
    }
    Ok(all)
}

fn version(documents: u64) -> u32 {
    u32::try_from(documents).unwrap_or(u32::MAX)
}

/// Opens a version for writing. A server that has just ceased to write to it closes it first.
async fn open(job: Job<'_>, place: &CatalogPlace, generation: u32) -> Done<CatalogIndex> {
    let began = Instant::now();
    loop {
        match CatalogIndex::open(place, Some(generation)).await {
            Err(CatalogError::Locked { .. }) if job.stop.is_cancelled() => {
                return Err(OperateError::Interrupted);
            }
            Err(CatalogError::Locked { .. }) if began.elapsed() > LEASE => {
                let owner = "another process".to_owned();
                return Err(OperateError::InUse { name: NAME, generation, owner });
            }
            Err(CatalogError::Locked { .. }) => sleep(LOOK_EVERY).await,
            opened => return Ok(opened?),
        }
    }
}

/// A version in hand.
struct IndexBuild<'a> {
    job: Job<'a>,
    place: &'a CatalogPlace,
    versions: CatalogVersions,
    built: Built,
    /// Open, but for the moment in which it is made live: whoever keeps that up to date opens it.
    index: Option<CatalogIndex>,
}

impl<'a> IndexBuild<'a> {
    fn new(
        job: Job<'a>,
        place: &'a CatalogPlace,
        versions: CatalogVersions,
        generation: u32,
        index: CatalogIndex,
    ) -> Self {
        let built = Built::begun(NAME, generation, index.checkpoint().position);
        Self { job, place, versions, built, index: Some(index) }
    }

    /// Takes in the events up to a position.
    async fn post(&mut self, mut index: CatalogIndex, goal: Position) -> Done<CatalogIndex> {
        self.built.goal = Some(goal);
        let after = index.checkpoint().position;
        let (mut known, mut batch) = (Known::after(after), Batch::after(index.checkpoint()));
        let mut taken = 0;
        let events = self.job.store.read_all(after, events());
        pin_mut!(events);
        while let Some(recorded) = events.next().await.transpose()? {
            if recorded.position > goal {
                break;
            }
            batch.take(self.job.store, &mut known, &recorded).await?;
            taken += 1;
            if taken == self.job.batch {
                index = self.commit(index, batch, &mut known, taken).await?;
                batch = Batch::after(index.checkpoint());
                taken = 0;
                self.job.unless_stopped()?;
            }
        }
        batch.checkpoint.position = Some(goal);
        self.commit(index, batch, &mut known, taken).await
    }

    async fn commit(
        &mut self,
        index: CatalogIndex,
        batch: Batch,
        known: &mut Known,
        taken: usize,
    ) -> Done<CatalogIndex> {
        let left_out = index.checkpoint().left_out.len();
        let committed = batch.commit(index, known).await;
        let index = committed.map_err(|error| match error {
            CatalogError::Changed => OperateError::TakenOver { name: NAME },
            error => error.into(),
        })?;
        self.built.applied += taken as u64;
        let more = index.checkpoint().left_out.len().saturating_sub(left_out);
        self.built.parked += more as u64;
        self.built.position = index.checkpoint().position;
        (self.job.report)(self.built);
        Ok(index)
    }

    /// The live version once it is not behind. Where no worker fills it, it is filled here.
    async fn live_at_least(&self, position: Option<Position>) -> Done<(u32, Contents)> {
        let began = Instant::now();
        loop {
            let live = self.versions.live().await?.ok_or(OperateError::Absent { name: NAME })?;
            let Standing { documents, position: at, .. } = self.versions.standing(live).await?;
            if at >= position {
                return Ok((live, self.versions.contents(live).await?));
            }
            let paused = self.versions.roles().await?.paused;
            if paused || documents != VERSION || began.elapsed() > PATIENCE {
                return Err(OperateError::LiveBehind { name: NAME });
            }
            self.bring_live(live, position).await?;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Brings the live version on, if no worker does.
    async fn bring_live(&self, live: u32, position: Option<Position>) -> Done {
        let index = match CatalogIndex::open(self.place, Some(live)).await {
            Err(CatalogError::Locked { .. }) => return Ok(()),
            opened => opened?,
        };
        let Some(position) = position else { return Ok(()) };
        let mut build = Self::new(self.job, self.place, self.versions.clone(), live, index);
        match build.reach(position).await {
            // A worker does.
            Err(OperateError::TakenOver { .. }) => Ok(()),
            reached => reached,
        }
    }
}

impl Build for IndexBuild<'_> {
    fn built(&self) -> Built {
        self.built
    }

    async fn live_position(&self) -> Done<Option<Position>> {
        let Some(live) = self.versions.live().await? else { return Ok(None) };
        Ok(self.versions.standing(live).await?.position)
    }

    async fn reach(&mut self, goal: Position) -> Done {
        let mut index = match self.index.take() {
            Some(index) => index,
            None => open(self.job, self.place, self.built.generation).await?,
        };
        if index.checkpoint().position < Some(goal) {
            index = self.post(index, goal).await?;
        }
        self.built.position = index.checkpoint().position;
        self.index = Some(index);
        Ok(())
    }

    /// A cluster has no view of one moment: what differs is read again, until it differs in the same.
    async fn verify(&mut self, expected: &[Expected]) -> Done<Comparison> {
        let mut before = None;
        for _ in 0..READINGS {
            let (live, contents) = self.live_at_least(self.built.position).await?;
            let position = contents.standing.position;
            if let Some(position) = position {
                self.reach(position).await?;
            }
            if self.built.position != position {
                continue;
            }
            let generation = self.built.generation;
            let sides = [contents, self.versions.contents(generation).await?];
            let tables = tables(sides, expected).await?;
            let found = Comparison { live, built: generation, position, tables };
            if found.unexpected() == 0 || before.as_ref() == Some(&found) {
                return Ok(found);
            }
            before = Some(found);
        }
        Err(OperateError::Outrun { name: NAME })
    }

    async fn publish(&mut self) -> Done<bool> {
        self.index = None;
        let Built { generation, position, .. } = self.built;
        let older = self.versions.roles().await?.retired;
        match self.versions.cut_over(generation, position).await {
            Ok(()) => {}
            Err(CatalogError::Behind) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if let Some(older) = older.filter(|older| *older != generation) {
            self.versions.drop(older).await?;
        }
        Ok(true)
    }
}

async fn tables(sides: [Contents; 2], expected: &[Expected]) -> Done<Vec<crate::TableComparison>> {
    let parked = sides.each_ref().map(|side| rows(side.standing.left_out.iter().map(parked)));
    let documents = sides.map(|side| rows(side.documents.iter().map(document)));
    Ok(vec![
        compare(NAME, documents, expected).await?,
        compare("parked_events", parked, expected).await?,
    ])
}

fn rows(rows: impl Iterator<Item = TableRow>) -> Rows<'static> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    Rows::Given(rows.into_iter())
}

fn parked(event: &LeftOut) -> TableRow {
    let position = Cell::Int(event.position.0.cast_signed());
    TableRow { key: vec![position.clone()], cells: vec![("position".into(), position)] }
}

fn document((sku, document): &(String, String)) -> TableRow {
    let fields: Value = serde_json::from_str(document).unwrap_or_default();
    let fields = fields.as_object().into_iter().flatten();
    let mut cells: Vec<_> = fields.map(|(name, value)| (name.clone(), cell(value))).collect();
    cells.sort();
    TableRow { key: vec![Cell::Text(sku.clone())], cells }
}

/// A field's value; the embedded engine has a list of values in each.
fn cell(value: &Value) -> Cell {
    match value {
        Value::Array(values) if values.len() == 1 => cell(&values[0]),
        Value::Null => Cell::Null,
        Value::String(text) => Cell::Text(text.clone()),
        value => value.as_i64().map_or_else(|| Cell::Text(value.to_string()), Cell::Int),
    }
}
