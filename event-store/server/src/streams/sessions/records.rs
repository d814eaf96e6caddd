//! `AppendRecords`: records of several streams in one order, if all that is checked is so.

use std::collections::HashSet;

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Expected, Store, StreamCheck, StreamId, StreamState,
    Transaction,
};
use prost::Message;
use tonic::Status;

use super::refusals::{expected, violated, violation};
use super::tally::Tally;
use crate::access::Caller;
use crate::errors;
use crate::protocol::sessions::consistency_check::Type;
use crate::protocol::sessions::{
    AppendRecordsRequest, AppendRecordsResponse, ConsistencyCheck, StreamRevision,
};
use crate::protocol::wire_position;
use crate::streams::append::{EVENT_BYTES, last};

/// Appends records, all or none, in their order.
pub(super) async fn append(
    store: &Store,
    caller: &Caller,
    mut tally: Tally,
    request: AppendRecordsRequest,
) -> Result<AppendRecordsResponse, Status> {
    // What a call holds of a message is given back once the message is whole.
    tally.hold(request.encoded_len())?;
    let transaction = decode(request, &mut tally)?;
    let (checked, written) = (transaction.checks().iter(), transaction.writes().iter());
    for stream in checked.map(|of| &of.stream).chain(written.map(|of| &of.stream)) {
        caller.stream(stream.as_str())?;
    }
    match store.commit(transaction.clone()).await {
        Ok(appended) => Ok(answer(&transaction, &appended)),
        Err(error) => Err(refused(store, &transaction, error).await),
    }
}

fn decode(request: AppendRecordsRequest, tally: &mut Tally) -> Result<Transaction, Status> {
    let AppendRecordsRequest { records, checks } = request;
    if records.is_empty() {
        return Err(errors::required("record of an append"));
    }
    let checks = decode_checks(checks, tally)?;
    let events = records.into_iter().map(|mut record| {
        let stream = stream(&std::mem::take(&mut record.stream))?;
        let event = tally.event(&stream, record)?;
        Ok((stream, event))
    });
    let events = events.collect::<Result<Vec<_>, Status>>()?;
    Ok(Transaction::of_events(events).checked(checks))
}

fn decode_checks(
    checks: Vec<ConsistencyCheck>,
    tally: &mut Tally,
) -> Result<Vec<StreamCheck>, Status> {
    tally.hold(2 * checks.len() * EVENT_BYTES)?;
    let mut named = HashSet::new();
    let check = |check: ConsistencyCheck| {
        let Some(Type::StreamState(check)) = check.r#type else {
            return Err(Status::invalid_argument("a check must be of a stream's state"));
        };
        let (stream, expected) = (stream(&check.stream)?, expected(check.expected_state)?);
        if !named.insert(stream.clone()) {
            return Err(Status::invalid_argument(format!("stream {stream} is checked twice")));
        }
        Ok(StreamCheck { stream, expected })
    };
    checks.into_iter().map(check).collect()
}

fn stream(name: &str) -> Result<StreamId, Status> {
    name.parse().map_err(|error| Status::invalid_argument(format!("{error}")))
}

fn answer(transaction: &Transaction, appended: &[Appended]) -> AppendRecordsResponse {
    let revisions = transaction.writes().iter().zip(appended).map(|(write, end)| StreamRevision {
        stream: write.stream.to_string(),
        revision: end.revision.0.cast_signed(),
    });
    let last = appended.iter().map(|end| wire_position(end.position)).max();
    AppendRecordsResponse {
        revisions: revisions.collect(),
        position: last.unwrap_or_default().cast_signed(),
    }
}

