use std::collections::BTreeMap;
use std::ops::Bound;

use daybook_event_store::Position;

/// How far a process manager got, and what it still owes.
///
/// A position is dealt with when every event up to it was taken in, and every effect of the
/// records up to it was carried out or parked: a restart from there loses nothing.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    taken: Option<Position>,
    /// Effects under way, by their record's position.
    owed: BTreeMap<Position, Owed>,
}

/// Effects of one record.
#[derive(Debug)]
struct Owed {
    count: usize,
    /// What was taken in before the record.
    before: Option<Position>,
}

impl Ledger {
    /// Goes on from a position that was dealt with.
    pub(super) fn from(taken: Option<Position>) -> Self {
        Self { taken, owed: BTreeMap::new() }
    }

    /// Every event up to here was taken in.
    pub(super) fn took(&mut self, position: Position) {
        self.taken = self.taken.max(Some(position));
        for (_, owed) in self.owed.range_mut((Bound::Excluded(position), Bound::Unbounded)) {
            owed.before = owed.before.max(Some(position));
        }
    }

    /// An effect of the record at a position is under way.
    pub(super) fn owe(&mut self, record: Position) {
        // A position that was taken in can be gone on from in every store; others cannot.
        let taken = self.taken.filter(|taken| *taken < record);
        let before = taken.or_else(|| record.0.checked_sub(1).map(Position));
        self.owed.entry(record).or_insert(Owed { count: 0, before }).count += 1;
    }

    /// An effect of the record at a position was carried out or parked.
    pub(super) fn settle(&mut self, record: Position) {
        if let Some(owed) = self.owed.get_mut(&record) {
            owed.count -= 1;
            if owed.count == 0 {
                self.owed.remove(&record);
            }
        }
    }

    /// The last position taken in.
    pub(super) fn taken(&self) -> Option<Position> {
        self.taken
    }

    /// The last position that was dealt with.
    pub(super) fn settled(&self) -> Option<Position> {
        match self.owed.first_key_value() {
            Some((_, owed)) => self.taken.min(owed.before),
            None => self.taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_settled_when_everything_up_to_it_is() {
        let mut ledger = Ledger::from(Some(Position(4)));
        ledger.took(Position(10));
        ledger.owe(Position(8));
        ledger.owe(Position(8));
        ledger.owe(Position(12));
        assert_eq!(ledger.settled(), Some(Position(7)));

        ledger.settle(Position(8));
        assert_eq!(ledger.settled(), Some(Position(7)));
        ledger.settle(Position(8));
        assert_eq!(ledger.settled(), Some(Position(10)));

        ledger.took(Position(20));
        assert_eq!(ledger.settled(), Some(Position(10)), "what was taken in before 12");
        ledger.settle(Position(12));
        assert_eq!(ledger.settled(), Some(Position(20)));
    }

    #[test]
    fn nothing_is_settled_before_the_first_event() {
        assert_eq!(Ledger::default().settled(), None);
    }
}
