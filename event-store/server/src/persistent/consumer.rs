//! A consumer's connection: what is sent to it, and what is known of it.

use std::sync::{Arc, OnceLock};

use futures::stream::{self, BoxStream};
use futures::{StreamExt, future};
use tokio::sync::mpsc;
use tonic::Status;

use super::stats::{Counter, Times};
use crate::errors;
use crate::protocol::IdForm;
use crate::protocol::persistent::ReadResp;
use crate::protocol::persistent::subscription_info::ConnectionInfo;

/// Who a consumer is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// The address that it comes from.
    pub(crate) from: String,
    pub(crate) user: String,
    pub(crate) connection: String,
}

/// The group's end of a connection.
#[derive(Debug)]
pub(crate) struct Consumer {
    sender: mpsc::Sender<ReadResp>,
    /// What the connection ends with.
    end: Arc<OnceLock<Status>>,
    identity: Identity,
    pub(crate) ids: IdForm,
    pub(crate) count: Counter,
    pub(crate) times: Times,
}

/// The messages of a connection. It always ends with an error.
pub(crate) type Responses = BoxStream<'static, Result<ReadResp, Status>>;

impl Consumer {
    /// A connection on which `first` is sent, and then at most so many messages that the consumer
    /// did not take.
    pub(crate) fn connect(
        first: ReadResp,
        limit: usize,
        ids: IdForm,
        identity: Identity,
    ) -> (Self, Responses) {
        let (sender, receiver) = mpsc::channel(limit);
        let end = Arc::new(OnceLock::new());
        let ended = Arc::clone(&end);
        let messages = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|message| (Ok(message), receiver))
        });
        let last = stream::once(future::lazy(move |_| {
            Err(ended.get().cloned().unwrap_or_else(errors::stopping))
        }));
        let responses = stream::iter([Ok(first)]).chain(messages).chain(last).boxed();
        let (count, times) = (Counter::new(), Times::default());
        (Self { sender, end, identity, ids, count, times }, responses)
    }

    /// Whether there was room for the message, and someone to take it.
    pub(crate) fn send(&mut self, message: ReadResp) -> bool {
        self.count.add(1);
        self.sender.try_send(message).is_ok()
    }

    /// Whether no one takes messages any more.
    pub(crate) fn has_gone(&self) -> bool {
        self.sender.is_closed()
    }

    /// Ends the connection.
    pub(crate) fn end(self, status: Status) {
        // What was said first stays.
        let _ = self.end.set(status);
    }

    pub(crate) fn info(
        &mut self,
        limit: usize,
        in_flight: usize,
        tells_times: bool,
    ) -> ConnectionInfo {
        let (total_items, count_since_last_measurement, average_items_per_second) =
            self.count.measure();
        let signed = |count| i32::try_from(count).unwrap_or(i32::MAX);
        ConnectionInfo {
            from: self.identity.from.clone(),
            username: self.identity.user.clone(),
            connection_name: self.identity.connection.clone(),
            average_items_per_second,
            total_items,
            count_since_last_measurement,
            observed_measurements: if tells_times { self.times.measurements() } else { vec![] },
            available_slots: signed(limit - in_flight),
            in_flight_messages: signed(in_flight),
        }
    }
}
