use std::fmt;

/// What must hold in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// What was acknowledged, or read, is there: byte-identical, at the same revision and
    /// position.
    D1,
    /// Nothing is there that was not submitted; batches are there whole or not at all.
    D2,
    /// Orders agree: tails are strictly increasing, the union of the streams is all events, a
    /// subscription equals a re-read, times do not decrease.
    D3,
    /// Revisions are contiguous from 0, and an expected revision has exactly one winner.
    D4,
    /// A repeated event id appends once, with the same answer.
    D5,
    /// A failed sync stops the store for good; a full disk refuses and heals; a healthy disk
    /// serves.
    D6,
    /// Damage is reported with its place or healed from what is redundant; it is never answered
    /// with something else and never cut off.
    D7,
    /// The engine does not panic.
    NoPanic,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An invariant does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen, and what should have been.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Nothing, or what does not hold.
pub(crate) type Check<T = ()> = Result<T, Violation>;

/// An error unless a condition holds.
pub(crate) fn ensure(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Violation::new(invariant, what())) }
}
