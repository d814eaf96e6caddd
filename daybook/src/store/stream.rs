//! `daybook store stream`: one stream as a whole.

use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, bail};
use daybook_event_store::{
    AppendError, Direction, EventStore, Expected, ReadError, Revision, Store, StreamId,
    StreamMetadata,
};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{address, print, to_read, to_write};
use crate::cli::{Age, Bound, Change, Output, Stream, StreamArgs};
use crate::config::{Config, StoreAddress};

/// How a stream is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    /// Nothing is known of it.
    None,
    /// It can be read and appended to.
    Open,
    /// It reads as empty, and may be begun anew.
    Deleted,
    /// It has ended for good.
    Ended,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    stream: String,
    state: State,
    /// The revisions of the events that readers see.
    first_revision: Option<u64>,
    last_revision: Option<u64>,
    /// What is said of it, as EventStoreDB's clients read it.
    metadata: Option<Value>,
    metadata_revision: Option<u64>,
}

pub(super) async fn run(command: Stream, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Stream::Show(of) => show(of, config).await,
        Stream::Set { of, change } => set(of, change, config).await,
        Stream::Delete(of) => {
            let said = "deleted; until it is scavenged, `daybook store stream set --truncate-before none` brings its events back";
            end(of, config, said, async |store, stream| {
                store.delete(stream, Expected::Any).await.map(drop)
            })
            .await
        }
        Stream::Tombstone { of, yes: true } => {
            end(of, config, "ended for good", async |store, stream| {
                store.tombstone(stream, Expected::Any).await.map(drop)
            })
            .await
        }
        Stream::Tombstone { of, yes: false } => {
            let stream = of.stream;
            bail!(
                "nobody could read {stream} or append to it ever again, and this cannot be undone: \
                 add --yes if that is meant"
            )
        }
    }
}

async fn show(of: StreamArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let stream = of.stream.parse()?;
    let store = to_read(&address(of.store, config))?;
    let report = look(&store, &stream).await;
    store.close();
    tell(&report?, of.output.output)
}

async fn set(of: StreamArgs, change: Change, config: &Config) -> anyhow::Result<ExitCode> {
    let stream = of.stream.parse()?;
    let store = to_change(&address(of.store, config), config)?;
    let report = async {
        apply(&store, &stream, change).await?;
        look(&store, &stream).await
    };
    let report = report.await;
    store.close();
    tell(&report?, of.output.output)
}

/// Says it of what is there now; somebody else who says something meanwhile is not overwritten.
async fn apply(store: &Store, stream: &StreamId, change: Change) -> anyhow::Result<()> {
    let said = store.metadata(stream).await?;
    let expected = said.as_ref().map_or(Expected::NoStream, |(_, at)| Expected::At(*at));
    let mut metadata = said.map(|(metadata, _)| metadata).unwrap_or_default();
    change.apply(&mut metadata);
    let id = event_id(stream, expected, &metadata);
    match store.set_metadata(stream, expected, &metadata, id).await {
        Err(error @ AppendError::Conflict { .. }) => {
            let advice = "somebody else said something of it meanwhile: look, and try again";
            Err(anyhow::Error::from(error).context(advice))
        }
        set => Ok(set.map(drop)?),
    }
}

/// The same for the same words at the same place, so that repeating them is harmless.
fn event_id(stream: &StreamId, expected: Expected, metadata: &StreamMetadata) -> Uuid {
    let place = format!("{expected:?}@{stream}:");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &[place.as_bytes(), &metadata.encode()].concat())
}

impl Change {
    fn apply(self, metadata: &mut StreamMetadata) {
        let Self { max_age, max_count, truncate_before, custom, remove } = self;
        if let Some(Bound(age)) = max_age {
            metadata.max_age = age.map(|Age(seconds)| seconds);
        }
        if let Some(Bound(count)) = max_count {
            metadata.max_count = count;
        }
        if let Some(Bound(revision)) = truncate_before {
            metadata.truncate_before = revision.map(Revision);
        }
        for key in &remove {
            metadata.custom.remove(key);
        }
        metadata.custom.extend(custom);
    }
}

