//! What clients ask of groups, as messages have it.

use tonic::Status;

use super::config::{Filter, Source};
use super::errors::GroupName;
use super::groups::Wanted;
use super::settings::{Given, NamedStrategy, Settings, Time};
use crate::errors;
use crate::protocol::persistent::create_req::all_options::filter_options::{Filter as Of, Window};
use crate::protocol::persistent::create_req::all_options::{
    AllOption as CreateAll, FilterOption, FilterOptions,
};
use crate::protocol::persistent::create_req::options::StreamOption as CreateOf;
use crate::protocol::persistent::create_req::settings::{
    CheckpointAfter as CreateAfter, MessageTimeout as CreateTimeout,
};
use crate::protocol::persistent::create_req::stream_options::RevisionOption as CreateFrom;
use crate::protocol::persistent::delete_req::options::StreamOption as DeleteOf;
use crate::protocol::persistent::get_info_req::options::StreamOption as InfoOf;
use crate::protocol::persistent::list_req::options::ListOption;
use crate::protocol::persistent::list_req::stream_option::StreamOption as ListOf;
use crate::protocol::persistent::read_req::options::StreamOption as ReadOf;
use crate::protocol::persistent::replay_parked_req::options::{
    StopAtOption, StreamOption as ReplayOf,
};
use crate::protocol::persistent::update_req::all_options::AllOption as UpdateAll;
use crate::protocol::persistent::update_req::options::StreamOption as UpdateOf;
use crate::protocol::persistent::update_req::settings::{
    CheckpointAfter as UpdateAfter, MessageTimeout as UpdateTimeout,
};
use crate::protocol::persistent::update_req::stream_options::RevisionOption as UpdateFrom;
use crate::protocol::persistent::{
    CreateReq, DeleteReq, GetInfoReq, ListReq, ReplayParkedReq, UpdateReq, create_req, update_req,
};
use crate::protocol::{self, StreamIdentifier};
use crate::streams::From;

/// The group to be created.
#[expect(deprecated, reason = "some clients name streams in no other way")]
pub(crate) fn create(request: CreateReq) -> Result<Wanted, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let settings = options.settings.ok_or_else(|| errors::required("settings"))?;
    let (stream, from, filter) = match options.stream_option {
        Some(CreateOf::Stream(stream)) => {
            let from = match stream.revision_option {
                Some(CreateFrom::Revision(revision)) => Some(From::At(revision)),
                Some(CreateFrom::Start(_)) => Some(From::Start),
                Some(CreateFrom::End(_)) => Some(From::End),
                None => None,
            };
            (stream.stream_identifier, from, None)
        }
        Some(CreateOf::All(all)) => {
            let from = match all.all_option {
                Some(CreateAll::Position(at)) => Some(From::At(at.commit_position)),
                Some(CreateAll::Start(_)) => Some(From::Start),
                Some(CreateAll::End(_)) => Some(From::End),
                None => None,
            };
            let filter = match all.filter_option {
                Some(FilterOption::Filter(filter)) => Some(decode_filter(filter)?),
                Some(FilterOption::NoFilter(_)) | None => None,
            };
            (Some(all_events()), from, filter)
        }
        None => (options.stream_identifier, Some(old_from(settings.revision)), None),
    };
    let name = group_name(stream.as_ref(), options.group_name)?;
    wanted(name, from, create_settings(&settings), filter)
}

/// The group to be changed, as it is to be then.
#[expect(deprecated, reason = "some clients name streams in no other way")]
pub(crate) fn update(request: UpdateReq) -> Result<Wanted, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let settings = options.settings.ok_or_else(|| errors::required("settings"))?;
    let (stream, from) = match options.stream_option {
        Some(UpdateOf::Stream(stream)) => {
            let from = match stream.revision_option {
                Some(UpdateFrom::Revision(revision)) => Some(From::At(revision)),
                Some(UpdateFrom::Start(_)) => Some(From::Start),
                Some(UpdateFrom::End(_)) => Some(From::End),
                None => None,
            };
            (stream.stream_identifier, from)
        }
        Some(UpdateOf::All(all)) => {
            let from = match all.all_option {
                Some(UpdateAll::Position(at)) => Some(From::At(at.commit_position)),
                Some(UpdateAll::Start(_)) => Some(From::Start),
                Some(UpdateAll::End(_)) => Some(From::End),
                None => None,
            };
            (Some(all_events()), from)
        }
        None => (options.stream_identifier, Some(old_from(settings.revision))),
    };
    let name = group_name(stream.as_ref(), options.group_name)?;
    wanted(name, from, update_settings(&settings), None)
}

/// Where a group begins, in one number.
fn old_from(revision: u64) -> From<u64> {
    match revision {
        0 => From::Start,
        u64::MAX => From::End,
        revision => From::At(revision),
    }
}

