use daybook_domain::checkout::Checkout;
use daybook_domain::customer::CustomerEvent;
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::order::OrderEvent;
use daybook_domain::payment::PaymentEvent;
use daybook_domain::product::ProductEvent;
use daybook_domain::stock::StockEvent;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use crate::runtime::{CheckpointRecord, CommandRecord, ParkingRecord};
use crate::{Advanced, Contract, DecodeError, EventForm, Wire};

/// Contracts that can be listed.
pub(crate) trait Catalogued: Contract {
    /// Every event type that can still be written.
    const FORMS: &'static [EventForm];
}

/// Every event type that this release writes, over all contracts.
pub fn catalogue() -> impl Iterator<Item = &'static EventForm> {
    [
        ProductEvent::FORMS,
        StockEvent::FORMS,
        OrderEvent::FORMS,
        PaymentEvent::FORMS,
        CustomerEvent::FORMS,
        Advanced::<Checkout>::FORMS,
        Advanced::<Fulfilment>::FORMS,
        CommandRecord::FORMS,
        ParkingRecord::FORMS,
        CheckpointRecord::FORMS,
    ]
    .into_iter()
    .flatten()
}

pub(crate) fn schema<T: JsonSchema>(kind: &str) -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".into(), kind.into());
    schema
}

pub(crate) fn renew<E: Contract>(
    kind: &str,
    version: u16,
    data: &[u8],
) -> Result<Option<Wire>, DecodeError> {
    Ok(E::decode(kind, version, data)?.as_ref().map(E::encode))
}
