//! How far long work is: a bar on a terminal, a plain line now and then elsewhere.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{
    HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// The least time that a rate is told of.
const MOMENT: Duration = Duration::from_millis(1);

/// How fast work has gone until now: steps a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace(f64);

#[expect(clippy::cast_precision_loss, reason = "rates and estimates")]
impl Pace {
    /// That of so many steps in such a time.
    pub(crate) fn of(steps: u64, took: Duration) -> Self {
        Self(steps as f64 / took.max(MOMENT).as_secs_f64())
    }

    /// Steps a second, as they are told.
    pub(crate) fn rate(self) -> f64 {
        self.0.round()
    }

    /// Whole seconds for so many more steps. `None`: that cannot be told yet.
    pub(crate) fn seconds_for(self, steps: u64) -> Option<f64> {
        match steps {
            0 => Some(0.0),
            _ => Some((steps as f64 / self.0).round()).filter(|seconds| seconds.is_finite()),
        }
    }
}

/// Tells how far some work is, on standard error.
pub(crate) struct Progress {
    what: &'static str,
    bar: ProgressBar,
    began: Instant,
    told: Instant,
    plain: bool,
}

impl Progress {
    /// Work of `total` steps that are called `what`.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let target =
            if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = "{msg} {wide_bar} {human_pos}/{human_len} {rate:>12} ETA {left:>4}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", rate).with_key("left", left));
        }
        bar.set_message(what);
        let now = Instant::now();
        Self { what, bar, began: now, told: now, plain }
    }

    /// One more step is done.
    pub(crate) fn step(&mut self) {
        self.reach(self.bar.position() + 1);
    }

    /// So many steps are done, of so many as there are by now.
    pub(crate) fn reach_of(&mut self, done: u64, total: u64) {
        self.bar.update(|state| {
            state.set_len(total);
            state.set_pos(done);
        });
        self.tell_now_and_then();
    }

    /// So many steps are done.
    pub(crate) fn reach(&mut self, done: u64) {
        self.bar.set_position(done);
        self.tell_now_and_then();
    }

    fn tell_now_and_then(&mut self) {
        if self.plain && self.told.elapsed() >= PLAIN_EVERY {
            self.told = Instant::now();
            self.tell();
        }
    }

    /// All is done. Where there was nothing to do, there is nothing to tell.
    pub(crate) fn finish(self) {
        if self.plain && self.bar.length() != Some(0) {
            self.tell();
        }
        self.bar.finish_and_clear();
    }

    #[expect(clippy::print_stderr, reason = "progress is a message to the person who waits")]
    fn tell(&self) {
        let (what, done, total) = (self.what, self.bar.position(), self.bar.length().unwrap_or(0));
        let pace = Pace::of(done, self.began.elapsed());
        let left = pace.seconds_for(total.saturating_sub(done));
        let left = left.map_or_else(String::new, |left| format!(", {left} s left"));
        eprintln!("{what}: {done} of {total}, {} a second{left}", pace.rate());
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
fn rate(state: &ProgressState, out: &mut dyn Write) {
    let pace = Pace::of(state.pos(), state.elapsed());
    // A line that cannot be drawn is drawn anew soon.
    let _ = write!(out, "{}/s", HumanCount(pace.rate() as u64));
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
fn left(state: &ProgressState, out: &mut dyn Write) {
    let (done, total) = (state.pos(), state.len().unwrap_or(0));
    let pace = (done > 0).then(|| Pace::of(done, state.elapsed()));
    let _ = match pace.and_then(|pace| pace.seconds_for(total.saturating_sub(done))) {
        Some(left) => write!(out, "{:#}", HumanDuration(Duration::from_secs(left as u64))),
        None => write!(out, "?"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_all_the_time_that_was_taken() {
        let pace = Pace::of(3_000, Duration::from_millis(1_500));

        assert_eq!(pace.rate().to_string(), "2000");
        assert_eq!(pace.seconds_for(9_000), Some(5.0));
        assert_eq!(pace.seconds_for(0), Some(0.0));
    }

    #[test]
    fn before_the_first_step_nobody_knows_when_it_ends() {
        let pace = Pace::of(0, Duration::from_secs(1));

        assert_eq!((pace.seconds_for(9), pace.seconds_for(0)), (None, Some(0.0)));
        assert_eq!(Pace::of(7, Duration::ZERO).rate().to_string(), "7000");
    }
}