fn wanted(
    name: GroupName,
    from: Option<From<u64>>,
    given: Result<Given, String>,
    filter: Option<Filter>,
) -> Result<Wanted, Status> {
    let from = from.ok_or_else(|| errors::required("revision or position, start or end"))?;
    let settings = given.and_then(|given| Settings::decode(&given));
    let settings = settings.map_err(|reason| name.failed(&reason))?;
    let source = Source::named(&name.stream)?;
    Ok(Wanted { name, source, from, settings, filter })
}

fn create_settings(settings: &create_req::Settings) -> Result<Given, String> {
    #[expect(deprecated, reason = "old clients send nothing else")]
    let numbered = named_strategy(settings.named_consumer_strategy);
    let strategy = match settings.consumer_strategy.as_str() {
        "" => numbered?,
        name => NamedStrategy::named(name)?,
    };
    Ok(Given {
        resolve_links: settings.resolve_links,
        extra_statistics: settings.extra_statistics,
        message_timeout: match settings.message_timeout {
            Some(CreateTimeout::MessageTimeoutTicks(ticks)) => Time::Ticks(ticks),
            Some(CreateTimeout::MessageTimeoutMs(millis)) => Time::Millis(millis),
            None => Time::Millis(0),
        },
        max_retry_count: settings.max_retry_count,
        live_buffer_size: settings.live_buffer_size,
        history_buffer_size: settings.history_buffer_size,
        read_batch_size: settings.read_batch_size,
        checkpoint_after: match settings.checkpoint_after {
            Some(CreateAfter::CheckpointAfterTicks(ticks)) => Time::Ticks(ticks),
            Some(CreateAfter::CheckpointAfterMs(millis)) => Time::Millis(millis),
            None => Time::Millis(0),
        },
        min_checkpoint_count: settings.min_checkpoint_count,
        max_checkpoint_count: settings.max_checkpoint_count,
        max_subscriber_count: settings.max_subscriber_count,
        strategy,
    })
}

fn update_settings(settings: &update_req::Settings) -> Result<Given, String> {
    Ok(Given {
        resolve_links: settings.resolve_links,
        extra_statistics: settings.extra_statistics,
        message_timeout: match settings.message_timeout {
            Some(UpdateTimeout::MessageTimeoutTicks(ticks)) => Time::Ticks(ticks),
            Some(UpdateTimeout::MessageTimeoutMs(millis)) => Time::Millis(millis),
            None => Time::Millis(0),
        },
        max_retry_count: settings.max_retry_count,
        live_buffer_size: settings.live_buffer_size,
        history_buffer_size: settings.history_buffer_size,
        read_batch_size: settings.read_batch_size,
        checkpoint_after: match settings.checkpoint_after {
            Some(UpdateAfter::CheckpointAfterTicks(ticks)) => Time::Ticks(ticks),
            Some(UpdateAfter::CheckpointAfterMs(millis)) => Time::Millis(millis),
            None => Time::Millis(0),
        },
        min_checkpoint_count: settings.min_checkpoint_count,
        max_checkpoint_count: settings.max_checkpoint_count,
        max_subscriber_count: settings.max_subscriber_count,
        strategy: named_strategy(settings.named_consumer_strategy)?,
    })
}

/// The protocol's numbers for strategies, the same in all messages.
fn named_strategy(number: i32) -> Result<NamedStrategy, String> {
    match number {
        0 => Ok(NamedStrategy::DispatchToSingle),
        1 => Ok(NamedStrategy::RoundRobin),
        2 => Ok(NamedStrategy::Pinned),
        _ => Err(format!("there is no consumer strategy {number}")),
    }
}

fn decode_filter(options: FilterOptions) -> Result<Filter, Status> {
    let (is_for_streams, expression) = match options.filter {
        Some(Of::StreamIdentifier(expression)) => (true, expression),
        Some(Of::EventType(expression)) => (false, expression),
        None => return Err(errors::required("filter")),
    };
    let window = match options.window {
        Some(Window::Max(window)) => Some(window),
        Some(Window::Count(_)) | None => None,
    };
    let (regex, prefixes) = (expression.regex, expression.prefix);
    let multiplier = options.checkpoint_interval_multiplier;
    Ok(Filter { is_for_streams, regex, prefixes, window, multiplier })
}

/// The group to be deleted.
pub(crate) fn delete(request: DeleteReq) -> Result<GroupName, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let stream = options.stream_option.map(|of| match of {
        DeleteOf::StreamIdentifier(stream) => stream,
        DeleteOf::All(_) => all_events(),
    });
    group_name(stream.as_ref(), options.group_name)
}

/// The group to be told of.
pub(crate) fn info(request: GetInfoReq) -> Result<GroupName, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let stream = options.stream_option.map(|of| match of {
        InfoOf::StreamIdentifier(stream) => stream,
        InfoOf::All(_) => all_events(),
    });
    group_name(stream.as_ref(), options.group_name)
}

