use crate::values::{Country, CustomerId, Email, Label, Timestamp};

/// What may be asked of a customer's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerCommand {
    /// Open the account.
    Register {
        /// The customer's id.
        customer: CustomerId,
        /// What to call them.
        name: Label,
        /// Where to write to, where that is known.
        email: Option<Email>,
        /// Where they are, where that is known.
        country: Option<Country>,
        /// When.
        at: Timestamp,
    },
    /// Replace the account's details.
    Change {
        /// What to call them.
        name: Label,
        /// Where to write to, where that is known.
        email: Option<Email>,
        /// Where they are, where that is known.
        country: Option<Country>,
        /// When.
        at: Timestamp,
    },
    /// Close the account; orders placed before go on.
    Close {
        /// Why, for people; may be empty.
        reason: String,
        /// When.
        at: Timestamp,
    },
}
