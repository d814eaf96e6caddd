//! The groups that there are, as they are kept in the store.

use std::str::FromStr;

use daybook_event_store::{EventStore, Expected, NewEvent, Store, StreamId};
use serde::{Deserialize, Serialize};
use tonic::Status;
use uuid::Uuid;

use super::settings::Settings;
use crate::errors;
use crate::protocol::Empty;
use crate::protocol::streams::read_req::options::FilterOptions;
use crate::protocol::streams::read_req::options::filter_options::{
    Expression, Filter as Of, Window,
};
use crate::streams::EventFilter;
use crate::streams::{From, Streamed};

/// Where the groups are kept: the last event has all of them.
const STREAM: &str = "$persistentSubscriptionConfig";
const KIND: &str = "$PersistentConfig";
const VERSION: &str = "2";

/// Of what a group gets the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    All,
    Stream(Streamed),
}

impl Source {
    /// The name of all events.
    pub(crate) const ALL: &str = "$all";

    pub(crate) fn named(name: &str) -> Result<Self, Status> {
        if name == Self::ALL { Ok(Self::All) } else { Streamed::named(name).map(Self::Stream) }
    }

    /// A place as clients are told it.
    pub(crate) fn text(&self, place: u64) -> String {
        match self {
            Self::All => start_text(self, From::At(place + 1)),
            Self::Stream(_) => place.to_string(),
        }
    }

    /// The place that a text of [`text`](Self::text) tells.
    pub(crate) fn place(&self, text: &str) -> Option<u64> {
        match self {
            Self::All => parse_position(text)?.checked_sub(1),
            Self::Stream(_) => text.parse().ok(),
        }
    }
}

/// A group, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) stream: String,
    pub(crate) group: String,
    /// Tells the group from earlier ones of its name.
    pub(crate) id: Uuid,
    /// Where it begins, as it was given: a revision, or the position of the wire.
    pub(crate) start_position: String,
    /// The place of the last event that it does not get.
    pub(crate) start_after: Option<u64>,
    #[serde(flatten)]
    pub(crate) settings: Settings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<Filter>,
}

/// A filter, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    /// Whether it is for names of streams, and not for types of events.
    pub(crate) is_for_streams: bool,
    pub(crate) regex: String,
    pub(crate) prefixes: Vec<String>,
    /// How many events are looked at between two checkpoints.
    pub(crate) window: Option<u32>,
    pub(crate) multiplier: u32,
}

impl Filter {
    pub(crate) fn build(&self) -> Result<EventFilter, Status> {
        let expression = Expression { regex: self.regex.clone(), prefix: self.prefixes.clone() };
        let of = if self.is_for_streams { Of::StreamIdentifier } else { Of::EventType };
        EventFilter::decode(FilterOptions {
            filter: Some(of(expression)),
            window: Some(self.window.map_or(Window::Count(Empty {}), Window::Max)),
            checkpoint_interval_multiplier: self.multiplier,
        })
    }
}

