//! A consumer's call: options first, then what it says of the messages that it gets.

use std::net::SocketAddr;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request as Call, Status, Streaming};
use uuid::Uuid;

use super::consumer::{Identity, Responses};
use super::errors::GroupName;
use super::group::{Connect, Group, Request};
use super::groups::Groups;
use super::machine::{ConsumerId, Nack};
use super::request;
use crate::access::Caller;
use crate::errors;
use crate::protocol::persistent::ReadReq;
use crate::protocol::persistent::read_req::nack::Action;
use crate::protocol::persistent::read_req::options::uuid_option::Content as Ids;
use crate::protocol::persistent::read_req::{Content, Options};
use crate::protocol::{IdForm, WireUuid, decode_id};

/// The name that a client gives its connection.
const CONNECTION_NAME: &str = "connection-name";

/// Connects a consumer to its group.
pub(crate) async fn read(
    groups: &Groups,
    call: Call<Streaming<ReadReq>>,
) -> Result<Responses, Status> {
    let from = call.extensions().get::<SocketAddr>();
    let from = from.map(SocketAddr::to_string).unwrap_or_default();
    let caller = Caller::of(call.extensions());
    let identity = identity(call.metadata(), caller.name(), from);
    let mut messages = call.into_inner();
    let Some(Content::Options(options)) = messages.message().await?.and_then(|m| m.content) else {
        return Err(errors::required("options, which come first,"));
    };
    let (name, connect) = decode(options, identity)?;
    caller.stream(&name.stream)?;
    let group = groups.group(&name).await?;
    let (id, responses) = group.ask(|reply| Request::Connect(connect, reply)).await?;
    let gone = CancellationToken::new();
    let guard = gone.clone().drop_guard();
    tokio::spawn(listen(group, name, id, messages, gone));
    let responses = async_stream::stream! {
        // It goes with the responses, when the client does.
        let _guard = guard;
        for await response in responses {
            yield response;
        }
    };
    Ok(responses.boxed())
}

fn identity(metadata: &MetadataMap, user: &str, from: String) -> Identity {
    let connection = metadata.get(CONNECTION_NAME).and_then(|name| name.to_str().ok());
    Identity { from, user: user.into(), connection: connection.unwrap_or_default().into() }
}

fn decode(options: Options, identity: Identity) -> Result<(GroupName, Connect), Status> {
    let name = request::read(options.stream_option, options.group_name)?;
    let limit = usize::try_from(options.buffer_size).ok().filter(|limit| *limit > 0);
    let limit = limit.ok_or_else(|| {
        let size = options.buffer_size;
        Status::invalid_argument(format!("the buffer size must be 1 or more, not {size}"))
    })?;
    let ids = match options.uuid_option.and_then(|option| option.content) {
        Some(Ids::String(_)) => IdForm::Text,
        Some(Ids::Structured(_)) | None => IdForm::Structured,
    };
    Ok((name, Connect { identity, ids, limit }))
}

/// Tells the group what a consumer says, until that leaves.
async fn listen(
    group: Group,
    name: GroupName,
    id: ConsumerId,
    mut messages: Streaming<ReadReq>,
    gone: CancellationToken,
) {
    let why = loop {
        let message = tokio::select! {
            message = messages.message() => message,
            () = gone.cancelled() => break name.dropped(),
        };
        let said = match message {
            Ok(Some(message)) => said(id, message),
            Ok(None) => break name.dropped(),
            Err(status) => break status,
        };
        match said {
            Ok(request) => {
                if group.tell(request).await.is_err() {
                    return;
                }
            }
            Err(status) => break status,
        }
    };
    // A group that has ended has no consumers.
    let _ = group.tell(Request::Disconnect(id, why)).await;
}

fn said(id: ConsumerId, message: ReadReq) -> Result<Request, Status> {
    match message.content {
        Some(Content::Ack(ack)) => Ok(Request::Ack(decode_ids(&ack.ids)?)),
        Some(Content::Nack(nack)) => {
            let ids = decode_ids(&nack.ids)?;
            let action = match nack.action() {
                Action::Unknown | Action::Retry => Nack::Retry,
                Action::Park => Nack::Park,
                Action::Skip => Nack::Skip,
                Action::Stop => Nack::Stop,
            };
            Ok(Request::Nack(id, ids, action, nack.reason))
        }
        Some(Content::Options(_)) => Err(Status::invalid_argument("options come once, and first")),
        None => Err(errors::required("ack or nack")),
    }
}

fn decode_ids(ids: &[WireUuid]) -> Result<Vec<Uuid>, Status> {
    ids.iter().map(|id| decode_id(Some(id))).collect()
}
