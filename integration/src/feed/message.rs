use bytes::Bytes;
use daybook_event_schemas::integration::{
    Header, ReceiveError, Topic, publish, publish_unread, receive,
};
use daybook_event_schemas::{DecodeError, DomainEvent, Envelope};
use daybook_event_store::Recorded;

/// An event on its way, as headers and payload that may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// On which topic.
    pub topic: Topic,
    /// The aggregate's id; empty where there is none.
    pub key: String,
    /// Attributes of `CloudEvents`, and whatever else was said.
    pub headers: Vec<Header>,
    /// The event as JSON.
    pub payload: Bytes,
    /// Where it was found, for messages that do not say what they are.
    pub place: String,
}

impl Message {
    /// The message that a recorded event makes. `None`: its type is retired, or of no topic.
    ///
    /// # Errors
    /// The event is not what it should be.
    pub fn of(recorded: &Recorded) -> Result<Option<Self>, DecodeError> {
        let Some(topic) = Topic::of(&recorded.stream) else { return Ok(None) };
        let message = |(headers, payload): (_, Vec<u8>)| Self {
            headers,
            payload: payload.into(),
            ..Self::unread(recorded, topic)
        };
        Ok(publish(recorded)?.map(message))
    }

    /// The message that a recorded event makes if nobody reads it.
    pub(crate) fn unread(recorded: &Recorded, topic: Topic) -> Self {
        Self {
            topic,
            key: recorded.stream.id().to_owned(),
            headers: publish_unread(recorded),
            payload: recorded.data.clone(),
            place: recorded.position.to_string(),
        }
    }

    /// Reads the event. `None`: its type is retired.
    ///
    /// # Errors
    /// A header or the payload is malformed.
    pub fn open(&self) -> Result<Option<Envelope<DomainEvent>>, ReceiveError> {
        receive(self.topic, &self.headers, &self.payload)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// What another copy of the message has in common with this one.
    pub(crate) fn origin(&self) -> String {
        match (self.header("ce_subject"), self.header("ce_id")) {
            (Some(subject), Some(id)) => format!("{}-{subject}/{id}", self.topic.category()),
            _ => self.place.clone(),
        }
    }

    /// Bytes that it takes on the wire, about.
    pub(crate) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
        self.payload.len() + self.key.len() + headers.sum::<usize>() + 64
    }
}
