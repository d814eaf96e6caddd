//! Why commands are not carried out, as problems.

use std::fmt::{Debug, Display};

use daybook_command_side::CommandError;
use daybook_command_side::idempotency::IdempotencyError;
use daybook_command_side::orders::PlaceOrderError;
use daybook_command_side::refunds::RefundError;

use crate::error::Error;

/// A rule by the name of the variant that stands for it.
fn rejected(rejection: &(impl Debug + Display)) -> Error {
    let debug = format!("{rejection:?}");
    let variant = debug.chars().take_while(char::is_ascii_alphanumeric);
    let rule = variant.enumerate().fold(String::new(), |mut rule, (at, letter)| {
        if letter.is_ascii_uppercase() && at > 0 {
            rule.push('-');
        }
        rule.push(letter.to_ascii_lowercase());
        rule
    });
    Error::Rejected { rule, detail: rejection.to_string() }
}

impl<R: std::error::Error + 'static> From<CommandError<R>> for Error {
    fn from(error: CommandError<R>) -> Self {
        match error {
            CommandError::Rejected(rejection) => rejected(&rejection),
            CommandError::Stale { expected, actual } => {
                Self::Stale { expected: expected.0, actual: actual.map(|revision| revision.0) }
            }
            CommandError::Conflict { attempts } => Self::Conflict { attempts },
            CommandError::TooLarge(error) => {
                Self::Rejected { rule: "too-large".into(), detail: error.to_string() }
            }
            CommandError::Unavailable(error) => Self::unavailable("the event store", &error),
            CommandError::Damaged(error) => Self::internal(&error),
            CommandError::InvalidId(error) => Self::InvalidParameter { detail: error.to_string() },
        }
    }
}

impl From<PlaceOrderError> for Error {
    fn from(error: PlaceOrderError) -> Self {
        match error {
            PlaceOrderError::Command(error) => error.into(),
            refused => rejected(&refused),
        }
    }
}

impl From<RefundError> for Error {
    fn from(error: RefundError) -> Self {
        match error {
            RefundError::Command(error) => error.into(),
            RefundError::Declined { .. } => {
                Self::Rejected { rule: "provider-declined".into(), detail: error.to_string() }
            }
            RefundError::Unavailable(_) => Self::unavailable("the payment provider", &error),
        }
    }
}

impl From<IdempotencyError> for Error {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::DifferentPayload => Self::KeyReused,
            IdempotencyError::InProgress => Self::InProgress,
            IdempotencyError::Unavailable(_) => Self::unavailable("the event store", &error),
            IdempotencyError::Damaged(_) => Self::internal(&error),
        }
    }
}