impl Entry {
    /// What checks out.
    fn check(&self) -> Result<(), Status> {
        let invalid = |error| Status::invalid_argument(error);
        self.settings.check().map_err(invalid)?;
        Source::named(&self.stream)?;
        self.filter.as_ref().map(Filter::build).transpose()?;
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    version: String,
    entries: Vec<Entry>,
}

/// Where a group begins, as clients are told it.
pub(crate) fn start_text(source: &Source, from: From<u64>) -> String {
    let number = match from {
        From::Start => "0".to_owned(),
        From::At(number) => number.to_string(),
        From::End => "-1".to_owned(),
    };
    match source {
        Source::All => format!("C:{number}/P:{number}"),
        Source::Stream(_) => number,
    }
}

fn parse_position(text: &str) -> Option<u64> {
    let (commit, _) = text.strip_prefix("C:")?.split_once("/P:")?;
    u64::from_str(commit).ok()
}

/// The groups as they were kept last.
pub(crate) async fn load(store: &Store) -> Result<Vec<Entry>, Status> {
    let last = store.read_last(&stream()?).await.map_err(|error| errors::unread(&error))?;
    last.map_or(Ok(Vec::new()), |event| decode(&event.data))
}

/// Keeps these groups, and no others.
pub(crate) async fn save(store: &Store, entries: Vec<Entry>) -> Result<(), Status> {
    let config = Config { version: VERSION.to_owned(), entries };
    let data = serde_json::to_vec(&config);
    let data = data.map_err(|error| Status::internal(error.to_string()))?;
    let event = NewEvent {
        id: Uuid::now_v7(),
        kind: KIND.into(),
        data: data.into(),
        metadata: bytes::Bytes::new(),
        is_json: true,
    };
    let saved = store.append(&stream()?, Expected::Any, vec![event]).await;
    saved.map(drop).map_err(|error| errors::refused("Append", &error))
}

fn stream() -> Result<StreamId, Status> {
    STREAM.parse().map_err(|error| Status::internal(format!("{error}")))
}

fn decode(data: &[u8]) -> Result<Vec<Entry>, Status> {
    let unreadable = |error: &str| {
        Status::data_loss(format!("the last event of {STREAM} cannot be understood: {error}"))
    };
    let config: Config =
        serde_json::from_slice(data).map_err(|error| unreadable(&error.to_string()))?;
    for entry in &config.entries {
        entry.check().map_err(|error| unreadable(error.message()))?;
    }
    Ok(config.entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::Code;

    use super::super::settings::NamedStrategy;
    use super::*;

    fn entry(stream: &str) -> Entry {
        let settings = Settings {
            resolve_links: true,
            extra_statistics: false,
            message_timeout: 30_000,
            max_retry_count: 10,
            live_buffer_size: 500,
            history_buffer_size: 500,
            read_batch_size: 20,
            check_point_after: 2_000,
            min_check_point_count: 10,
            max_check_point_count: 1_000,
            max_subscriber_count: 0,
            strategy: NamedStrategy::PinnedByCorrelation,
        };
        let (regex, prefixes) = ("^(?!\\$).*".to_owned(), Vec::new());
        let filter =
            Filter { is_for_streams: true, regex, prefixes, window: Some(32), multiplier: 1 };
        let (stream, group, start_position) = (stream.into(), "group".into(), "-1".into());
        let (id, start_after) = (Uuid::from_u128(1), Some(7));
        Entry { stream, group, id, start_position, start_after, settings, filter: Some(filter) }
    }

    #[tokio::test]
    async fn groups_are_kept() {
        let store = Store::memory();
        assert_eq!(load(&store).await.unwrap(), []);
        save(&store, vec![entry("order-1")]).await.unwrap();
        let entries = vec![entry("$all"), Entry { filter: None, ..entry("$ce-order") }];
        save(&store, entries.clone()).await.unwrap();
        assert_eq!(load(&store).await.unwrap(), entries);
    }

    #[test]
    fn groups_that_make_no_sense_are_not_taken() {
        let of = |entry| serde_json::to_vec(&Config { version: "2".into(), entries: vec![entry] });
        let mut batch = entry("order-1");
        batch.settings.read_batch_size = 0;
        let mut regex = entry("$all");
        regex.filter.as_mut().unwrap().regex = "(".into();
        for wrong in [batch, regex, entry("")] {
            let refused = decode(&of(wrong).unwrap()).unwrap_err();
            assert_eq!(refused.code(), Code::DataLoss);
        }
        assert_eq!(decode(&of(entry("order-1")).unwrap()).unwrap(), [entry("order-1")]);
    }

    #[test]
    fn places_are_told_as_texts() {
        let all = Source::All;
        let stream = Source::named("order-1").unwrap();
        assert_eq!((all.text(6), stream.text(6)), ("C:7/P:7".into(), "6".into()));
        assert_eq!((all.place("C:7/P:7"), stream.place("6")), (Some(6), Some(6)));
        assert_eq!((all.place("C:0/P:0"), all.place("6"), stream.place("-1")), (None, None, None));
        assert_eq!(start_text(&all, From::End), "C:-1/P:-1");
        assert_eq!(start_text(&stream, From::Start), "0");
    }

    proptest! {
        #[test]
        fn whatever_is_kept_is_refused_or_taken(
            cut in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            noise in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let config = Config { version: VERSION.into(), entries: vec![entry("$all")] };
            let mut data = serde_json::to_vec(&config).unwrap();
            let at = cut.index(data.len());
            data[at] = byte;
            for data in [&data[..], &data[..at], &noise] {
                match decode(data) {
                    Ok(entries) => prop_assert!(entries.iter().all(|entry| entry.check().is_ok())),
                    Err(refused) => prop_assert_eq!(refused.code(), Code::DataLoss),
                }
            }
        }
    }
}
