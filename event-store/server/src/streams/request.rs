use std::fmt;

use daybook_event_store::{Direction, Filter, IndexStream, Position, Recorded, Revision, StreamId};
use tonic::Status;

use super::filter::EventFilter;
use crate::errors;
use crate::protocol::streams::ReadReq;
use crate::protocol::streams::read_req::Options;
use crate::protocol::streams::read_req::options::all_options::AllOption;
use crate::protocol::streams::read_req::options::stream_options::RevisionOption;
use crate::protocol::streams::read_req::options::uuid_option::Content;
use crate::protocol::streams::read_req::options::{
    CountOption, FilterOption, ReadDirection, StreamOption,
};
use crate::protocol::{IdForm, name, store_position};

/// What a client wants to read or to follow.
#[derive(Debug)]
pub(crate) struct ReadRequest {
    pub(crate) of: Source,
    pub(crate) direction: Direction,
    /// Whether links are followed to the events that they name.
    pub(crate) resolve: bool,
    /// Whether the client wants what comes later, too.
    pub(crate) follow: bool,
    /// The most events.
    pub(crate) count: u64,
    pub(crate) filter: Option<EventFilter>,
    pub(crate) ids: IdForm,
    /// Whether the client understands the stream's first and last position.
    pub(crate) tells_bounds: bool,
}

/// What is read, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    All(From<Position>),
    Stream(Streamed, From<Revision>),
}

/// A stream by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Streamed {
    /// One that events are appended to.
    Ordinary(StreamId),
    /// One that the store keeps, of links to events.
    Index(IndexStream),
}

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From<P> {
    Start,
    At(P),
    End,
}

impl ReadRequest {
    /// What a message asks for.
    ///
    /// # Errors
    /// Something is missing or makes no sense.
    pub(crate) fn decode(request: ReadReq) -> Result<Self, Status> {
        let options = request.options.ok_or_else(|| errors::required("options"))?;
        let direction = match options.read_direction() {
            ReadDirection::Forwards => Direction::Forward,
            ReadDirection::Backwards => Direction::Backward,
        };
        let (follow, count) = match options.count_option {
            Some(CountOption::Count(count)) => (false, count),
            Some(CountOption::Subscription(_)) => (true, u64::MAX),
            None => return Err(errors::required("count or subscription")),
        };
        if follow && direction == Direction::Backward {
            return Err(Status::invalid_argument("a subscription goes forward"));
        }
        let of = Source::decode(&options)?;
        let ids = match options.uuid_option.and_then(|option| option.content) {
            Some(Content::String(_)) => IdForm::Text,
            Some(Content::Structured(_)) | None => IdForm::Structured,
        };
        let tells_bounds = options.control_option.is_some_and(|control| control.compatibility > 0);
        let filter = match options.filter_option {
            Some(FilterOption::Filter(_)) if matches!(of, Source::Stream(..)) => {
                return Err(Status::invalid_argument("only $all can be filtered"));
            }
            Some(FilterOption::Filter(filter)) => Some(EventFilter::decode(filter)?),
            Some(FilterOption::NoFilter(_)) | None => None,
        };
        let resolve = options.resolve_links;
        Ok(Self { of, direction, resolve, follow, count, filter, ids, tells_bounds })
    }
}

impl Source {
    /// What it is called, by those who are asked whether they may read it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::All(_) => "$all".into(),
            Self::Stream(stream, _) => stream.to_string(),
        }
    }

    fn decode(options: &Options) -> Result<Self, Status> {
        match options.stream_option.as_ref() {
            Some(StreamOption::Stream(stream)) => {
                let from = match stream.revision_option {
                    Some(RevisionOption::Revision(revision)) => From::At(Revision(revision)),
                    Some(RevisionOption::Start(_)) => From::Start,
                    Some(RevisionOption::End(_)) => From::End,
                    None => return Err(errors::required("revision, start or end")),
                };
                Ok(Self::Stream(Streamed::named(name(stream.stream_identifier.as_ref())?)?, from))
            }
            Some(StreamOption::All(all)) => Ok(Self::All(match all.all_option {
                Some(AllOption::Position(at)) => match store_position(at.commit_position) {
                    Some(position) => From::At(position),
                    None => From::Start,
                },
                Some(AllOption::Start(_)) => From::Start,
                Some(AllOption::End(_)) => From::End,
                None => return Err(errors::required("position, start or end")),
            })),
            None => Err(errors::required("stream or $all")),
        }
    }
}

impl Streamed {
    /// Lets its events through, and few others.
    pub(crate) fn filter(&self) -> Filter {
        match self {
            Self::Ordinary(stream) => Filter::categories(&[stream.category()]),
            Self::Index(IndexStream::Category(category)) => Filter::categories(&[category]),
            Self::Index(IndexStream::EventType(kind)) => Filter::kinds(&[kind]),
        }
    }

