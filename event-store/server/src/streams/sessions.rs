//! Appends to several streams at once: the second version of the protocol's appends.

use std::collections::HashSet;

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Expected, NewEvent, Revision, Store, StreamId, StreamWrite,
};
use prost::{Message, Name};
use prost_types::value::Kind;
use tonic::{Code, Request, Response, Status, Streaming};
use uuid::Uuid;

use super::append::{EVENT_BYTES, MOST_EVENTS, last};
use super::{MOST_MESSAGE, batch};
use crate::access::Caller;
use crate::budget::{Held, Share};
use crate::errors;
use crate::protocol::sessions::streams_service_server::{StreamsService, StreamsServiceServer};
use crate::protocol::sessions::{
    AppendRecord, AppendRequest, AppendResponse, AppendSessionResponse, SchemaFormat, errors as why,
};
use crate::protocol::wire_position;

/// The service over a store.
#[derive(Clone, Debug)]
pub(crate) struct SessionService {
    store: Store,
    /// The most bytes of one append.
    append_bytes: usize,
}

impl SessionService {
    pub(crate) fn server(store: Store, append_bytes: usize) -> StreamsServiceServer<Self> {
        let service = Self { store, append_bytes };
        StreamsServiceServer::new(service).max_decoding_message_size(MOST_MESSAGE)
    }

    /// Why nothing was appended. Ids of which some are known are a wrong expectation.
    async fn refused(&self, writes: &[StreamWrite], error: AppendError) -> Status {
        match error {
            AppendError::Conflict { stream, expected, actual } => {
                conflict(&stream, expected, actual)
            }
            AppendError::IdReused { id } => {
                let uses = |write: &&StreamWrite| write.events.iter().any(|event| event.id == id);
                let Some(write) = writes.iter().find(uses) else {
                    return errors::refused("Append", &error);
                };
                match last(&self.store, &write.stream).await {
                    Ok(last) => {
                        conflict(&write.stream, write.expected, last.map(|last| last.revision))
                    }
                    Err(error) => errors::refused("Append", &error),
                }
            }
            AppendError::Deleted { stream } => tombstoned(&stream),
            error => errors::refused("Append", &error),
        }
    }
}

#[tonic::async_trait]
impl StreamsService for SessionService {
    async fn append_session(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<AppendSessionResponse>, Status> {
        let caller = Caller::of(request.extensions());
        let share = Share::of(request.extensions());
        let mut messages = request.into_inner();
        let mut session = Session::new(self.append_bytes, &share);
        while let Some(message) = messages.message().await? {
            caller.stream(&message.stream)?;
            session.take(message)?;
        }
        let Session { writes, held: _held, .. } = session;
        if writes.is_empty() {
            return Err(errors::required("append request"));
        }
        match self.store.append_all(writes.clone()).await {
            Ok(appended) => Ok(Response::new(answer(&writes, &appended))),
            Err(error) => Err(self.refused(&writes, error).await),
        }
    }
}

/// An append to several streams, as far as it has come.
#[derive(Debug)]
struct Session {
    writes: Vec<StreamWrite>,
    streams: HashSet<StreamId>,
    most: usize,
    bytes: usize,
    events: usize,
    held: Held,
}

impl Session {
    fn new(most: usize, share: &Share) -> Self {
        let (writes, streams, held) = (Vec::new(), HashSet::new(), share.nothing());
        Self { writes, streams, most, bytes: 0, events: 0, held }
    }

    /// Takes what is to be appended to one stream.
    fn take(&mut self, request: AppendRequest) -> Result<(), Status> {
        let stream: StreamId =
            request.stream.parse().map_err(|error| Status::invalid_argument(format!("{error}")))?;
        if !self.streams.insert(stream.clone()) {
            return Err(named_twice(&stream));
        }
        if request.records.is_empty() {
            return Err(errors::required("record of an append request"));
        }
        self.held.grow(EVENT_BYTES)?;
        let expected = expected(request.expected_revision)?;
        let events = request.records.into_iter().map(|record| self.event(&stream, record));
        let events = events.collect::<Result<_, _>>()?;
        self.writes.push(StreamWrite { stream, expected, events });
        Ok(())
    }

