//! Payment providers: the port, and what stands behind it.
//!
//! A provider holds, takes and gives back money. It is asked over [`PaymentProvider`], and every
//! request carries a [`RequestKey`]: the same key with the same request has the same effect once
//! and the same answer for ever, so that whoever does not know an outcome asks again.
//!
//! Nothing here knows of orders or aggregates, or decides what is owed.
//!
//! # Test tokens
//!
//! The [`SimulatedProvider`] moves no money. What it does depends on the payment method:
//!
//! | payment method | what happens |
//! |---|---|
//! | `tok_approve` | the amount is held; captures, voids and refunds succeed |
//! | `tok_decline` | declined: "the card was declined" |
//! | `tok_insufficient_funds` | declined: "insufficient funds" |
//! | `tok_timeout` | nothing is done, and no answer comes in time |
//! | `tok_lost_answer` | as `tok_approve`, but the first answer to each request is lost; asked again under the same key, it answers |
//! | anything else | invalid |
//!
//! ```
//! use daybook_command_side::payments::{
//!     AuthorizeRequest, CaptureRequest, PaymentProvider, ProviderError, SimulatedProvider,
//! };
//! use daybook_domain::values::{Money, PaymentId};
//! use daybook_event_store::Store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = SimulatedProvider::new(Store::memory());
//! let payment: PaymentId = "5b0c4d7e-9d0b-4a51-8f5e-0d6a3a8f2a11".parse()?;
//! let amount = Money::new(12_50, "GBP".parse()?);
//! let with = |key: &str, token: &str| AuthorizeRequest {
//!     key: key.parse().expect("a key"),
//!     payment,
//!     amount,
//!     method: token.parse().expect("a payment method"),
//! };
//!
//! // A no is an answer; it stays the same however often one asks.
//! let declined = ProviderError::Declined { reason: "insufficient funds".into() };
//! for _ in 0..2 {
//!     let answer = provider.authorize(with("a", "tok_insufficient_funds")).await;
//!     assert_eq!(answer, Err(declined.clone()));
//! }
//!
//! // Silence is none: nothing was done here ...
//! let silence = provider.authorize(with("b", "tok_timeout")).await;
//! assert!(matches!(silence, Err(ProviderError::Unavailable { .. })));
//!
//! // ... but here the money is held, and the caller learns of it by asking again.
//! let silence = provider.authorize(with("c", "tok_lost_answer")).await;
//! assert!(matches!(silence, Err(ProviderError::Unavailable { .. })));
//! let held = provider.authorize(with("c", "tok_lost_answer")).await?;
//!
//! // The same holds for every later request on that authorization.
//! let key = "c:capture".parse()?;
//! let capture = CaptureRequest { key, reference: held.reference, amount };
//! assert!(provider.capture(capture.clone()).await.is_err());
//! provider.capture(capture).await?;
//!
//! // The ledger proves it: held once, taken once.
//! let ledger = provider.ledger().await?;
//! assert_eq!((ledger.authorizations, ledger.captures, ledger.repeated), (1, 1, 3));
//! assert_eq!(ledger.captured["GBP"], 12_50);
//! # Ok(())
//! # }
//! ```

mod http;
mod metrics;
mod port;
mod provider;
pub mod server;
mod simulated;
mod wire;

pub use http::{HttpOptions, HttpProvider, HttpProviderError};
pub use port::{
    AuthorizeRequest, CaptureRequest, Operation, PaymentProvider, ProviderError, Receipt,
    RefundRequest, RequestKey, VoidRequest,
};
pub use provider::Provider;
pub use simulated::{Ledger, SimulatedProvider, Sums};
