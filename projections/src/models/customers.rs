use std::sync::Arc;

use daybook_domain::customer::CustomerEvent;
use daybook_event_schemas::Envelope;
use uuid::Uuid;

use super::{KEEP, id, revision};
use crate::projection::{ApplyError, Projection};
use crate::row::{row, words};
use crate::rows::{Buffer, Rows};

row! {
    /// A customer's account as it stands.
    CustomerRow in "customers" {
        key { id: Uuid }
        status: AccountStatus,
        name: Arc<str>,
        email: Option<Arc<str>>,
        country: Option<Arc<str>>,
        registered_at: i64,
        updated_at: i64,
        revision: i64,
    }
}

words! {
    /// Where an account stands.
    AccountStatus { Open = "open", Closed = "closed" }
}

/// Every customer's account as it stands.
pub(crate) struct Customers {
    customers: Rows<CustomerRow>,
}

impl Projection for Customers {
    const NAME: &'static str = "customers";
    const VERSION: u32 = 1;
    const SCHEMA: &'static str = include_str!("../../migrations/models/customers.sql");
    const TABLES: &'static [&'static str] = &["customers"];
    type Event = CustomerEvent;

    fn new(generation: u32) -> Self {
        Self { customers: Rows::new(generation, KEEP) }
    }

    fn prepare(&mut self, event: &Envelope<CustomerEvent>) {
        if let Ok(id) = id(event) {
            self.customers.want_at(event.revision, (id,));
        }
    }

    fn apply(&mut self, event: &Envelope<CustomerEvent>) -> Result<(), ApplyError> {
        let id = id(event)?;
        if let CustomerEvent::Registered { name, email, country, at, .. } = &event.event {
            self.customers.put(CustomerRow {
                id,
                status: AccountStatus::Open,
                name: name.as_str().into(),
                email: email.as_ref().map(|email| email.as_str().into()),
                country: country.as_ref().map(|country| country.as_str().into()),
                registered_at: at.as_micros(),
                updated_at: event.recorded_at,
                revision: revision(event),
            });
            return Ok(());
        }
        let row = self.customers.change(&(id,))?;
        row.updated_at = event.recorded_at;
        row.revision = revision(event);
        match &event.event {
            CustomerEvent::Registered { .. } => {}
            CustomerEvent::Changed { name, email, country, .. } => {
                row.name = name.as_str().into();
                row.email = email.as_ref().map(|email| email.as_str().into());
                row.country = country.as_ref().map(|country| country.as_str().into());
            }
            CustomerEvent::Closed { .. } => row.status = AccountStatus::Closed,
        }
        Ok(())
    }

    fn buffers(&mut self) -> Vec<&mut dyn Buffer> {
        vec![&mut self.customers]
    }
}
