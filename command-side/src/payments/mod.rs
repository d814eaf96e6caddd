//! Payment providers: the port, and what stands behind it.
//!
//! A provider holds, takes and gives back money. It is asked over [`PaymentProvider`], and every
//! request carries a [`RequestKey`]: the same key with the same request has the same effect once
//! and the same answer for ever, so that whoever does not know an outcome asks again.
//!
//! Nothing here knows of orders or aggregates, or decides what is owed.

mod port;

pub use port::{
    AuthorizeRequest, CaptureRequest, Operation, PaymentProvider, ProviderError, Receipt,
    RefundRequest, RequestKey, VoidRequest,
};