/// The group that a consumer is of.
pub(crate) fn read(of: Option<ReadOf>, group: String) -> Result<GroupName, Status> {
    let stream = of.map(|of| match of {
        ReadOf::StreamIdentifier(stream) => stream,
        ReadOf::All(_) => all_events(),
    });
    group_name(stream.as_ref(), group)
}

/// The group whose parked messages are to be replayed, and the revision to stop at.
pub(crate) fn replay(request: ReplayParkedReq) -> Result<(GroupName, Option<u64>), Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let stream = options.stream_option.map(|of| match of {
        ReplayOf::StreamIdentifier(stream) => stream,
        ReplayOf::All(_) => all_events(),
    });
    let stop_at = match options.stop_at_option {
        Some(StopAtOption::StopAt(at)) => {
            let negative = |_| Status::invalid_argument("where to stop must not be negative");
            Some(u64::try_from(at).map_err(negative)?)
        }
        Some(StopAtOption::NoLimit(_)) | None => None,
    };
    Ok((group_name(stream.as_ref(), options.group_name)?, stop_at))
}

/// The stream whose groups are to be listed; `None` for all groups.
pub(crate) fn list(request: ListReq) -> Result<Option<String>, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    match options.list_option {
        Some(ListOption::ListAllSubscriptions(_)) => Ok(None),
        Some(ListOption::ListForStream(of)) => {
            let stream = of.stream_option.map(|of| match of {
                ListOf::Stream(stream) => stream,
                ListOf::All(_) => all_events(),
            });
            protocol::name(stream.as_ref()).map(|name| Some(name.to_owned()))
        }
        None => Err(errors::required("list option")),
    }
}

/// All events, named as if they were a stream: so do some clients.
fn all_events() -> StreamIdentifier {
    protocol::identifier(Source::ALL)
}

fn group_name(stream: Option<&StreamIdentifier>, group: String) -> Result<GroupName, Status> {
    if group.is_empty() {
        return Err(errors::required("group name"));
    }
    let stream = protocol::name(stream)?.to_owned();
    Ok(GroupName { stream, group })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use tonic::Code;

    use super::*;

    fn old(stream: Option<StreamIdentifier>, revision: u64) -> CreateReq {
        let settings = create_req::Settings {
            live_buffer_size: 1,
            read_batch_size: 1,
            history_buffer_size: 1,
            ..Default::default()
        };
        #[expect(deprecated, reason = "some clients name streams in no other way")]
        let options = create_req::Options {
            stream_identifier: stream,
            group_name: "group".into(),
            settings: Some(create_req::Settings { revision, ..settings }),
            ..Default::default()
        };
        CreateReq { options: Some(options) }
    }

    #[test]
    fn old_clients_name_streams_in_their_way() {
        let stream = || Some(protocol::identifier("order-1"));
        for (revision, from) in [(0, From::Start), (7, From::At(7)), (u64::MAX, From::End)] {
            let wanted = create(old(stream(), revision)).unwrap();
            assert_eq!((wanted.name.stream.as_str(), wanted.from), ("order-1", from));
        }
        assert_eq!(create(old(None, 0)).unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn what_is_missing_is_told() {
        let refused = [
            create(CreateReq { options: None }).map(drop),
            update(UpdateReq { options: None }).map(drop),
            delete(DeleteReq { options: None }).map(drop),
            info(GetInfoReq { options: None }).map(drop),
            list(ListReq { options: None }).map(drop),
            replay(ReplayParkedReq { options: None }).map(drop),
            read(None, "group".into()).map(drop),
            read(Some(ReadOf::StreamIdentifier(protocol::identifier("order-1"))), String::new())
                .map(drop),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
        }
    }

    /// Bytes as a client could send them: those of a request, with some of them changed.
    fn requests() -> impl Strategy<Value = Vec<u8>> {
        let request = old(Some(protocol::identifier("order-1")), 7).encode_to_vec();
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        changes.prop_map(move |changes| {
            let mut request = request.clone();
            for (at, byte) in changes {
                let at = at.index(request.len());
                request[at] = byte;
            }
            request
        })
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_refused_or_makes_sense(bytes in requests()) {
            if let Ok(request) = CreateReq::decode(&*bytes) {
                match create(request) {
                    Ok(wanted) => prop_assert_eq!(wanted.settings.check(), Ok(())),
                    Err(refused) => prop_assert_eq!(refused.code(), Code::InvalidArgument),
                }
            }
            if let Ok(request) = UpdateReq::decode(&*bytes)
                && let Err(refused) = update(request)
            {
                prop_assert_eq!(refused.code(), Code::InvalidArgument);
            }
        }
    }
}
