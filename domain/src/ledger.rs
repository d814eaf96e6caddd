use std::collections::BTreeMap;

use crate::values::{Currency, Money};

/// Amounts of one currency, each under a name of its own, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<String, Money>,
    total: Money,
}

/// What a new entry would do to a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posting {
    /// It would bring the total to this.
    New(Money),
    /// It is there already.
    Repeated,
}

/// Why a ledger cannot take an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PostingError {
    NotPositive,
    CurrencyMismatch { expected: Currency },
    NameTaken { by: Money },
    TooMuch { left: Money },
}

impl Ledger {
    /// An empty ledger.
    pub fn new(currency: Currency) -> Self {
        Self { entries: BTreeMap::new(), total: Money::zero(currency) }
    }

    /// What all entries come to.
    pub fn total(&self) -> Money {
        self.total
    }

    /// The amount entered under a name.
    pub fn get(&self, name: &str) -> Option<Money> {
        self.entries.get(name).copied()
    }

    /// Names and amounts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Money)> {
        self.entries.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    /// Whether `amount` can be entered under `name` without the total passing `limit`.
    pub(crate) fn posting(
        &self,
        name: &str,
        amount: Money,
        limit: Money,
    ) -> Result<Posting, PostingError> {
        if amount.currency != self.total.currency {
            return Err(PostingError::CurrencyMismatch { expected: self.total.currency });
        }
        match self.get(name) {
            Some(entered) if entered == amount => return Ok(Posting::Repeated),
            Some(entered) => return Err(PostingError::NameTaken { by: entered }),
            None => {}
        }
        if amount.minor <= 0 {
            return Err(PostingError::NotPositive);
        }
        let left = limit.minor.saturating_sub(self.total.minor);
        if amount.minor > left {
            return Err(PostingError::TooMuch { left: Money::new(left, amount.currency) });
        }
        Ok(Posting::New(Money::new(self.total.minor + amount.minor, amount.currency)))
    }

    /// The ledger with one more entry. An entry of a name that is taken changes nothing.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, amount: Money) -> Self {
        if !self.entries.contains_key(name) {
            self.entries.insert(name.to_owned(), amount);
            self.total.minor = self.total.minor.saturating_add(amount.minor);
        }
        self
    }
}
