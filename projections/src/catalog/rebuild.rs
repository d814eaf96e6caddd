//! Versions of the index built beside the live one, compared with it, and made live.
//!
//! A version is to the index what a generation is to tables. Its checkpoint is in it, so a build
//! that is killed goes on from there. In a folder its one writer holds a lock; on a cluster two
//! builders do the same work.

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
use super::versions::{CatalogVersions, Contents};
use super::{CatalogError, CatalogPlace};
use crate::compare::{LOOK_EVERY, PATIENCE, Rows, compare};
use crate::model::Rebuilt;
use crate::rebuild::{Built, CLOSE, Job, LEASE, Outcome, TRIES, Task, Which, head};
use crate::registry::{Generation, Role};
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
    fn run<'a>(
        &'a self,
        job: Job<'a>,
        task: Task<'a>,
    ) -> BoxFuture<'a, Result<Outcome, OperateError>> {
        async move { self.build(job, task.which).await?.run(task).await }.boxed()
    }

    fn discard<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<u32, OperateError>> {
        async move {
            let build = self.build(job, Which::Begun).await?;
            // Nobody else writes to it while this is open.
            let _index = build.open().await?;
            build.versions.drop(build.version).await?;
            Ok(build.version)
        }
        .boxed()
    }

    fn pause<'a>(&'a self, _: Job<'a>, paused: bool) -> BoxFuture<'a, Result<bool, OperateError>> {
        async move {
            let versions = CatalogVersions::new(&self.0)?;
            versions.live().await?.ok_or(OperateError::Absent { name: NAME })?;
            Ok(versions.pause(paused).await?)
        }
        .boxed()
    }
}

impl Rebuilder {
    /// Every version of the index.
    pub(crate) async fn generations(&self) -> Result<Vec<Generation>, OperateError> {
        Ok(generations(&CatalogVersions::new(&self.0)?).await?)
    }

    async fn build<'a>(&'a self, job: Job<'a>, which: Which) -> Result<Build<'a>, OperateError> {
        let versions = CatalogVersions::new(&self.0)?;
        let version = find(&generations(&versions).await?, which)?;
        Ok(Build::new(job, &self.0, versions, version))
    }
}

