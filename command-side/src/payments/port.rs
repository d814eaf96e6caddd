use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use daybook_domain::values::{InvalidValue, Money, PaymentId, PaymentMethod};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::wire;

/// Names a request to a provider for all time: 1 to 255 printable ASCII characters. It is the same
/// for every repetition of the request, also after a crash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestKey(Arc<str>);

impl RequestKey {
    /// The longest key, in characters.
    pub const MAX_LEN: usize = 255;

    /// The key of one step of a payment: `<payment id>:<step>`.
    ///
    /// # Errors
    /// The step makes the key too long or is not printable ASCII without spaces.
    pub fn of_step(payment: PaymentId, step: impl fmt::Display) -> Result<Self, InvalidValue> {
        format!("{payment}:{step}").parse()
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestKey {
    type Err = InvalidValue;

    fn from_str(input: &str) -> Result<Self, InvalidValue> {
        let (what, actual) = ("an idempotency key", input.chars().count());
        if !(1..=Self::MAX_LEN).contains(&actual) {
            return Err(InvalidValue::Length { what, min: 1, max: Self::MAX_LEN, actual });
        }
        if !input.bytes().all(|b| b.is_ascii_graphic()) {
            let input = input.chars().take(64).collect();
            let rule = "must be printable ASCII without spaces";
            return Err(InvalidValue::Form { what, rule, input });
        }
        Ok(Self(input.into()))
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestKey({:?})", &*self.0)
    }
}

/// Asks a provider to hold an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizeRequest {
    /// Names the request.
    pub key: RequestKey,
    /// For which payment.
    pub payment: PaymentId,
    /// How much; above zero.
    pub amount: Money,
    /// From where.
    pub method: PaymentMethod,
}

/// Asks a provider to take some or all of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureRequest {
    /// Names the request.
    pub key: RequestKey,
    /// The authorization's reference.
    pub reference: String,
    /// How much; above zero, at most what is still held.
    pub amount: Money,
}

/// Asks a provider to let go what it still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoidRequest {
    /// Names the request.
    pub key: RequestKey,
    /// The authorization's reference.
    pub reference: String,
}

/// Asks a provider to give some or all of what it took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRequest {
    /// Names the request.
    pub key: RequestKey,
    /// The authorization's reference.
    pub reference: String,
    /// How much; above zero, at most what was taken and not given back.
    pub amount: Money,
}

/// What can be asked of a provider, apart from the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Operation {
    /// Hold an amount.
    Authorize {
        /// For which payment.
        #[serde(with = "wire::text")]
        payment: PaymentId,
        /// How much.
        #[serde(with = "wire::money")]
        amount: Money,
        /// From where.
        #[serde(with = "wire::text")]
        method: PaymentMethod,
    },
    /// Take some or all of what is held.
    Capture {
        /// The authorization's reference.
        reference: String,
        /// How much.
        #[serde(with = "wire::money")]
        amount: Money,
    },
    /// Let go what is still held.
    Void {
        /// The authorization's reference.
        reference: String,
    },
    /// Give some or all of what was taken back.
    Refund {
        /// The authorization's reference.
        reference: String,
        /// How much.
        #[serde(with = "wire::money")]
        amount: Money,
    },
}

impl Operation {
    /// What is asked, in one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Authorize { .. } => "authorize",
            Self::Capture { .. } => "capture",
            Self::Void { .. } => "void",
            Self::Refund { .. } => "refund",
        }
    }
}

/// The provider did what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The provider's name for what it did; for an authorization, what later requests refer to.
    pub reference: String,
}

/// Why a provider did not do what it was asked, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// A business no: asking again gets the same answer.
    #[error("the provider declined: {reason}")]
    Declined {
        /// What it said.
        reason: String,
    },
    /// The request is wrong: it must not be repeated as it is.
    #[error("the provider does not accept the request: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The outcome is not known, or nobody was there: ask again later with the same key.
    #[error("the provider gave no answer: {reason}")]
    Unavailable {
        /// What is known.
        reason: String,
    },
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
}

/// The port to a payment provider.
///
/// Adapters implement [`perform`](Self::perform); the four requests are forms of it.
/// Clones share one connection to one provider.
pub trait PaymentProvider: Clone + Send + Sync + 'static {
    /// Does what is asked once, however often it is asked under this key, and gives the same
    /// answer every time.
    fn perform(
        &self,
        key: RequestKey,
        operation: Operation,
    ) -> impl Future<Output = Result<Receipt, ProviderError>> + Send;

    /// Holds an amount. The receipt's reference names the authorization.
    fn authorize(
        &self,
        request: AuthorizeRequest,
    ) -> impl Future<Output = Result<Receipt, ProviderError>> + Send {
        let AuthorizeRequest { key, payment, amount, method } = request;
        self.perform(key, Operation::Authorize { payment, amount, method })
    }

    /// Takes some or all of what is held.
    fn capture(
        &self,
        request: CaptureRequest,
    ) -> impl Future<Output = Result<Receipt, ProviderError>> + Send {
        let CaptureRequest { key, reference, amount } = request;
        self.perform(key, Operation::Capture { reference, amount })
    }

    /// Lets go what is still held.
    fn void(
        &self,
        request: VoidRequest,
    ) -> impl Future<Output = Result<Receipt, ProviderError>> + Send {
        let VoidRequest { key, reference } = request;
        self.perform(key, Operation::Void { reference })
    }

    /// Gives some or all of what was taken back.
    fn refund(
        &self,
        request: RefundRequest,
    ) -> impl Future<Output = Result<Receipt, ProviderError>> + Send {
        let RefundRequest { key, reference, amount } = request;
        self.perform(key, Operation::Refund { reference, amount })
    }
}
