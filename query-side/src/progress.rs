use std::cmp::Reverse;
use std::time::Duration;

use daybook_database::{Error, Executor, Row, query};
use daybook_event_store::Position;
use serde::Serialize;
use tokio::time::{Instant as Moment, sleep, timeout_at};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::row::{Columns, FromRow, each};
use crate::{Instant, Limit, Queries, QueryError};

/// The first and the longest pause between two looks at a checkpoint.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

/// Every generation of every projection.
const STATUS: &str = "SELECT p.*, (SELECT count(*) FROM parked_events e \
                      WHERE e.projection = p.name AND e.generation = p.generation) AS parked, \
                      p.live AND EXISTS (SELECT 1 FROM paused_projections s WHERE s.name = p.name) \
                      AS paused FROM projections p ORDER BY p.name, p.generation";

/// How far a projection has come, as its database knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionStatus {
    /// Its name.
    pub name: String,
    /// Which of its tables: it may be built anew beside the ones that queries read.
    pub generation: u64,
    /// The version of the code that fills them.
    pub version: u64,
    /// Whether queries read this generation.
    pub live: bool,
    /// Whether an operator keeps it where it is.
    pub paused: bool,
    /// Every event up to here is in the rows, or parked. Missing before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// When that was written.
    pub updated_at: Instant,
    /// The worker that holds, or held last, the right to write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Events that could not be read or applied.
    pub parked: u64,
}

impl FromRow for ProjectionStatus {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            name: row.text("name")?,
            generation: row.count("generation")?,
            version: row.count("version")?,
            live: row.bool("live")?,
            paused: row.bool("paused")?,
            position: row.maybe_i64("position")?.map(i64::cast_unsigned),
            updated_at: row.instant("updated_at")?,
            owner: row.maybe_text("owner")?,
            parked: row.count("parked")?,
        })
    }
}

/// How far the projections have come, as far as that can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Every generation of those that are told of, by name and number.
    pub projections: Vec<ProjectionStatus>,
    /// Whose database cannot be read, by database: the read models that it is of, or none where it is
    /// of all that have no other.
    pub unread: Vec<Vec<String>>,
}

/// An event that a projection could not read or apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParkedEvent {
    /// The projection whose rows lack it.
    pub projection: String,
    /// The generation of the projection's tables.
    pub generation: u64,
    /// Where the event stands in the store.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its place in the stream.
    pub revision: u64,
    /// Its id.
    pub event_id: Uuid,
    /// Its type.
    pub kind: String,
    /// What is wrong with it.
    pub error: String,
    /// How often it was tried; none for one that is held back behind another of its stream.
    pub attempts: u64,
    /// When it was last tried.
    pub parked_at: Instant,
}

impl FromRow for ParkedEvent {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            projection: row.text("projection")?,
            generation: row.count("generation")?,
            position: row.count("position")?,
            stream: row.text("stream")?,
            revision: row.count("revision")?,
            event_id: row.id("event_id")?,
            kind: row.text("kind")?,
            error: row.text("error")?,
            attempts: row.count("attempts")?,
            parked_at: row.instant("parked_at")?,
        })
    }
}

impl Queries {
    /// Events that projections could not read or apply, the newest first.
    ///
    /// # Errors
    /// The read models cannot be read.
    pub async fn parked_events(&self, limit: Limit) -> Result<Vec<ParkedEvent>, QueryError> {
        let parked = "SELECT * FROM parked_events \
                      ORDER BY position DESC, projection, generation LIMIT $1";
        let rows = self.of_all(|| query(parked).bind(limit.get()), "projection").await?;
        let mut parked: Vec<ParkedEvent> = each(&rows)?;
        parked.sort_by_key(|parked| Reverse(parked.position));
        parked.truncate(limit.into());
        Ok(parked)
    }

    /// Every generation of every projection, as far as their databases can be read.
    ///
    /// # Errors
    /// None of the databases tells of any.
    pub async fn projections(&self) -> Result<Survey, QueryError> {
        let (mut survey, mut failure) = (Survey::default(), None);
        for (models, pool) in self.pools() {
            match self.of_one(pool, query(STATUS), "name").await {
                Ok(rows) => survey.projections.extend(each::<ProjectionStatus>(&rows)?),
                Err(error) => {
                    survey.unread.push(models.to_vec());
                    failure = Some(error);
                }
            }
        }
        survey.projections.sort_by(|a, b| (&a.name, a.generation).cmp(&(&b.name, b.generation)));
        match failure {
            Some(error) if survey.projections.is_empty() => Err(error.into()),
            _ => Ok(survey),
        }
    }

    /// Those alone that are in the database of one of them; with an empty name, those that have none of
    /// their own.
    ///
    /// # Errors
    /// That database cannot be read.
    pub async fn projections_beside(
        &self,
        model: &str,
    ) -> Result<Vec<ProjectionStatus>, QueryError> {
        each(&self.of_one(self.of(model), query(STATUS), "name").await?)
    }

    /// Waits until what queries read of a projection holds every event up to `position`, which
    /// any process may project. `false`: it did not come so far in time.
    ///
    /// # Errors
    /// There is no such projection, or the read models cannot be read.
    pub async fn wait_for(
        &self,
        projection: &str,
        position: Position,
        timeout: Duration,
    ) -> Result<bool, QueryError> {
        let until = Moment::now() + timeout;
        let (mut pause, longest) = PAUSES;
        while self.reached(projection).await?.is_none_or(|reached| reached < position) {
            if timeout_at(until, sleep(pause)).await.is_err() {
                return Ok(false);
            }
            pause = (pause * 2).min(longest);
        }
        Ok(true)
    }

    async fn reached(&self, projection: &str) -> Result<Option<Position>, QueryError> {
        position_of(self.of(projection), projection).await
    }
}

/// How far what queries read of a projection has come.
pub(crate) async fn position_of(
    database: impl Executor,
    projection: &str,
) -> Result<Option<Position>, QueryError> {
    let live = query("SELECT position FROM projections WHERE name = $1 AND live").bind(projection);
    let row = database.fetch_optional(live).await?;
    let unknown = || QueryError::UnknownProjection { name: projection.to_owned() };
    let position = row.ok_or_else(unknown)?.maybe_i64("position")?;
    Ok(position.map(|position| Position(position.cast_unsigned())))
}
