use std::fmt::Write;

use super::Check;

/// Most violations that a check names; the others are counted.
const NAMED: usize = 10;

/// What speaks against a rule.
#[derive(Debug, Default)]
pub(super) struct Findings {
    count: usize,
    named: Vec<String>,
}

impl Findings {
    pub(super) fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(what());
        }
    }

    /// Adds a finding unless the rule holds.
    pub(super) fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.add(otherwise);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The findings, the first of them named; empty where there are none.
    pub(super) fn told(&self) -> String {
        let mut told = self.named.join("; ");
        if self.count > self.named.len() {
            let _ = write!(told, "; and {} more", self.count - self.named.len());
        }
        told
    }

    /// A check that is passed if there is no finding; then `summary` says what was checked.
    pub(super) fn check(&self, name: impl Into<String>, summary: impl Into<String>) -> Check {
        let ok = self.count == 0;
        let detail = match self.count {
            0 => summary.into(),
            count => format!("{count} found: {}", self.told()),
        };
        Check { name: name.into(), ok, detail }
    }
}