    /// A record as an event. Its payload is copied, so that it does not keep the whole message.
    fn event(&mut self, stream: &StreamId, record: AppendRecord) -> Result<NewEvent, Status> {
        let id = match &record.record_id {
            Some(text) => {
                text.parse().map_err(|_| Status::invalid_argument("an id must be a UUID"))?
            }
            None => Uuid::now_v7(),
        };
        let schema = record.schema.ok_or_else(|| errors::required("schema of a record"))?;
        let metadata = metadata(record.properties);
        let size = schema.name.len() + metadata.len() + record.data.len();
        if size > self.most {
            return Err(record_too_large(stream, id, size, self.most));
        }
        (self.bytes, self.events) = (self.bytes + size, self.events + 1);
        if self.bytes > self.most {
            return Err(append_too_large(self.bytes, self.most));
        }
        if self.events > MOST_EVENTS {
            let most = format!("an append has at most {MOST_EVENTS} events");
            return Err(Status::invalid_argument(most));
        }
        // Once in the session, once more for what is said where it is refused.
        self.held.grow(2 * (size + EVENT_BYTES))?;
        let is_json = schema.format() == SchemaFormat::Json;
        let data = record.data.to_vec().into();
        Ok(NewEvent { id, kind: schema.name.into(), data, metadata: metadata.into(), is_json })
    }
}

fn expected(revision: Option<i64>) -> Result<Expected, Status> {
    match revision {
        None | Some(-2) => Ok(Expected::Any),
        Some(-1) => Ok(Expected::NoStream),
        Some(-4) => Ok(Expected::StreamExists),
        Some(revision) => u64::try_from(revision)
            .map(|revision| Expected::At(Revision(revision)))
            .map_err(|_| Status::invalid_argument(format!("{revision} is no revision"))),
    }
}

/// Properties as the JSON object that the first version's clients have for metadata.
fn metadata(properties: impl IntoIterator<Item = (String, prost_types::Value)>) -> Vec<u8> {
    let object = object(properties);
    if object.is_empty() {
        Vec::new()
    } else {
        serde_json::Value::Object(object).to_string().into()
    }
}

fn object(
    fields: impl IntoIterator<Item = (String, prost_types::Value)>,
) -> serde_json::Map<String, serde_json::Value> {
    fields.into_iter().map(|(key, value)| (key, json(value))).collect()
}

fn json(value: prost_types::Value) -> serde_json::Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(truth)) => truth.into(),
        Some(Kind::StructValue(fields)) => object(fields.fields).into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
    }
}

fn answer(writes: &[StreamWrite], appended: &[Appended]) -> AppendSessionResponse {
    let output = writes.iter().zip(appended).map(|(write, appended)| AppendResponse {
        stream: write.stream.to_string(),
        stream_revision: appended.revision.0.cast_signed(),
        position: Some(wire_position(appended.position).cast_signed()),
    });
    let last = appended.iter().map(|appended| wire_position(appended.position)).max();
    AppendSessionResponse {
        output: output.collect(),
        position: last.unwrap_or_default().cast_signed(),
    }
}

/// A status with the details that clients look for.
fn detailed<M: Message + Name>(code: Code, message: &str, details: &M) -> Status {
    let status = batch::detailed(code, message, details);
    Status::with_details(code, message, status.encode_to_vec().into())
}

