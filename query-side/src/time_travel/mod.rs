//! What an aggregate or a process was at some revision or instant, and the events that made it so.
//!
//! It folds the stream itself and reads no projection, so that it can be held against them.

mod fold;
mod view;

use daybook_domain::values::Timestamp;
use daybook_event_schemas::{DecodeError, Metadata, format_timestamp};
use daybook_event_store::{
    Direction, EventStore, InvalidStreamId, ReadError, Recorded, Revision, Store, StreamId,
};
use futures::{TryStreamExt, future};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

/// Which of its states to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The last.
    Latest,
    /// After the event of this revision.
    Revision(Revision),
    /// After the last event that the store had recorded at this instant. Recorded, not business
    /// time: what was known then, whatever day it spoke of.
    RecordedBy(Timestamp),
}

/// A stream up to some moment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The stream.
    pub stream: String,
    /// What kind of aggregate or process it is.
    pub category: String,
    /// The last event shown.
    pub revision: u64,
    /// When the store took it: RFC 3339, UTC, microseconds.
    pub recorded_at: String,
    /// What the events add up to.
    #[schema(value_type = Object)]
    pub state: Value,
    /// The events, oldest first.
    pub events: Vec<HistoryEvent>,
}

/// An event that led to the state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEvent {
    /// Its place in the stream.
    pub revision: u64,
    /// Its place in the store.
    pub position: u64,
    /// Its type.
    pub kind: String,
    /// The version of the form it was written in.
    pub schema_version: u16,
    /// When the store took it: RFC 3339, UTC, microseconds.
    pub recorded_at: String,
    /// Its id.
    pub id: Uuid,
    /// What its request had set off shares this.
    pub correlation_id: Uuid,
    /// The command that decided it.
    pub causation_id: Uuid,
    /// On whose behalf.
    pub actor: String,
    /// The payload as it was written.
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
}

/// Why there is nothing to show.
#[derive(Debug, Error)]
pub enum TimeTravelError {
    /// The name is not one of a stream.
    #[error(transparent)]
    InvalidStream(#[from] InvalidStreamId),
    /// The stream is not one of an aggregate or a process.
    #[error(
        "stream {stream} has no state to show; its name must begin with one of: {}",
        fold::CATEGORIES.join(", ")
    )]
    UnknownCategory {
        /// As asked.
        stream: StreamId,
    },
    /// The stream has no event.
    #[error("there is no stream {stream}")]
    NoSuchStream {
        /// As asked.
        stream: StreamId,
    },
    /// The stream is shorter than that.
    #[error("stream {stream} ends at revision {last} and has no revision {asked}")]
    BeyondEnd {
        /// The stream.
        stream: StreamId,
        /// As asked.
        asked: Revision,
        /// Its last revision.
        last: Revision,
    },
    /// The stream is younger than that.
    #[error("stream {stream} begins at {}", format_timestamp(*first))]
    NotYet {
        /// The stream.
        stream: StreamId,
        /// When its first event was recorded.
        first: Timestamp,
    },
    /// The events cannot be read.
    #[error("stream {stream} cannot be read")]
    Read {
        /// The stream.
        stream: StreamId,
        /// Why.
        source: ReadError,
    },
    /// An event is not what it should be.
    #[error("the event at revision {revision} of stream {stream} cannot be understood")]
    Decode {
        /// The stream.
        stream: StreamId,
        /// The event's place in it.
        revision: Revision,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// The state of a stream at a moment, and the events that led there.
///
/// # Errors
/// The stream's name, category or moment has nothing to show, or its events cannot be read.
pub async fn travel(
    store: &Store,
    stream: &str,
    moment: Moment,
) -> Result<History, TimeTravelError> {
    let stream: StreamId = stream.parse()?;
    if !fold::CATEGORIES.contains(&stream.category()) {
        return Err(TimeTravelError::UnknownCategory { stream });
    }
    let events = read(store, &stream, moment).await?;
    let decode =
        |(revision, source)| TimeTravelError::Decode { stream: stream.clone(), revision, source };
    let state = fold::state(stream.category(), &events).map_err(decode)?;
    let last = &events[events.len() - 1];
    Ok(History {
        stream: stream.to_string(),
        category: stream.category().into(),
        revision: last.revision.0,
        recorded_at: instant(last.recorded_at),
        state,
        events: events.iter().map(show).collect::<Result<_, _>>().map_err(decode)?,
    })
}

/// The events up to the moment; at least one.
async fn read(
    store: &Store,
    stream: &StreamId,
    moment: Moment,
) -> Result<Vec<Recorded>, TimeTravelError> {
    let within = move |event: &Recorded| match moment {
        Moment::Latest => true,
        Moment::Revision(last) => event.revision <= last,
        Moment::RecordedBy(at) => event.recorded_at <= at.as_micros(),
    };
    let failed = |source| TimeTravelError::Read { stream: stream.clone(), source };
    let events = store.read(stream, Revision::START, Direction::Forward);
    let events: Vec<_> = events
        .try_take_while(|event| future::ready(Ok(within(event))))
        .try_collect()
        .await
        .map_err(failed)?;
    let last = events.last().map(|event| event.revision);
    match (moment, last) {
        (Moment::Revision(asked), Some(last)) if last < asked => {
            Err(TimeTravelError::BeyondEnd { stream: stream.clone(), asked, last })
        }
        (_, Some(_)) => Ok(events),
        (_, None) => Err(nothing(store, stream).await?),
    }
}

/// Why no event of the stream lies before the moment.
async fn nothing(store: &Store, stream: &StreamId) -> Result<TimeTravelError, TimeTravelError> {
    let events = store.read(stream, Revision::START, Direction::Forward);
    let first = std::pin::pin!(events).try_next().await;
    let stream = stream.clone();
    match first {
        Err(source) => Err(TimeTravelError::Read { stream, source }),
        Ok(None) => Ok(TimeTravelError::NoSuchStream { stream }),
        Ok(Some(event)) => {
            let first = Timestamp::from_micros(event.recorded_at);
            Ok(TimeTravelError::NotYet { stream, first })
        }
    }
}

fn instant(micros: i64) -> String {
    format_timestamp(Timestamp::from_micros(micros))
}

fn show(event: &Recorded) -> Result<HistoryEvent, (Revision, DecodeError)> {
    let metadata: Metadata = serde_json::from_slice(&event.metadata)
        .map_err(|source| (event.revision, DecodeError::Metadata { id: event.id, source }))?;
    let version = metadata.schema_version;
    let malformed =
        |source| DecodeError::Malformed { kind: event.kind.to_string(), version, source };
    Ok(HistoryEvent {
        revision: event.revision.0,
        position: event.position.0,
        kind: event.kind.to_string(),
        schema_version: version,
        recorded_at: instant(event.recorded_at),
        id: event.id,
        correlation_id: metadata.correlation_id,
        causation_id: metadata.causation_id,
        actor: metadata.actor.0.to_string(),
        data: serde_json::from_slice(&event.data)
            .map_err(|source| (event.revision, malformed(source)))?,
    })
}
