use std::collections::BTreeMap;

use daybook_domain::Decider;
use daybook_domain::customer::CustomerEvent;
use daybook_domain::product::{Product, ProductEvent, ProductState};
use daybook_domain::values::{Country, CustomerId, Email, Label, Timestamp};
use daybook_event_schemas::Envelope;
use daybook_event_store::StreamId;

/// Every product and every customer.
#[derive(Debug, Default)]
pub(super) struct PartyBook {
    pub(super) products: BTreeMap<StreamId, ProductEntry>,
    pub(super) customers: BTreeMap<CustomerId, CustomerEntry>,
}

#[derive(Debug, Default)]
pub(super) struct ProductEntry {
    pub(super) state: ProductState,
    pub(super) listed_at: Option<Timestamp>,
    pub(super) updated_at: i64,
    pub(super) revision: u64,
}

/// A customer, with what is known of them even after the account was closed.
#[derive(Debug)]
pub(super) struct CustomerEntry {
    pub(super) is_open: bool,
    pub(super) name: Label,
    pub(super) email: Option<Email>,
    pub(super) country: Option<Country>,
    pub(super) registered_at: Timestamp,
    pub(super) updated_at: i64,
    pub(super) revision: u64,
}

impl PartyBook {
    pub(super) fn apply_product(&mut self, event: &Envelope<ProductEvent>) {
        let entry = self.products.entry(event.stream.clone()).or_default();
        entry.updated_at = event.recorded_at;
        entry.revision = event.revision.0;
        if let ProductEvent::Listed { at, .. } = &event.event {
            entry.listed_at = Some(*at);
        }
        entry.state = Product::evolve(std::mem::take(&mut entry.state), &event.event);
    }

    pub(super) fn apply_customer(&mut self, id: CustomerId, event: &Envelope<CustomerEvent>) {
        let (updated_at, revision) = (event.recorded_at, event.revision.0);
        if let CustomerEvent::Registered { name, email, country, at, .. } = &event.event {
            let (name, email, country) = (name.clone(), email.clone(), country.clone());
            let registered_at = *at;
            let entry = CustomerEntry {
                is_open: true,
                name,
                email,
                country,
                registered_at,
                updated_at,
                revision,
            };
            self.customers.insert(id, entry);
        }
        let Some(entry) = self.customers.get_mut(&id) else { return };
        (entry.updated_at, entry.revision) = (updated_at, revision);
        match &event.event {
            CustomerEvent::Registered { .. } => {}
            CustomerEvent::Changed { name, email, country, .. } => {
                entry.name = name.clone();
                entry.email.clone_from(email);
                entry.country.clone_from(country);
            }
            CustomerEvent::Closed { .. } => entry.is_open = false,
        }
    }
}