/// Deletes or ends a stream, if there is one of the name.
async fn end(
    of: StreamArgs,
    config: &Config,
    said: &str,
    ending: impl AsyncFnOnce(&Store, &StreamId) -> Result<(), AppendError>,
) -> anyhow::Result<ExitCode> {
    let stream: StreamId = of.stream.parse()?;
    let store = to_change(&address(of.store, config), config)?;
    let report = async {
        if look(&store, &stream).await?.state == State::None {
            bail!("there is no stream {stream}");
        }
        ending(&store, &stream).await?;
        look(&store, &stream).await
    };
    let report = report.await;
    store.close();
    print(&report?, &format!("{stream} is {said}"), of.output.output)?;
    Ok(ExitCode::SUCCESS)
}

/// A store that is there, to write to it.
fn to_change(address: &StoreAddress, config: &Config) -> anyhow::Result<Store> {
    if let Some(folder) = address.folder() {
        daybook_event_store::StoreFolder::new(folder).probe()?;
    }
    to_write(address, config)
        .context("where a server uses the store and serves it, name its address with --store URL")
}

async fn look(store: &Store, stream: &StreamId) -> anyhow::Result<Report> {
    let name = stream.to_string();
    let ended = |error| match error {
        ReadError::Deleted { .. } => Ok(State::Ended),
        error => Err(error),
    };
    let found = async {
        let mut events = pin!(store.read(stream, Revision::START, Direction::Forward));
        let first = events.try_next().await?.map(|event| event.revision.0);
        let last = store.read_last(stream).await?.map(|event| event.revision.0);
        let said = store.metadata(stream).await?;
        Ok((first, last, said))
    };
    let (state, first, last, said) = match found.await {
        Ok((first, last, said)) => {
            let deleted = said.as_ref().is_some_and(|(metadata, _)| {
                metadata.truncate_before == Some(StreamMetadata::DELETED)
            });
            let state = match (deleted, last.is_some() || said.is_some()) {
                (true, _) => State::Deleted,
                (false, true) => State::Open,
                (false, false) => State::None,
            };
            (state, first, last, said)
        }
        Err(error) => (ended(error)?, None, None, None),
    };
    let metadata_revision = said.as_ref().map(|(_, revision)| revision.0);
    let metadata = said.map(|(metadata, _)| serde_json::from_slice(&metadata.encode()));
    Ok(Report {
        stream: name,
        state,
        first_revision: first,
        last_revision: last,
        metadata: metadata.transpose()?,
        metadata_revision,
    })
}

fn tell(report: &Report, output: Output) -> anyhow::Result<ExitCode> {
    print(report, &text(report), output)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Report) -> String {
    let state = match report.state {
        State::None => "nothing was ever said or appended",
        State::Open => "open",
        State::Deleted => "deleted: an append begins it anew",
        State::Ended => "ended for good",
    };
    let events = match (report.first_revision, report.last_revision) {
        (Some(first), Some(last)) => format!("revisions {first} to {last}"),
        _ => "none is shown".into(),
    };
    let mut lines = vec![("stream", report.stream.clone()), ("state", state.into())];
    lines.push(("events", events));
    let none = Map::new();
    let metadata = report.metadata.as_ref().and_then(Value::as_object).unwrap_or(&none);
    lines.extend(metadata.iter().map(|(key, value)| (key.as_str(), value.to_string())));
    let lines: Vec<_> = lines.iter().map(|(what, value)| format!("{what:<12}{value}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_named_stays_and_repeating_changes_nothing() {
        let store = Store::memory();
        let stream = StreamId::new("order", 1).unwrap();
        let change = |truncate_before, custom: &[(&str, i32)], remove: &[&str]| Change {
            max_age: None,
            max_count: Some(Bound("3".parse().ok())),
            truncate_before,
            custom: custom.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            remove: remove.iter().map(|key| (*key).into()).collect(),
        };

        apply(&store, &stream, change(Some(Bound(Some(2))), &[("a", 1), ("b", 2)], &[]))
            .await
            .unwrap();
        apply(&store, &stream, change(None, &[("c", 3)], &["a"])).await.unwrap();

        let report = look(&store, &stream).await.unwrap();
        let said = serde_json::json!({ "$maxCount": 3, "$tb": 2, "b": 2, "c": 3 });
        assert_eq!((report.state, report.metadata), (State::Open, Some(said)));
        apply(&store, &stream, change(Some(Bound(None)), &[], &["b", "c", "absent"]))
            .await
            .unwrap();
        let report = look(&store, &stream).await.unwrap();
        assert_eq!(report.metadata, Some(serde_json::json!({ "$maxCount": 3 })));
        assert_eq!(report.metadata_revision, Some(2));
    }
}
