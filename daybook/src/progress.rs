//! How far long work is: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

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
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(total) };
        bar.set_length(total);
        let template = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec:>12} ETA {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
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
        self.bar.set_length(total);
        self.reach(done);
    }

    /// So many steps are done.
    pub(crate) fn reach(&mut self, done: u64) {
        self.bar.set_position(done);
        if self.plain && self.told.elapsed() >= PLAIN_EVERY {
            self.told = Instant::now();
            self.tell();
        }
    }

    /// All is done.
    pub(crate) fn finish(self) {
        if self.plain {
            self.tell();
        }
        self.bar.finish_and_clear();
    }

    #[expect(clippy::print_stderr, reason = "progress is a message to the person who waits")]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate and an estimate for people"
    )]
    fn tell(&self) {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let rate = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let left = (total.saturating_sub(done) as f64 / rate.max(0.001)) as u64;
        let what = self.what;
        eprintln!("{what}: {done} of {total}, {rate:.0} a second, {left} s left");
    }
}
