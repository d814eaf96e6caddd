use std::time::Duration;

/// Most requests that are waited for: they share a sync well enough, and the callers who are then
/// still about to come make the next frame while this one is synced.
const MOST_WANTED: usize = 16;
/// The longest that it is worth to wait, however slow the disk: who asks again at once is back before.
const MOST_PATIENCE: Duration = Duration::from_millis(1);
/// Most frames in a row that nothing is waited for, after waits in vain.
const MOST_SKIPPED: u32 = 64;

/// How many requests the next frame should wait for.
///
/// A sync takes about as long for one event as for a dozen, and who is answered is likely to ask
/// again at once. If the writer took no more than what it finds waiting, half of its callers would
/// always be too late for a frame and wait for the next. `PostgreSQL` has `commit_delay` and
/// `commit_siblings` for that, which somebody has to set; here the last frame tells.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// The requests that were under way when the last frame had become durable: its own, whose
    /// callers may be back soon, and those that came meanwhile.
    under_way: usize,
    /// How long the last frame took to become durable.
    write: Duration,
    /// How many frames the last wait in vain has cost, and how many of them are still to come.
    skip: u32,
    skipping: u32,
}

impl Gather {
    /// How many requests make the next frame worth its sync. Not all that were under way: some of the
    /// callers may do other things first.
    pub(crate) fn wanted(&self) -> usize {
        if self.skipping > 0 { 0 } else { (self.under_way * 3 / 4).min(MOST_WANTED) }
    }

    /// How long they may be waited for: no longer than to write once more would take.
    pub(crate) fn patience(&self) -> Duration {
        self.write.min(MOST_PATIENCE)
    }

    /// A frame became durable, so many requests were under way then, and it took so long.
    pub(crate) fn durable(&mut self, under_way: usize, write: Duration) {
        (self.under_way, self.write) = (under_way, write);
    }

    /// A frame has gathered so many requests. Each wait in vain that follows another lets twice as
    /// many frames go without one: callers who have other things to do first are not waited for.
    pub(crate) fn gathered(&mut self, requests: usize) {
        if self.skipping > 0 {
            self.skipping -= 1;
        } else if requests >= self.wanted() {
            self.skip = 0;
        } else {
            self.skip = (self.skip * 2).clamp(1, MOST_SKIPPED);
            self.skipping = self.skip;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: Duration = Duration::from_micros(150);

    #[test]
    fn waits_for_most_of_those_who_were_under_way() {
        let mut gather = Gather::default();
        assert_eq!((gather.wanted(), gather.patience()), (0, Duration::ZERO), "nothing is known");

        gather.durable(8, WRITE);
        assert_eq!((gather.wanted(), gather.patience()), (6, WRITE));
        gather.gathered(6);
        assert_eq!(gather.wanted(), 6);
        gather.durable(64, WRITE);
        assert_eq!(gather.wanted(), MOST_WANTED, "the sync is worth it");
        gather.durable(1, Duration::from_secs(1));
        assert_eq!(gather.wanted(), 0, "a caller alone waits for nobody");
        assert_eq!(gather.patience(), MOST_PATIENCE, "a hiccup of the disk");
    }

    #[test]
    fn waits_ever_less_often_if_nobody_comes() {
        let mut gather = Gather::default();
        let mut waits = Vec::new();
        for frame in 0..300 {
            gather.durable(8, WRITE);
            if gather.wanted() > 0 {
                waits.push(frame);
            }
            gather.gathered(2);
        }
        assert_eq!(waits, [0, 2, 5, 10, 19, 36, 69, 134, 199, 264]);
    }

    #[test]
    fn waits_again_once_that_was_worth_it() {
        let mut gather = Gather::default();
        gather.durable(8, WRITE);
        for _ in 0..4 {
            gather.gathered(2);
        }
        assert_eq!(gather.wanted(), 0, "two waits in vain");
        gather.gathered(2);
        gather.gathered(6);
        gather.gathered(2);
        gather.gathered(2);
        assert_eq!(gather.wanted(), 6, "one wait in vain since");
    }
}