fn conflict(stream: &StreamId, expected: Expected, actual: Option<Revision>) -> Status {
    let expected_revision = match expected {
        Expected::NoStream => -1,
        Expected::Any => -2,
        Expected::StreamExists => -4,
        Expected::At(revision) => revision.0.cast_signed(),
    };
    let actual_revision = actual.map_or(-1, |revision| revision.0.cast_signed());
    let message = format!(
        "Append failed due to a revision conflict on stream '{stream}'. \
         Expected revision: {expected_revision}. Actual revision: {actual_revision}."
    );
    let stream = stream.to_string();
    let details =
        why::StreamRevisionConflictErrorDetails { stream, expected_revision, actual_revision };
    detailed(Code::FailedPrecondition, &message, &details)
}

fn tombstoned(stream: &StreamId) -> Status {
    let message = format!("Stream '{stream}' has been tombstoned.");
    let details = why::StreamTombstonedErrorDetails { stream: stream.to_string() };
    detailed(Code::FailedPrecondition, &message, &details)
}

fn named_twice(stream: &StreamId) -> Status {
    let message = format!("Stream '{stream}' is already part of this append session.");
    let details = why::StreamAlreadyInAppendSessionErrorDetails { stream: stream.to_string() };
    detailed(Code::Aborted, &message, &details)
}

fn record_too_large(stream: &StreamId, id: Uuid, size: usize, most: usize) -> Status {
    let message = format!("Record of {size} bytes exceeds the maximum of {most} bytes.");
    let details = why::AppendRecordSizeExceededErrorDetails {
        stream: stream.to_string(),
        record_id: id.to_string(),
        size: bytes(size),
        max_size: bytes(most),
    };
    detailed(Code::InvalidArgument, &message, &details)
}

fn append_too_large(size: usize, most: usize) -> Status {
    let message = format!("Append of at least {size} bytes exceeds the maximum of {most} bytes.");
    let (size, max_size) = (bytes(size), bytes(most));
    let details = why::AppendTransactionSizeExceededErrorDetails { size, max_size };
    detailed(Code::Aborted, &message, &details)
}

fn bytes(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Budget;
    use crate::protocol::sessions::SchemaInfo;

    fn record() -> impl Strategy<Value = AppendRecord> {
        let id = prop::option::of(prop_oneof![
            any::<u128>().prop_map(|id| Uuid::from_u128(id).to_string()),
            any::<String>(),
        ]);
        let schema = prop::option::weighted(
            0.9,
            (any::<i32>(), any::<String>()).prop_map(|(format, name)| SchemaInfo { format, name }),
        );
        let data = prop::collection::vec(any::<u8>(), 0..200);
        (id, schema, data).prop_map(|(record_id, schema, data)| AppendRecord {
            record_id,
            properties: HashMap::new(),
            schema,
            data: Bytes::from(data),
        })
    }

    proptest! {
        #[test]
        fn any_request_is_refused_or_taken(
            stream in prop_oneof!["[ab]-1", any::<String>()],
            records in prop::collection::vec(record(), 0..4),
            expected_revision in prop::option::of(prop_oneof![-5..5_i64, any::<i64>()]),
        ) {
            let mut session = Session::new(256, &Budget::new(0).share());
            let request = AppendRequest { stream, records, expected_revision };
            match session.take(request.clone()) {
                Ok(()) => {
                    prop_assert_eq!(session.writes[0].events.len(), request.records.len());
                    prop_assert_eq!(session.take(request).unwrap_err().code(), Code::Aborted);
                }
                Err(status) => prop_assert!(
                    matches!(status.code(), Code::InvalidArgument | Code::Aborted)
                ),
            }
            prop_assert!(session.writes.len() <= 1);
        }
    }

    #[test]
    fn properties_are_told_as_json() {
        let value = |kind| prost_types::Value { kind: Some(kind) };
        let list = prost_types::ListValue { values: vec![value(Kind::BoolValue(true))] };
        assert_eq!(metadata([]), b"");
        assert_eq!(metadata([("a".into(), value(Kind::ListValue(list)))]), br#"{"a":[true]}"#);
    }
}
