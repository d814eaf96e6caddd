use std::time::{SystemTime, UNIX_EPOCH};

use daybook_event_schemas::Wire;
use daybook_event_store::{Position, Recorded, Store};

use crate::model::{MODELS, Model, model};
use crate::parked::{self, Parked};
use crate::replay::{self, OperateError, Replay, Replayed};
use crate::{Database, Generation, registry};

/// What an operator does to the read models, beside whatever process fills them.
#[derive(Debug, Clone)]
pub struct Operator {
    store: Store,
    database: Database,
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
    /// Operates the read models of a database, which are posted from a store. The store need only
    /// be readable.
    pub fn new(store: Store, database: Database) -> Self {
        Self { store, database }
    }

    /// The read models' names.
    pub fn names() -> [&'static str; 7] {
        MODELS.map(Model::name)
    }

    /// Every generation of every read model.
    ///
    /// # Errors
    /// The database failed.
    pub async fn generations(&self) -> Result<Vec<Generation>, OperateError> {
        Ok(registry::generations(&mut self.database.begin().await?).await?)
    }

    /// Keeps what queries read of a read model where it is, until it is [resumed](Self::resume): a
    /// running worker writes nothing any more once this has returned. `false`: it was paused already.
    ///
    /// # Errors
    /// There is no such read model, or the database failed.
    pub async fn pause(&self, name: &str) -> Result<bool, OperateError> {
        Ok(registry::pause(&self.database, model(name)?.name(), true, now()).await?)
    }

    /// Has a paused read model go on, where a worker runs within a second. `false`: it was not paused.
    ///
    /// # Errors
    /// There is no such read model, or the database failed.
    pub async fn resume(&self, name: &str) -> Result<bool, OperateError> {
        Ok(registry::pause(&self.database, model(name)?.name(), false, now()).await?)
    }

    /// What the read models that queries read could not read or apply, in the order of the events.
    ///
    /// # Errors
    /// The database failed.
    pub async fn parked(&self) -> Result<Vec<Parked>, OperateError> {
        Ok(parked::list(&mut self.database.begin().await?).await?)
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
        let Self { store, database } = self;
        model(name)?.replay(Replay { store, database, stream, upto, now: now(), dry_run }).await
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
    ) -> Result<Vec<Replayed>, OperateError> {
        let (model, parked) = self.find(name, position).await?;
        let mut tx = self.database.begin().await?;
        registry::fence(&mut tx, name).await?;
        parked::give_up(&mut tx, &parked, reason, now()).await?;
        parked::forget(&mut tx, &parked).await?;
        tx.commit().await?;
        self.replay(model.name(), &parked.stream, None, false).await
    }

    async fn find(
        &self,
        name: &str,
        position: Position,
    ) -> Result<(&'static dyn Model, Parked), OperateError> {
        let model = model(name)?;
        let parked = self.parked().await?.into_iter();
        let mut found = parked.filter(|p| p.projection == name && p.position == position);
        let not_parked = OperateError::NotParked { name: model.name(), position };
        Ok((model, found.next().ok_or(not_parked)?))
    }
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
