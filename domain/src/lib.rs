//! The business of Daybook as pure code: values, deciders and process managers.
//!
//! Everything here is synchronous, total and deterministic. It knows no I/O, no wire format, no
//! clock and no source of randomness: instants and new ids arrive inside commands.
//!
//! Each aggregate is one folder with the same three files: `command.rs` (what may be asked),
//! `state.rs` (events, state and `evolve`) and `decide.rs` (the rules and their rejections).

pub mod checkout;
pub mod customer;
mod decider;
pub mod fulfilment;
mod ledger;
pub mod order;
pub mod payment;
mod process;
pub mod product;
pub mod stock;
pub mod values;

pub use decider::{Decider, fold};
pub use ledger::Ledger;
pub use process::{Effect, ProcessManager, Route};
