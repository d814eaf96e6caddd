use std::sync::Arc;

use daybook_database::{Error, now};
use daybook_event_schemas::Wire;
use daybook_event_store::{Position, Recorded, Store};
use tokio_util::sync::CancellationToken;

use crate::catalog::{self, CatalogPlace};
use crate::ceiling::Loaded;
use crate::model::{MODELS, Model, Rebuilt, model};
use crate::parked::{self, Discarded, Parked};
use crate::rebuild::{BATCH, Built, Job, Outcome, Task, Which, owner};
use crate::replay::{self, Replay, Replayed};
use crate::{
    Comparison, Database, DatabaseError, Databases, Expected, Generation, OperateError, registry,
};

/// What an operator does to the read models, beside whatever process fills them.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(crate) store: Store,
    databases: Databases,
    pub(crate) catalog: Option<catalog::Rebuilder>,
    owner: Arc<str>,
    batch: usize,
}

/// What a rebuild does beside building.
#[derive(Debug, Clone, Copy, Default)]
pub struct Then<'a> {
    /// Compare what was built with what queries read; these differences are expected.
    pub verify: Option<&'a [Expected]>,
    /// Have queries read what was built, unless it differs in what nobody expected.
    pub cut_over: bool,
}

/// A parked event with what it says.
#[derive(Debug, Clone)]
pub struct ParkedDetails {
    /// What is known of it as a parked one.
    pub parked: Parked,
    /// The event as it was written, while the store has it.
    pub recorded: Option<Recorded>,
    /// The event as it is read today, or why it cannot be. None: it means nothing any more.
    pub decoded: Result<Option<Wire>, String>,
}

impl Operator {
    /// Operates the read models of some databases, which are posted from a store. The store need only
    /// be readable, and only those databases be there of whose read models something is asked.
    pub fn new(store: Store, databases: impl Into<Databases>) -> Self {
        Self { store, databases: databases.into(), catalog: None, owner: owner(), batch: BATCH }
    }

    /// Operates the search index of the catalog, too, under the name [`catalog::NAME`].
    #[must_use]
    pub fn with_catalog(self, place: CatalogPlace) -> Self {
        Self { catalog: Some(catalog::Rebuilder(place)), ..self }
    }