async fn generations(versions: &CatalogVersions) -> Result<Vec<Generation>, CatalogError> {
    let roles = versions.roles().await?;
    let mut all = Vec::new();
    for generation in versions.list().await? {
        let Standing { documents, position, parked, at } = versions.standing(generation).await?;
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
            parked: parked.len() as u64,
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

fn find(generations: &[Generation], which: Which) -> Result<u32, OperateError> {
    let role = if which == Which::Previous { Role::Retired } else { Role::Building };
    let found = generations.iter().rev().find(|generation| generation.role == role);
    match (found, which) {
        (Some(found), _) if found.version != version(VERSION) => {
            let (theirs, ours) = (found.version, version(VERSION));
            Err(OperateError::OtherVersion { name: NAME, theirs, ours })
        }
        (Some(found), _) => Ok(found.generation),
        (None, Which::Next) => Ok(generations.last().map_or(1, |last| last.generation + 1)),
        (None, Which::Begun) => Err(OperateError::NothingBuilt { name: NAME }),
        (None, Which::Previous) => Err(OperateError::NothingRetired { name: NAME }),
    }
}

/// A version in hand.
struct Build<'a> {
    job: Job<'a>,
    place: &'a CatalogPlace,
    versions: CatalogVersions,
    version: u32,
    built: Built,
}

impl<'a> Build<'a> {
    fn new(job: Job<'a>, place: &'a CatalogPlace, versions: CatalogVersions, version: u32) -> Self {
        let (name, generation) = (NAME, version);
        let built = Built { name, generation, position: None, goal: None, applied: 0, parked: 0 };
        Self { job, place, versions, version, built }
    }

    async fn run(&mut self, task: Task<'_>) -> Result<Outcome, OperateError> {
        let mut index = self.open().await?;
        self.built.position = index.checkpoint().position;
        if task.build {
            index = self.catch_up(index).await?;
        } else if task.cut_over {
            self.must_be_close().await?;
        }
        let mut comparison = None;
        if let Some(expected) = task.verify {
            let found;
            (index, found) = self.verify(index, expected).await?;
            comparison = Some(found);
        }
        // Whoever keeps what is read up to date is to open it.
        drop(index);
        let as_expected = comparison.as_ref().is_none_or(|found| found.unexpected() == 0);
        let live = task.cut_over && as_expected;
        if live {
            self.cut_over().await?;
        }
        Ok(Outcome { built: self.built, comparison, live })
    }

    /// Opens it for writing. A server that has just ceased to write to it closes it first.
    async fn open(&self) -> Result<CatalogIndex, OperateError> {
        let began = Instant::now();
        loop {
            match CatalogIndex::open(self.place, Some(self.version)).await {
                Err(CatalogError::Locked { .. }) if self.job.stop.is_cancelled() => {
                    return Err(OperateError::Interrupted);
                }
                Err(CatalogError::Locked { .. }) if began.elapsed() > LEASE => {
                    let (generation, owner) = (self.version, "another process".to_owned());
                    return Err(OperateError::InUse { name: NAME, generation, owner });
                }
                Err(CatalogError::Locked { .. }) => sleep(LOOK_EVERY).await,
                opened => return Ok(opened?),
            }
        }
    }

    /// Goes on to the end of the store, which may grow meanwhile.
    async fn catch_up(&mut self, mut index: CatalogIndex) -> Result<CatalogIndex, OperateError> {
        while let Some(goal) = head(self.job.store).await?
            && index.checkpoint().position < Some(goal)
        {
            index = self.reach(index, goal).await?;
            if head(self.job.store).await?.is_none_or(|head| head.0 - goal.0 <= CLOSE / 10) {
                break;
            }
        }
        Ok(index)
    }

    /// Goes on up to a position.
    async fn reach(
        &mut self,
        mut index: CatalogIndex,
        goal: Position,
    ) -> Result<CatalogIndex, OperateError> {
        let after = index.checkpoint().position;
        if after >= Some(goal) {
            return Ok(index);
        }
        self.built.goal = Some(goal);
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
                if self.job.stop.is_cancelled() {
                    return Err(OperateError::Interrupted);
                }
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
    ) -> Result<CatalogIndex, OperateError> {
        let parked = index.checkpoint().parked.len();
        let committed = batch.commit(index, known).await;
        let index = committed.map_err(|error| match error {
            CatalogError::Changed => OperateError::TakenOver { name: NAME },
            error => error.into(),
        })?;
        self.built.applied += taken as u64;
        self.built.parked += (index.checkpoint().parked.len() - parked) as u64;
        self.built.position = index.checkpoint().position;
        (self.job.report)(self.built);
        Ok(index)
    }

    async fn live(&self) -> Result<u32, OperateError> {
        self.versions.live().await?.ok_or(OperateError::Absent { name: NAME })
    }

    async fn must_be_close(&self) -> Result<(), OperateError> {
        let next = |position: Option<Position>| position.map_or(0, |position| position.0 + 1);
        let Some(live) = self.versions.live().await? else { return Ok(()) };
        let live = self.versions.standing(live).await?.position;
        let behind = next(live).saturating_sub(next(self.built.position));
        if behind > CLOSE {
            return Err(OperateError::Behind { name: NAME, generation: self.version, behind });
        }
        Ok(())
    }

    /// Compares it with the live one. A cluster has no view of one moment: what differs is read
    /// again, until it differs in the same.
    async fn verify(
        &mut self,
        mut index: CatalogIndex,
        expected: &[Expected],
    ) -> Result<(CatalogIndex, Comparison), OperateError> {
        let mut before = None;
        for _ in 0..READINGS {
            let (generation, live) = self.live_at_least(index.checkpoint().position).await?;
            if let Some(position) = live.standing.position {
                index = self.reach(index, position).await?;
            }
            if index.checkpoint().position != live.standing.position {
                continue;
            }
            let position = live.standing.position;
            let built = self.versions.contents(self.version).await?;
            let tables = tables([live, built], expected).await?;
            let found = Comparison { live: generation, built: self.version, position, tables };
            if found.unexpected() == 0 || before.as_ref() == Some(&found) {
                return Ok((index, found));
            }
            before = Some(found);
        }
        Err(OperateError::Outrun { name: NAME })
    }

    /// The live version once it is not behind. Where no worker fills it, it is filled here.
    async fn live_at_least(
        &self,
        position: Option<Position>,
    ) -> Result<(u32, Contents), OperateError> {
        let began = Instant::now();
        loop {
            let live = self.live().await?;
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
    async fn bring_live(&self, live: u32, position: Option<Position>) -> Result<(), OperateError> {
        let index = match CatalogIndex::open(self.place, Some(live)).await {
            Err(CatalogError::Locked { .. }) => return Ok(()),
            opened => opened?,
        };
        let Some(position) = position else { return Ok(()) };
        let mut build = Build::new(self.job, self.place, self.versions.clone(), live);
        match build.reach(index, position).await {
            // A worker does.
            Err(OperateError::TakenOver { .. }) => Ok(()),
            reached => reached.map(drop),
        }
    }

    /// Makes it live. A worker that fills the live one meanwhile is followed until it is not ahead.
    async fn cut_over(&mut self) -> Result<(), OperateError> {
        let older = self.versions.roles().await?.retired;
        for _ in 0..TRIES {
            match self.versions.cut_over(self.version, self.built.position).await {
                Ok(()) => {
                    return match older.filter(|older| *older != self.version) {
                        Some(older) => Ok(self.versions.drop(older).await?),
                        None => Ok(()),
                    };
                }
                Err(CatalogError::Behind) => {
                    let index = self.open().await?;
                    drop(self.catch_up(index).await?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(OperateError::Outrun { name: NAME })
    }
}

async fn tables(
    sides: [Contents; 2],
    expected: &[Expected],
) -> Result<Vec<crate::TableComparison>, OperateError> {
    let parked =
        sides.each_ref().map(|side| rows(side.standing.parked.iter().copied().map(parked)));
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

fn parked(position: u64) -> TableRow {
    let position = Cell::Int(position.cast_signed());
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