    /// Whether an event is one of its events.
    pub(crate) fn has(&self, event: &Recorded) -> bool {
        match self {
            Self::Ordinary(stream) => event.stream == *stream,
            Self::Index(index) => index.lists(&event.stream, &event.kind),
        }
    }

    /// The stream of a name.
    pub(crate) fn named(name: &str) -> Result<Self, Status> {
        match name.parse() {
            Ok(index) => Ok(Self::Index(index)),
            Err(_) => name
                .parse()
                .map(Self::Ordinary)
                .map_err(|error| Status::invalid_argument(format!("{error}"))),
        }
    }
}

impl fmt::Display for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordinary(stream) => stream.fmt(f),
            Self::Index(index) => index.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use prost::Message;
    use tonic::Code;

    use super::*;
    use crate::protocol::streams::read_req::options::{
        AllOptions, ControlOption, FilterOptions, Position as WirePosition, StreamOptions,
        SubscriptionOptions, filter_options,
    };
    use crate::protocol::{Empty, StreamIdentifier};

    fn stream_option() -> impl Strategy<Value = StreamOption> {
        let name = prop_oneof![
            Just(b"order-1".to_vec()),
            Just(b"$ce-order".to_vec()),
            Just(b"$et-".to_vec()),
            prop::collection::vec(any::<u8>(), 0..300),
        ];
        let identifier = prop::option::of(
            name.prop_map(|name| StreamIdentifier { stream_name: Bytes::from(name) }),
        );
        let revision = prop::option::of(prop_oneof![
            any::<u64>().prop_map(RevisionOption::Revision),
            Just(RevisionOption::Start(Empty {})),
            Just(RevisionOption::End(Empty {})),
        ]);
        let position = prop::option::of(prop_oneof![
            any::<(u64, u64)>().prop_map(|(commit_position, prepare_position)| {
                AllOption::Position(WirePosition { commit_position, prepare_position })
            }),
            Just(AllOption::Start(Empty {})),
            Just(AllOption::End(Empty {})),
        ]);
        prop_oneof![
            (identifier, revision).prop_map(|(stream_identifier, revision_option)| {
                StreamOption::Stream(StreamOptions { stream_identifier, revision_option })
            }),
            position.prop_map(|all_option| StreamOption::All(AllOptions { all_option })),
        ]
    }

    fn filter_option() -> impl Strategy<Value = FilterOption> {
        let expression = (any::<String>(), prop::collection::vec(any::<String>(), 0..4))
            .prop_map(|(regex, prefix)| filter_options::Expression { regex, prefix });
        let filter =
            prop::option::of((any::<bool>(), expression).prop_map(|(types, expression)| {
                if types {
                    filter_options::Filter::EventType(expression)
                } else {
                    filter_options::Filter::StreamIdentifier(expression)
                }
            }));
        let window = prop::option::of(any::<u32>().prop_map(filter_options::Window::Max));
        (filter, window, any::<u32>()).prop_map(|(filter, window, times)| {
            FilterOption::Filter(FilterOptions {
                filter,
                window,
                checkpoint_interval_multiplier: times,
            })
        })
    }

    prop_compose! {
        fn options()(
            stream_option in prop::option::of(stream_option()),
            filter_option in prop::option::of(filter_option()),
            count_option in prop::option::of(prop_oneof![
                any::<u64>().prop_map(CountOption::Count),
                Just(CountOption::Subscription(SubscriptionOptions {})),
            ]),
            read_direction in any::<i32>(),
            resolve_links in any::<bool>(),
            compatibility in prop::option::of(any::<u32>()),
        ) -> Options {
            Options {
                stream_option,
                filter_option,
                count_option,
                read_direction,
                resolve_links,
                uuid_option: None,
                control_option: compatibility.map(|compatibility| ControlOption { compatibility }),
            }
        }
    }

    proptest! {
        #[test]
        fn any_request_is_refused_or_understood(options in options()) {
            match ReadRequest::decode(ReadReq { options: Some(options) }) {
                Ok(request) => {
                    prop_assert!(!request.follow || request.direction == Direction::Forward);
                    if let Some(filter) = request.filter {
                        prop_assert!(matches!(request.of, Source::All(_)));
                        prop_assert!(filter.interval > 0);
                    }
                }
                Err(status) => prop_assert_eq!(status.code(), Code::InvalidArgument),
            }
        }

        #[test]
        fn any_bytes_are_refused_or_understood(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(Err(status)) = ReadReq::decode(&*bytes).ok().map(ReadRequest::decode) {
                prop_assert_eq!(status.code(), Code::InvalidArgument);
            }
        }
    }
}