    /// Builds by batches of at most so many events. A transaction writes several where nobody waits
    /// for it.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// Builds the next generation of a read model beside the one that queries read, up to the end of
    /// the store. One that was begun, and interrupted or killed, is gone on with. `report` is told of
    /// every batch; `stop` ends it after the batch under way, and what is not written yet is done again.
    ///
    /// # Errors
    /// There is no such read model, somebody else builds it, it was stopped, or the database or store
    /// failed. What was built stays.
    pub async fn rebuild(
        &self,
        name: &str,
        Then { verify, cut_over }: Then<'_>,
        report: &(dyn Fn(Built) + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Outcome, OperateError> {
        let task = Task { which: Which::Next, build: true, verify, cut_over };
        self.run(name, task, report, stop).await
    }

    /// Drops what a rebuild has built and nobody reads. The answer is its generation.
    ///
    /// # Errors
    /// There is no such read model, nothing is built, somebody works on it, or the database failed.
    pub async fn discard_build(&self, name: &str) -> Result<u32, OperateError> {
        self.rebuilt(name)?.discard(self.job(name, &never()).await?).await
    }

    /// Compares what a rebuild has built with what queries read, both at the position that the latter
    /// has. A running worker need not stand still.
    ///
    /// # Errors
    /// There is no such read model, nothing is built, what queries read is behind and stays so, or the
    /// database or store failed.
    pub async fn verify(
        &self,
        name: &str,
        expected: &[Expected],
    ) -> Result<Comparison, OperateError> {
        let task =
            Task { which: Which::Begun, build: false, verify: Some(expected), cut_over: false };
        let outcome = self.run(name, task, &|_| {}, &never()).await?;
        Ok(outcome.comparison.unwrap_or_default())
    }

    /// Has queries read what a rebuild has built, all tables at once. What they read before is kept,
    /// and no longer written.
    ///
    /// # Errors
    /// There is no such read model, nothing is built, it has not caught up, or the database or store
    /// failed.
    pub async fn cut_over(&self, name: &str) -> Result<Outcome, OperateError> {
        let task = Task { which: Which::Begun, build: false, verify: None, cut_over: true };
        self.run(name, task, &|_| {}, &never()).await
    }

    /// Has queries read again what they read before the last cutover, after what has happened since
    /// was posted to it. What they read until now is kept instead.
    ///
    /// # Errors
    /// There is no such read model, nothing is kept, it is another release's, or the database or store
    /// failed.
    pub async fn roll_back(
        &self,
        name: &str,
        report: &(dyn Fn(Built) + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Outcome, OperateError> {
        let task = Task { which: Which::Previous, build: true, verify: None, cut_over: true };
        self.run(name, task, report, stop).await
    }

    /// Loads the rows of a read model into new tables by the engine's own means, as fast as that can
    /// be, and drops them again: what a build is measured against.
    ///
    /// # Errors
    /// There is no such read model, it has no rows, or the database failed.
    pub async fn load_copy(&self, name: &str) -> Result<Loaded, OperateError> {
        model(name)?.load_copy(self.job(name, &never()).await?).await
    }

    async fn run(
        &self,
        name: &str,
        task: Task<'_>,
        report: &(dyn Fn(Built) + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Outcome, OperateError> {
        let rebuilt = self.rebuilt(name)?;
        rebuilt.run(Job { report, ..self.job(name, stop).await? }, task).await
    }

    async fn job<'a>(
        &'a self,
        name: &str,
        stop: &'a CancellationToken,
    ) -> Result<Job<'a>, OperateError> {
        let &Self { ref store, ref owner, batch, .. } = self;
        let database = self.database(name).await?;
        Ok(Job { store, database, owner, batch, stop, report: &|_| {} })
    }

    /// The database of a read model, or of what is kept of the search index, ready to be used.
    pub(crate) async fn database(&self, name: &str) -> Result<&Database, OperateError> {
        let database = self.databases.of(name);
        database.ready().await?;
        Ok(database)
    }

    /// What each database says of the read models that are in it, by itself: one that failed keeps
    /// the others from nothing. With a name, only the one that this read model is in.
    async fn each<T>(
        &self,
        name: Option<&str>,
        ask: impl AsyncFn(&Database) -> Result<Vec<T>, Error>,
        model: impl Fn(&T) -> &str,
    ) -> Vec<Result<Vec<T>, OperateError>> {
        let mut all = Vec::new();
        for (_, database) in self.databases.iter() {
            if name.is_none_or(|name| self.databases.is_of(database, name)) {
                all.push(self.ask(database, &ask, &model).await);
            }
        }
        all
    }

    /// What a database says, if it was ever made.
    async fn ask<T>(
        &self,
        database: &Database,
        ask: impl AsyncFn(&Database) -> Result<Vec<T>, Error>,
        model: impl Fn(&T) -> &str,
    ) -> Result<Vec<T>, OperateError> {
        if database.address().is_missing() {
            return Ok(Vec::new());
        }
        database.ready().await?;
        let address = || database.address().clone();
        let said = ask(database).await;
        let said = said.map_err(|source| DatabaseError::Unusable { address: address(), source })?;
        Ok(said.into_iter().filter(|one| self.databases.is_of(database, model(one))).collect())
    }

    fn rebuilt(&self, name: &str) -> Result<&dyn Rebuilt, OperateError> {
        match &self.catalog {
            Some(catalog) if name == catalog::NAME => Ok(catalog),
            _ => Ok(model(name)?),
        }
    }

    /// The names of the read models in SQL.
    pub fn names() -> [&'static str; 7] {
        MODELS.map(Model::name)
    }

    /// Every generation of every read model.
    ///
    /// # Errors
    /// A database or the search index failed.
    pub async fn generations(&self) -> Result<Vec<Generation>, OperateError> {
        let all = self.survey(None).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    /// The same as each database and the search index tell it, by themselves: one that failed keeps
    /// the others from nothing. With a name, only the one that this read model is in.
    pub async fn survey(&self, name: Option<&str>) -> Vec<Result<Vec<Generation>, OperateError>> {
        let mut all = Vec::new();
        if name != Some(catalog::NAME) {
            let ask = async |database: &Database| registry::generations(database.pool()).await;
            all = self.each(name, ask, |generation| &generation.name).await;
        }
        if let (Some(catalog), true) = (&self.catalog, name.is_none_or(|it| it == catalog::NAME)) {
            all.push(match self.given_up().await {
                Ok(given_up) => catalog.generations(&given_up).await,
                Err(error) => Err(error),
            });
        }
        all
    }

    /// Keeps what queries read of a read model where it is, until it is [resumed](Self::resume): a
    /// running worker writes nothing any more once this has returned. `false`: it was paused already.
    ///
    /// # Errors
    /// There is no such read model, or the database failed.
    pub async fn pause(&self, name: &str) -> Result<bool, OperateError> {
        self.rebuilt(name)?.pause(self.job(name, &never()).await?, true).await
    }

    /// Has a paused read model go on, where a worker runs within a second. `false`: it was not paused.
    ///
    /// # Errors
    /// There is no such read model, or the database failed.
    pub async fn resume(&self, name: &str) -> Result<bool, OperateError> {
        self.rebuilt(name)?.pause(self.job(name, &never()).await?, false).await
    }

    /// What the read models that queries read could not read or apply, in the order of the events, as
    /// each database tells it, by itself. With a name, only the one that this read model is in.
    pub async fn parked(&self, name: Option<&str>) -> Vec<Result<Vec<Parked>, OperateError>> {
        let ask = async |database: &Database| parked::list(database.pool()).await;
        self.each(name, ask, |parked| &parked.projection).await
    }

    /// A parked event with what it says.
    ///
    /// # Errors
    /// There is none, or the database or store failed.
    pub async fn details(
        &self,
        name: &str,
        position: Position,
    ) -> Result<ParkedDetails, OperateError> {
        let (model, parked) = self.find(name, position).await?;
        let events = replay::events(&self.store, &parked.stream, std::slice::from_ref(&parked));
        let recorded = match events.await {
            Ok(mut events) => events.pop(),
            Err(OperateError::Gone { .. }) => None,
            Err(error) => return Err(error),
        };
        let gone = || Err("the event store has it no more".to_owned());
        let decoded = recorded.as_ref().map_or_else(gone, |recorded| model.decode(recorded));
        Ok(ParkedDetails { parked, recorded, decoded })
    }

    /// Applies what a read model has parked of a stream, in the stream's order, up to a position if
    /// one is given, and no further than to the first event that fails again. A running worker goes
    /// on with the stream afterwards. With `dry_run` everything stays as it is, and the answer is
    /// what would be.
    ///
    /// # Errors
    /// There is no such read model, its rows are another release's, an event is not in the store any
    /// more, or the database or store failed.
    pub async fn replay(
        &self,
        name: &str,
        stream: &str,
        upto: Option<Position>,
        dry_run: bool,
    ) -> Result<Vec<Replayed>, OperateError> {
        let (model, store, database) = (model(name)?, &self.store, self.database(name).await?);
        model.replay(Replay { store, database, stream, upto, now: now(), dry_run }).await
    }

    /// Gives a parked event up: no generation of the read model will have it, and what was held back
    /// behind it is applied. The answer is what became of that.
    ///
    /// # Errors
    /// It is not parked, or the database or store failed.
    pub async fn discard(
        &self,
        name: &str,
        position: Position,
        reason: &str,
        by: &str,
    ) -> Result<Vec<Replayed>, OperateError> {
        let (model, parked) = self.find(name, position).await?;
        let mut tx = self.database(name).await?.begin().await?;
        registry::fence(&mut tx, name).await?;
        parked::give_up(&mut tx, &parked, (reason, by), now()).await?;
        parked::forget(&mut tx, &parked).await?;
        tx.commit().await?;
        self.replay(model.name(), &parked.stream, None, false).await
    }

    /// What was given up of the read models and of the search index, and why, in the order in which
    /// that was, as each database tells it, by itself. With a name, only the one that this read model
    /// is in, or what is kept of the search index.
    pub async fn discarded(&self, name: Option<&str>) -> Vec<Result<Vec<Discarded>, OperateError>> {
        let ask = async |database: &Database| parked::discarded(database.pool()).await;
        self.each(name, ask, |discarded| &discarded.projection).await
    }

    async fn find(
        &self,
        name: &str,
        position: Position,
    ) -> Result<(&'static dyn Model, Parked), OperateError> {
        let model = model(name)?;
        let parked = parked::list(self.database(name).await?.pool()).await?.into_iter();
        let mut found = parked.filter(|p| p.projection == name && p.position == position);
        let not_parked = OperateError::NotParked { name: model.name(), position };
        Ok((model, found.next().ok_or(not_parked)?))
    }
}

/// Of what is over in a moment.
fn never() -> CancellationToken {
    CancellationToken::new()
}
