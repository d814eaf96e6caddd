//! Appends to several streams at once: the second version of the protocol's appends.

mod records;
mod refusals;
mod tally;

use std::collections::HashSet;

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Expected, Store, StreamId, StreamWrite,
};
use tonic::{Request, Response, Status, Streaming};

use self::refusals::{conflict, expected, named_twice, tombstoned};
use self::tally::Tally;
use super::MOST_MESSAGE;
use super::append::{EVENT_BYTES, last};
use crate::access::Caller;
use crate::budget::Share;
use crate::errors;
use crate::protocol::sessions::streams_service_server::{StreamsService, StreamsServiceServer};
use crate::protocol::sessions::{
    AppendRecordsRequest, AppendRecordsResponse, AppendRequest, AppendResponse,
    AppendSessionResponse,
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

    /// Why nothing of a session was appended. Ids of which some are known are a wrong expectation.
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
        let Session { writes, tally: _tally, .. } = session;
        if writes.is_empty() {
            return Err(errors::required("append request"));
        }
        match self.store.append_all(writes.clone()).await {
            Ok(appended) => Ok(Response::new(answer(&writes, &appended))),
            Err(error) => Err(self.refused(&writes, error).await),
        }
    }

    async fn append_records(
        &self,
        request: Request<AppendRecordsRequest>,
    ) -> Result<Response<AppendRecordsResponse>, Status> {
        let caller = Caller::of(request.extensions());
        let tally = Tally::new(self.append_bytes, &Share::of(request.extensions()));
        records::append(&self.store, &caller, tally, request.into_inner()).await.map(Response::new)
    }
}

/// An append to several streams, as far as it has come.
#[derive(Debug)]
struct Session {
    writes: Vec<StreamWrite>,
    streams: HashSet<StreamId>,
    tally: Tally,
}

impl Session {
    fn new(most: usize, share: &Share) -> Self {
        let (writes, streams) = (Vec::new(), HashSet::new());
        Self { writes, streams, tally: Tally::new(most, share) }
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
        self.tally.hold(EVENT_BYTES)?;
        let expected = request.expected_revision.map_or(Ok(Expected::Any), expected)?;
        let events = request.records.into_iter().map(|record| self.tally.event(&stream, record));
        let events = events.collect::<Result<_, _>>()?;
        self.writes.push(StreamWrite { stream, expected, events });
        Ok(())
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

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;
    use tonic::Code;
    use uuid::Uuid;

    use super::*;
    use crate::budget::Budget;
    use crate::protocol::sessions::{AppendRecord, SchemaInfo};

    pub(super) fn record() -> impl Strategy<Value = AppendRecord> {
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
            properties: BTreeMap::new(),
            schema,
            data: Bytes::from(data),
            stream: String::new(),
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
}
