use daybook_domain::customer::CustomerEvent;
use daybook_domain::values::{Country, CustomerId, Email, Label, Timestamp};

use crate::shape::contract;

contract! {
    CustomerEvent, upcasts: &[], retired: [];

    /// An account was opened.
    CustomerRegistered 1 = Registered {
        /// The customer's id.
        customer: CustomerId,
        /// What to call them.
        name: Label,
        /// Where to write to.
        email: Option<Email>,
        /// Where they are.
        country: Option<Country>,
        /// Business time.
        at: Timestamp,
    }

    /// An account's details were replaced.
    CustomerChanged 1 = Changed {
        /// What to call them.
        name: Label,
        /// Where to write to.
        email: Option<Email>,
        /// Where they are.
        country: Option<Country>,
        /// Business time.
        at: Timestamp,
    }

    /// An account was closed.
    CustomerClosed 1 = Closed {
        /// Why, for people.
        reason: String,
        /// Business time.
        at: Timestamp,
    }
}
