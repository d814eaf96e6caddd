//! How one run is set up. Every seed turns some disasters off and some up, so that each is also
//! met alone and often.

use fastrand::Rng;

use crate::disk::{Fault, Weather};

/// What a seed chose for its run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) steps: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) cache_bytes: u64,
    /// Whether closed segments are compressed.
    pub(crate) compress: bool,
    /// Whether streams are bounded, deleted and ended.
    pub(crate) lifetimes: bool,
    /// Whether events have the same size, so that one place looks like another.
    pub(crate) uniform: bool,
    pub(crate) weather: Weather,
    /// Streams and event types that writers use.
    pub(crate) streams: usize,
    /// The most bytes of a usual payload.
    pub(crate) payload: usize,
    /// Once in so many I/Os another actor acts.
    pub(crate) nesting: usize,
    /// How often each kind of step is taken, relative to the others.
    acts: Vec<(Act, usize)>,
}

/// A kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Commit,
    Maintain,
    Read,
    Tail,
    PowerFailure,
    Kill,
    Close,
    Fill,
    Damage,
    MoveClock,
    Scavenge,
    BackUp,
    Look,
}

impl Plan {
    pub(crate) fn new(random: &mut Rng) -> Self {
        // Some runs are long, with many segments.
        let long = random.u8(..12) == 0;
        let steps = if long { random.usize(200..=300) } else { random.usize(20..=70) };
        let segment_bytes = *pick(random, &[4_096, 4_096, 6_000, 16_384]);
        let cache_bytes = *pick(random, &[0, 1 << 20]);
        let mut weather = Weather::default();
        for (fault, often, seldom) in [
            (Fault::ShortRead, 3, 20),
            (Fault::ShortWrite, 3, 20),
            (Fault::Interrupt, 4, 30),
            (Fault::ReadError, 30, 300),
            (Fault::WriteError, 60, 400),
            (Fault::SyncError, 15, 120),
            (Fault::Misdirected, 20, 150),
        ] {
            let once_in = *pick(random, &[0, 0, often, seldom, seldom]);
            weather = weather.with(fault, once_in);
        }
        let mut sometimes = |weight: usize| if random.bool() { weight } else { 0 };
        let acts = vec![
            (Act::Commit, 40),
            (Act::Maintain, sometimes(20) + 2),
            (Act::Read, 14),
            (Act::Tail, 8),
            (Act::PowerFailure, sometimes(5) + 1),
            (Act::Kill, sometimes(3)),
            (Act::Close, sometimes(3)),
            (Act::Fill, sometimes(4)),
            (Act::Damage, sometimes(4)),
            (Act::MoveClock, sometimes(6)),
            (Act::Scavenge, sometimes(3)),
            (Act::BackUp, sometimes(2)),
            (Act::Look, sometimes(2)),
        ];
        Self {
            steps,
            segment_bytes,
            cache_bytes,
            compress: random.u8(..4) == 0,
            lifetimes: random.bool(),
            uniform: random.u8(..4) == 0,
            weather,
            streams: random.usize(1..=6),
            payload: if long { 1_200 } else { *pick(random, &[60, 300, 900]) },
            nesting: *pick(random, &[0, 3, 10, 30]),
            acts,
        }
    }

    /// The next step.
    pub(crate) fn act(&self, random: &mut Rng) -> Act {
        let total: usize = self.acts.iter().map(|(_, weight)| weight).sum();
        let mut turn = random.usize(..total);
        let mut due = |&&(_, weight): &&(Act, usize)| {
            let due = turn < weight;
            turn = turn.saturating_sub(weight);
            due
        };
        self.acts.iter().find(|act| due(act)).map_or(Act::Commit, |(act, _)| *act)
    }
}

/// One of some choices.
pub(crate) fn pick<'a, T>(random: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[random.usize(..choices.len())]
}