/// Why nothing was appended. Ids of which some are known are a wrong expectation, and a stream that
/// was tombstoned is never as expected.
async fn refused(store: &Store, transaction: &Transaction, error: AppendError) -> Status {
    let checks = transaction.checks();
    match error {
        AppendError::Violated { violations } => {
            let violations = violations.into_iter().map(|of| {
                let StreamCheck { stream, expected } = &checks[of.check];
                violation(Some(of.check), stream, *expected, of.actual)
            });
            violated(violations.collect())
        }
        AppendError::Deleted { stream } => {
            violated(vec![violation(None, &stream, Expected::Any, StreamState::Tombstoned)])
        }
        AppendError::IdReused { id } => {
            let mut writes = transaction.writes().iter();
            let write = writes.find(|write| write.events.iter().any(|event| event.id == id));
            let Some(write) = write else { return errors::refused("Append", &error) };
            let last = match last(store, &write.stream).await {
                Ok(last) => last.map_or(StreamState::NoStream, |end| StreamState::At(end.revision)),
                Err(error) => return errors::refused("Append", &error),
            };
            let check = checks.iter().position(|check| check.stream == write.stream);
            let expected = check.map_or(Expected::Any, |check| checks[check].expected);
            violated(vec![violation(check, &write.stream, expected, last)])
        }
        error => errors::refused("Append", &error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use tonic::Code;

    use super::*;
    use crate::budget::Budget;
    use crate::protocol::rpc;
    use crate::protocol::sessions::AppendRecord;
    use crate::protocol::sessions::consistency_check::StreamStateCheck;
    use crate::protocol::sessions::errors::AppendConsistencyViolationErrorDetails;
    use crate::streams::sessions::tests::record;

    fn check() -> impl Strategy<Value = ConsistencyCheck> {
        let name = prop_oneof!["[ab]-1", any::<String>()];
        let state = prop_oneof![-7..5_i64, any::<i64>()];
        let check = (name, state)
            .prop_map(|(stream, expected_state)| StreamStateCheck { stream, expected_state });
        prop::option::weighted(0.9, check)
            .prop_map(|check| ConsistencyCheck { r#type: check.map(Type::StreamState) })
    }

    proptest! {
        #[test]
        fn any_request_is_refused_or_understood(
            records in prop::collection::vec((record(), prop_oneof!["[ab]-1", any::<String>()]), 0..4),
            checks in prop::collection::vec(check(), 0..3),
        ) {
            let named = |(record, stream)| AppendRecord { stream, ..record };
            let records: Vec<_> = records.into_iter().map(named).collect();
            let request = AppendRecordsRequest { records, checks };
            let mut tally = Tally::new(256, &Budget::new(0).share());
            match decode(request.clone(), &mut tally) {
                Ok(transaction) => {
                    let order = transaction.order();
                    let names: Vec<_> = order.iter().map(|stream| stream.as_str()).collect();
                    let given: Vec<_> = request.records.iter().map(|of| &*of.stream).collect();
                    prop_assert_eq!(names, given);
                    prop_assert_eq!(transaction.checks().len(), request.checks.len());
                }
                Err(status) => prop_assert!(
                    matches!(status.code(), Code::InvalidArgument | Code::Aborted)
                ),
            }
        }
    }

    #[test]
    fn no_more_violations_are_told_than_fit_a_head() {
        let stream = |n: usize| format!("{n:x>250}").parse::<StreamId>().unwrap();
        let of = |n| violation(Some(n), &stream(n), Expected::NoStream, StreamState::Deleted);

        for (failed, told) in [(1, 1), (3, 3), (1_000, 15)] {
            let status = violated((0..failed).map(of).collect());
            assert!(status.message().contains(&format!(" {failed} ")), "{status}");
            let status = rpc::Status::decode(status.details()).unwrap();
            let details = status.details.unwrap();
            assert!(details.value.len() <= 4 << 10);
            let details: AppendConsistencyViolationErrorDetails = details.to_msg().unwrap();
            let indexes = details.violations.iter().map(|of| of.check_index);
            assert!(indexes.eq(0..told), "{} of {failed}", details.violations.len());
        }
    }
}
