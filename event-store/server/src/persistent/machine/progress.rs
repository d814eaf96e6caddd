//! How far a group has come: what may be said to be done when messages are done in any order.

use std::collections::BTreeMap;

/// A place up to which everything is done, and how many messages that were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) place: u64,
    pub(crate) count: u64,
}

/// Which messages of a sequence are open. Memory is linear in these.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Each with what came just before it.
    open: BTreeMap<u64, Option<Mark>>,
    /// The last that was seen.
    last: Option<Mark>,
    /// What was said to be done.
    saved: Option<Mark>,
}

impl Progress {
    /// Of a sequence of which everything up to a place is done.
    pub(crate) fn after(place: Option<u64>) -> Self {
        let mark = place.map(|place| Mark { place, count: 0 });
        Self { open: BTreeMap::new(), last: mark, saved: mark }
    }

    /// A message comes. Places increase.
    pub(crate) fn begin(&mut self, place: u64) {
        self.open.insert(place, self.last);
        self.pass(place);
    }

    /// Nothing is to be done with what is here.
    pub(crate) fn pass(&mut self, place: u64) {
        let count = self.last.map_or(0, |mark| mark.count) + 1;
        self.last = Some(Mark { place, count });
    }

    pub(crate) fn finish(&mut self, place: u64) {
        self.open.remove(&place);
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// What is done and was not said to be, with the number of messages since.
    pub(crate) fn unsaved(&self) -> Option<(Mark, u64)> {
        let done = self.done()?;
        let since = done.count - self.saved.map_or(0, |mark| mark.count);
        (since > 0).then_some((done, since))
    }

    pub(crate) fn save(&mut self, mark: Mark) {
        self.saved = Some(mark);
    }

    fn done(&self) -> Option<Mark> {
        match self.open.first_key_value() {
            Some((_, before)) => *before,
            None => self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_open_bounds_what_is_done() {
        let mut progress = Progress::after(Some(3));
        for place in [5, 7, 9] {
            progress.begin(place);
        }

        progress.finish(7);
        assert_eq!(progress.unsaved(), None);

        progress.finish(5);
        assert_eq!(progress.unsaved(), Some((Mark { place: 7, count: 2 }, 2)));

        progress.save(Mark { place: 7, count: 2 });
        progress.finish(9);
        progress.pass(12);
        assert_eq!(progress.unsaved(), Some((Mark { place: 12, count: 4 }, 2)));
    }
}
