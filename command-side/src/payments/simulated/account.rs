use std::str::FromStr;

use daybook_domain::values::{Currency, Money, PaymentMethod};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::payments::port::{Operation, ProviderError, Receipt, RequestKey};
use crate::payments::wire;

/// The largest amount of one request, in minor units: sums of many still fit an `i64`.
const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// What a test token makes the provider do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Approve,
    Decline,
    InsufficientFunds,
    Timeout,
    LostAnswer,
}

impl FromStr for Token {
    type Err = Refusal;

    fn from_str(token: &str) -> Result<Self, Refusal> {
        Ok(match token {
            "tok_approve" => Self::Approve,
            "tok_decline" => Self::Decline,
            "tok_insufficient_funds" => Self::InsufficientFunds,
            "tok_timeout" => Self::Timeout,
            "tok_lost_answer" => Self::LostAnswer,
            _ => return Err(invalid("unknown payment method; use one of the test tokens")),
        })
    }
}

impl Token {
    /// The token of a recorded authorization, of which only known ones are recorded.
    fn of(method: &PaymentMethod) -> Option<Self> {
        method.as_str().parse().ok()
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum Refusal {
    Declined { reason: String },
    Invalid { reason: String },
}

impl From<Refusal> for ProviderError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Declined { reason } => Self::Declined { reason },
            Refusal::Invalid { reason } => Self::Invalid { reason },
        }
    }
}

pub(super) fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::Invalid { reason: reason.into() }
}

fn declined(reason: &str) -> Refusal {
    Refusal::Declined { reason: reason.into() }
}

/// A request with its answer, as it stands in the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(with = "wire::text")]
    pub(super) key: RequestKey,
    /// Tells the request that wrote the entry from its repetitions.
    #[serde(with = "wire::text")]
    pub(super) attempt: Uuid,
    pub(super) operation: Operation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refusal>,
}

impl Entry {
    /// The entry's event type.
    pub(super) fn kind(&self) -> &'static str {
        match (&self.refusal, &self.operation) {
            (Some(_), _) => "Refused",
            (None, Operation::Authorize { .. }) => "Authorized",
            (None, Operation::Capture { .. }) => "Captured",
            (None, Operation::Void { .. }) => "Voided",
            (None, Operation::Refund { .. }) => "Refunded",
        }
    }

    /// What the caller is told, for ever.
    pub(super) fn answer(&self) -> Result<Receipt, ProviderError> {
        match &self.refusal {
            None => Ok(Receipt { reference: reference(&self.operation, &self.key) }),
            Some(refusal) => Err(refusal.clone().into()),
        }
    }
}

const AUTHORIZATION: &str = "auth_";

/// The id of what is done under a key.
pub(super) fn id_of(key: &RequestKey) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_str().as_bytes())
}

fn reference(operation: &Operation, key: &RequestKey) -> String {
    let prefix = match operation {
        Operation::Authorize { .. } => AUTHORIZATION,
        Operation::Capture { .. } => "cap_",
        Operation::Void { .. } => "void_",
        Operation::Refund { .. } => "ref_",
    };
    format!("{prefix}{}", id_of(key).simple())
}

/// The authorization that a request opens or refers to.
pub(super) fn authorization_of(key: &RequestKey, operation: &Operation) -> Result<Uuid, Refusal> {
    match operation {
        Operation::Authorize { .. } => Ok(id_of(key)),
        Operation::Capture { reference, .. }
        | Operation::Void { reference }
        | Operation::Refund { reference, .. } => reference
            .strip_prefix(AUTHORIZATION)
            .and_then(|id| Uuid::try_parse(id).ok())
            .ok_or_else(unknown_authorization),
    }
}

fn unknown_authorization() -> Refusal {
    invalid("there is no such authorization")
}

/// What is wrong with a request whatever happened before; such a request uses no key up.
pub(super) fn check(operation: &Operation) -> Result<(), Refusal> {
    let amount = match operation {
        Operation::Authorize { amount, method, .. } => {
            method.as_str().parse::<Token>()?;
            amount
        }
        Operation::Capture { amount, .. } | Operation::Refund { amount, .. } => amount,
        Operation::Void { .. } => return Ok(()),
    };
    if (1..=MAX_AMOUNT).contains(&amount.minor) {
        return Ok(());
    }
    Err(invalid(format!("the amount must be 1 to {MAX_AMOUNT} minor units, not {}", amount.minor)))
}

/// Where the money of an approved authorization is.
#[derive(Debug, Clone, Copy)]
struct Balance {
    currency: Currency,
    held: i64,
    taken: i64,
}

/// One authorization with all that was asked of it.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) entries: Vec<Entry>,
    balance: Option<Balance>,
}

impl Account {
    /// What was answered under a key.
    pub(super) fn entry(&self, key: &RequestKey) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == *key)
    }

    /// The token by which the account was opened.
    pub(super) fn token(&self) -> Option<Token> {
        match &self.entries.first()?.operation {
            Operation::Authorize { method, .. } => Token::of(method),
            _ => None,
        }
    }

    /// Why the request is refused, if it is.
    ///
    /// # Errors
    /// There is no approved authorization, so no place to record an answer in.
    pub(super) fn decide(&self, operation: &Operation) -> Result<Option<Refusal>, Refusal> {
        if let Operation::Authorize { method, .. } = operation {
            return Ok(match Token::of(method) {
                Some(Token::Decline) => Some(declined("the card was declined")),
                Some(Token::InsufficientFunds) => Some(declined("insufficient funds")),
                _ => None,
            });
        }
        let balance = self.balance.ok_or_else(unknown_authorization)?;
        Ok(balance.check(operation).err())
    }

    /// The account after one more entry.
    pub(super) fn push(&mut self, entry: Entry) {
        if entry.refusal.is_none() {
            self.apply(&entry.operation);
        }
        self.entries.push(entry);
    }

    fn apply(&mut self, operation: &Operation) {
        if let Operation::Authorize { amount, .. } = operation {
            let Money { minor: held, currency } = *amount;
            self.balance = Some(Balance { currency, held, taken: 0 });
        }
        let Some(balance) = &mut self.balance else { return };
        match operation {
            Operation::Authorize { .. } => {}
            Operation::Capture { amount, .. } => {
                balance.held -= amount.minor;
                balance.taken += amount.minor;
            }
            Operation::Void { .. } => balance.held = 0,
            Operation::Refund { amount, .. } => balance.taken -= amount.minor,
        }
    }
}

impl Balance {
    fn check(self, operation: &Operation) -> Result<(), Refusal> {
        match operation {
            Operation::Capture { amount, .. } => self.covers(*amount, self.held, "held"),
            Operation::Refund { amount, .. } => self.covers(*amount, self.taken, "captured"),
            Operation::Void { .. } if self.held == 0 => Err(invalid("nothing is held any more")),
            Operation::Void { .. } | Operation::Authorize { .. } => Ok(()),
        }
    }

    fn covers(self, amount: Money, available: i64, what: &str) -> Result<(), Refusal> {
        let available = Money::new(available, self.currency);
        if amount.currency == self.currency && amount.minor <= available.minor {
            return Ok(());
        }
        Err(invalid(format!("{amount} was asked for, but {available} is {what}")))
    }
}
