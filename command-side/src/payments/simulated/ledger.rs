use std::collections::{BTreeMap, HashMap, HashSet};

use daybook_domain::values::{Money, PaymentId};
use daybook_event_store::StreamId;
use serde::{Deserialize, Serialize};

use super::account::Entry;
use crate::payments::port::Operation;

/// Minor units by ISO 4217 code.
pub type Sums = BTreeMap<String, i64>;

/// What a provider did, added up over all it ever recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Authorizations that were approved.
    pub authorizations: u64,
    /// Captures.
    pub captures: u64,
    /// Voids.
    pub voids: u64,
    /// Refunds.
    pub refunds: u64,
    /// Requests that were refused, and recorded as such.
    pub refused: u64,
    /// What was held.
    pub authorized: Sums,
    /// What was taken.
    pub captured: Sums,
    /// What was given back.
    pub refunded: Sums,
    /// Authorizations of which more was taken than held, or more given back than taken: 0 unless
    /// the ledger is wrong.
    pub overdrawn: u64,
    /// Payments that were captured on more than one authorization: 0 unless whoever asked used
    /// more than one key for one charge.
    pub charged_twice: u64,
    /// Requests that were answered from the ledger because they came again; counted since the
    /// provider was opened.
    pub repeated: u64,
}

/// What one authorization comes to.
#[derive(Debug)]
struct Account {
    payment: PaymentId,
    authorized: Money,
    captured: i64,
    refunded: i64,
}

/// Adds up a ledger entry by entry.
#[derive(Debug, Default)]
pub(super) struct Totals {
    ledger: Ledger,
    accounts: HashMap<StreamId, Account>,
}

impl Totals {
    pub(super) fn add(&mut self, stream: StreamId, entry: &Entry) {
        if entry.refusal.is_some() {
            self.ledger.refused += 1;
            return;
        }
        match &entry.operation {
            Operation::Authorize { payment, amount, .. } => {
                self.ledger.authorizations += 1;
                let (payment, authorized) = (*payment, *amount);
                let account = Account { payment, authorized, captured: 0, refunded: 0 };
                self.accounts.insert(stream, account);
            }
            Operation::Capture { amount, .. } => {
                self.ledger.captures += 1;
                self.account(&stream, |account| account.captured += amount.minor);
            }
            Operation::Void { .. } => self.ledger.voids += 1,
            Operation::Refund { amount, .. } => {
                self.ledger.refunds += 1;
                self.account(&stream, |account| account.refunded += amount.minor);
            }
        }
    }

    fn account(&mut self, stream: &StreamId, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.accounts.get_mut(stream) {
            change(account);
        }
    }

    pub(super) fn finish(self, repeated: u64) -> Ledger {
        let Self { mut ledger, accounts } = self;
        let (mut charged, mut twice) = (HashSet::new(), HashSet::new());
        for account in accounts.values() {
            let Account { payment, authorized, captured, refunded } = *account;
            let code = authorized.currency.code();
            *ledger.authorized.entry(code.into()).or_default() += authorized.minor;
            *ledger.captured.entry(code.into()).or_default() += captured;
            *ledger.refunded.entry(code.into()).or_default() += refunded;
            ledger.overdrawn += u64::from(captured > authorized.minor || refunded > captured);
            if captured > 0 && !charged.insert(payment) {
                twice.insert(payment);
            }
        }
        ledger.charged_twice = twice.len() as u64;
        ledger.repeated = repeated;
        ledger
    }
}
