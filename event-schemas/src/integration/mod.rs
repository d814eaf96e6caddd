//! Events as other systems read them: `CloudEvents` 1.0 in binary mode, on one topic for each kind
//! of aggregate. Attributes are headers, the payload is the event in its newest version.

mod asyncapi;

use std::borrow::Cow;

use daybook_domain::Decider;
use daybook_domain::customer::{Customer, CustomerEvent};
use daybook_domain::order::{Order, OrderEvent};
use daybook_domain::payment::{Payment, PaymentEvent};
use daybook_domain::product::{Product, ProductEvent};
use daybook_domain::stock::{Stock, StockEvent};
use daybook_domain::values::Timestamp;
use daybook_event_store::{Position, Recorded, Revision, StreamId};
use thiserror::Error;
use uuid::Uuid;

use crate::catalogue::Catalogued;
use crate::{
    Actor, Contract, DecodeError, DomainEvent, Envelope, EventForm, Metadata, format_timestamp,
    parse_timestamp,
};

pub use asyncapi::asyncapi;

/// What stands before every event's name and after it its version: `daybook.OrderPlaced.v1`.
const TYPE: &str = "daybook";

/// A header: an attribute of `CloudEvents`, or the type of the content.
pub type Header = (Cow<'static, str>, String);

/// A message's headers and payload.
pub type Content = (Vec<Header>, Vec<u8>);

/// The topics, one for each kind of aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Orders.
    Orders,
    /// Stock.
    Inventory,
    /// Payments.
    Payments,
    /// Products.
    Catalog,
    /// Customers.
    Customers,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Orders, Self::Inventory, Self::Payments, Self::Catalog, Self::Customers];

    /// Its name, without what an installation puts before it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Inventory => "inventory",
            Self::Payments => "payments",
            Self::Catalog => "catalog",
            Self::Customers => "customers",
        }
    }

    /// The category of the streams whose events are on it.
    pub fn category(self) -> &'static str {
        match self {
            Self::Orders => Order::CATEGORY,
            Self::Inventory => Stock::CATEGORY,
            Self::Payments => Payment::CATEGORY,
            Self::Catalog => Product::CATEGORY,
            Self::Customers => Customer::CATEGORY,
        }
    }

    /// The topic of a stream's events, if they are on any.
    pub fn of(stream: &StreamId) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.category() == stream.category())
    }

    /// The types of the events on it.
    pub fn forms(self) -> &'static [EventForm] {
        match self {
            Self::Orders => OrderEvent::FORMS,
            Self::Inventory => StockEvent::FORMS,
            Self::Payments => PaymentEvent::FORMS,
            Self::Catalog => ProductEvent::FORMS,
            Self::Customers => CustomerEvent::FORMS,
        }
    }
}

