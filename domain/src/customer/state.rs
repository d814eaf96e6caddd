use crate::values::{Country, CustomerId, Email, Label, Timestamp};

/// What happened to a customer's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerEvent {
    /// It was opened.
    Registered {
        /// The customer's id.
        customer: CustomerId,
        /// What to call them.
        name: Label,
        /// Where to write to.
        email: Option<Email>,
        /// Where they are.
        country: Option<Country>,
        /// When.
        at: Timestamp,
    },
    /// Its details were replaced.
    Changed {
        /// What to call them.
        name: Label,
        /// Where to write to.
        email: Option<Email>,
        /// Where they are.
        country: Option<Country>,
        /// When.
        at: Timestamp,
    },
    /// It was closed.
    Closed {
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// Where a customer's account stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CustomerState {
    /// Never opened.
    #[default]
    Unknown,
    /// Open.
    Open {
        /// What to call them.
        name: Label,
        /// Where to write to.
        email: Option<Email>,
        /// Where they are.
        country: Option<Country>,
    },
    /// Closed.
    Closed,
}

impl CustomerState {
    /// Every event says all there is to know.
    pub(super) fn after(event: &CustomerEvent) -> Self {
        match event {
            CustomerEvent::Registered { name, email, country, .. }
            | CustomerEvent::Changed { name, email, country, .. } => {
                Self::Open { name: name.clone(), email: email.clone(), country: country.clone() }
            }
            CustomerEvent::Closed { .. } => Self::Closed,
        }
    }
}