/// Why a message is not an event.
#[derive(Debug, Error)]
pub enum ReceiveError {
    /// An attribute is missing, or not what it should be.
    #[error("the header {name} is missing or malformed")]
    Header {
        /// The header.
        name: &'static str,
    },
    /// The payload is not what its type promises.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// A recorded event's headers, and its payload in its newest version. `None`: its type is retired.
///
/// # Errors
/// It is not what it should be.
pub fn publish(recorded: &Recorded) -> Result<Option<Content>, DecodeError> {
    let Some(envelope) = crate::open::<DomainEvent>(recorded)? else { return Ok(None) };
    let wire = envelope.event.encode();
    let metadata = Metadata { schema_version: wire.version, ..envelope.metadata };
    let mut headers = identity(recorded, wire.version);
    headers.extend(context(&metadata));
    Ok(Some((headers, wire.data)))
}

/// The headers of an event whose payload cannot be read: as far as it can be told what it is.
pub fn publish_unread(recorded: &Recorded) -> Vec<Header> {
    let metadata: Option<Metadata> = serde_json::from_slice(&recorded.metadata).ok();
    let version = metadata.as_ref().map_or(1, |metadata| metadata.schema_version);
    let mut headers = identity(recorded, version);
    headers.extend(metadata.iter().flat_map(context));
    headers
}

/// A message's headers and payload in the newest version of its event. `None`: its type is retired.
///
/// # Errors
/// Those of [`receive`].
pub fn renew(
    topic: Topic,
    headers: &[Header],
    payload: &[u8],
) -> Result<Option<Content>, ReceiveError> {
    let Some(envelope) = receive(topic, headers, payload)? else { return Ok(None) };
    let wire = envelope.event.encode();
    let mut headers = headers.to_vec();
    for (name, value) in &mut headers {
        if name == "ce_type" {
            *value = type_name(wire.kind, wire.version);
        }
    }
    Ok(Some((headers, wire.data)))
}

/// Reads a message of a topic. `None`: its type is retired.
///
/// # Errors
/// A header or the payload is malformed, or the type is not known here.
pub fn receive(
    topic: Topic,
    headers: &[Header],
    payload: &[u8],
) -> Result<Option<Envelope<DomainEvent>>, ReceiveError> {
    let attributes = Attributes(headers);
    let (kind, schema_version) =
        parse_type(attributes.text("ce_type")?).ok_or(ReceiveError::Header { name: "ce_type" })?;
    let stream = StreamId::new(topic.category(), attributes.text("ce_subject")?);
    let metadata = Metadata {
        schema_version,
        correlation_id: attributes.parse("ce_correlationid", |id| Uuid::try_parse(id).ok())?,
        causation_id: attributes.parse("ce_causationid", |id| Uuid::try_parse(id).ok())?,
        actor: Actor(attributes.text("ce_actor")?.into()),
        traceparent: attributes.text("ce_traceparent").ok().map(Into::into),
    };
    let number = |name| attributes.parse(name, |number| number.parse().ok());
    let recorded_at = attributes.parse("ce_time", parse_timestamp)?;
    let event = DomainEvent::decode(kind, schema_version, payload)?;
    let envelope = |event| {
        Ok(Envelope {
            stream: stream.map_err(|_| ReceiveError::Header { name: "ce_subject" })?,
            revision: Revision(number("ce_revision")?),
            position: Position(number("ce_position")?),
            recorded_at: recorded_at.as_micros(),
            id: attributes.parse("ce_id", |id| Uuid::try_parse(id).ok())?,
            metadata,
            event,
        })
    };
    event.map(envelope).transpose()
}

/// The event's name in a type of `CloudEvents`, and its version.
pub fn parse_type(name: &str) -> Option<(&str, u16)> {
    let (kind, version) = name.strip_prefix(TYPE)?.strip_prefix('.')?.rsplit_once(".v")?;
    Some((kind, version.parse().ok()?))
}

fn type_name(kind: &str, version: u16) -> String {
    format!("{TYPE}.{kind}.v{version}")
}

/// What an event is, and where it stands.
fn identity(recorded: &Recorded, version: u16) -> Vec<Header> {
    let topic = Topic::of(&recorded.stream).map_or("", Topic::name);
    [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", recorded.id.to_string()),
        ("ce_source", format!("/{TYPE}/{topic}")),
        ("ce_type", type_name(&recorded.kind, version)),
        ("ce_subject", recorded.stream.id().to_owned()),
        ("ce_time", format_timestamp(Timestamp::from_micros(recorded.recorded_at))),
        ("content-type", "application/json".to_owned()),
        ("ce_revision", recorded.revision.to_string()),
        ("ce_position", recorded.position.to_string()),
    ]
    .map(|(name, value)| (name.into(), value))
    .into()
}

/// How an event came to be.
fn context(metadata: &Metadata) -> impl Iterator<Item = Header> + use<> {
    let always = [
        ("ce_correlationid", metadata.correlation_id.to_string()),
        ("ce_causationid", metadata.causation_id.to_string()),
        ("ce_actor", metadata.actor.0.to_string()),
    ];
    let traceparent = metadata.traceparent.as_ref();
    let traceparent = traceparent.map(|parent| ("ce_traceparent", parent.to_string()));
    always.into_iter().chain(traceparent).map(|(name, value)| (name.into(), value))
}

struct Attributes<'a>(&'a [Header]);

impl<'a> Attributes<'a> {
    fn text(&self, name: &'static str) -> Result<&'a str, ReceiveError> {
        let header = self.0.iter().find(|(header, _)| header == name);
        header.map(|(_, value)| value.as_str()).ok_or(ReceiveError::Header { name })
    }

    fn parse<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ReceiveError> {
        parse(self.text(name)?).ok_or(ReceiveError::Header { name })
    }
}
