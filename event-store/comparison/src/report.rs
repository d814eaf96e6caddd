//! What a comparison found, and what it is held against.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::probe::Probe;
use crate::stats::{Figure, Sample, Spread};

/// Whom all others are compared with.
const DAYBOOK: &str = "daybook";

/// What to do about a machine that is not quiet.
const ADVICE: &str = "not to be quoted: the machine is busy; stop what else runs on it, and repeat";

/// What the engine is to reach, embedded and on the wire.
const AIMS: [(&str, &str, Quantity, Bound); 19] = [
    ("append_1_writer", DAYBOOK, Quantity::RatioTo("probe"), Bound::AtLeast(0.9)),
    ("append_64_writers", DAYBOOK, Quantity::RatioTo("raw_loop"), Bound::AtLeast(0.9)),
    ("append_64_writers", DAYBOOK, Quantity::RatioTo("raw_writers"), Bound::AtLeast(0.9)),
    ("append_64_writers", DAYBOOK, Quantity::RatioTo("sqlite"), Bound::AtLeast(4.0)),
    ("append_64_writers", DAYBOOK, Quantity::RatioTo("redb"), Bound::AtLeast(4.0)),
    ("append_64_writers", DAYBOOK, Quantity::Figure(Figure::CpuMicros), Bound::AtMost(6.0)),
    (
        "append_batches_of_100",
        DAYBOOK,
        Quantity::Figure(Figure::PerSecond),
        Bound::AtLeast(300_000.0),
    ),
    ("read_all", DAYBOOK, Quantity::Figure(Figure::PerSecond), Bound::AtLeast(15_000_000.0)),
    ("read_streams_warm", DAYBOOK, Quantity::Figure(Figure::PerSecond), Bound::AtLeast(300_000.0)),
    ("cold_open", "daybook_100_segments", Quantity::Figure(Figure::Millis), Bound::AtMost(1_000.0)),
    ("disk", DAYBOOK, Quantity::Figure(Figure::BytesPerPayloadByte), Bound::AtMost(1.1)),
    ("wire_append_1_caller", DAYBOOK, Quantity::RatioTo("probe"), Bound::AtLeast(0.4)),
    ("wire_append_64_callers", DAYBOOK, Quantity::RatioTo("echo"), Bound::AtLeast(0.8)),
    (
        "wire_append_64_callers",
        DAYBOOK,
        Quantity::Figure(Figure::P99Micros),
        Bound::AtMost(6_000.0),
    ),
    (
        "wire_append_batches_of_100",
        DAYBOOK,
        Quantity::Figure(Figure::PerSecond),
        Bound::AtLeast(100_000.0),
    ),
    (
        "wire_read_streams_1_caller",
        DAYBOOK,
        Quantity::Figure(Figure::PerSecond),
        Bound::AtLeast(4_000.0),
    ),
    (
        "wire_read_streams_2_callers",
        DAYBOOK,
        Quantity::Figure(Figure::PerSecond),
        Bound::AtLeast(8_000.0),
    ),
    ("wire_read_all", DAYBOOK, Quantity::Figure(Figure::PerSecond), Bound::AtLeast(800_000.0)),
    ("wire_live_latency", DAYBOOK, Quantity::Figure(Figure::P50Micros), Bound::AtMost(2_000.0)),
];

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether each probe found the machine quiet. Where not, nothing here is to be quoted.
    pub quiet: bool,
    /// What to do where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
    /// The medians of all probes, in microseconds.
    pub probe_micros: Spread,
    /// How long it took.
    pub seconds: f64,
    /// Rounds of each measure.
    pub rounds: usize,
    /// What was measured, in this order.
    pub measures: Vec<Measure>,
    /// What was aimed at, of what was measured.
    pub aims: Vec<Aim>,
}

/// One kind of work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// Who did it.
    pub contenders: Vec<Outcome>,
}

/// How one contender did it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// Its figures over all rounds.
    pub figures: BTreeMap<Figure, Spread>,
    /// The embedded engine's rate to this one's, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daybook_to_it: Option<Spread>,
}

/// Something to be reached, and what was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Aim {
    /// The measure's name.
    pub measure: &'static str,
    /// Who is to reach it.
    pub contender: &'static str,
    /// What of it; the median counts.
    #[serde(flatten)]
    pub quantity: Quantity,
    /// What is aimed at.
    #[serde(flatten)]
    pub bound: Bound,
    /// What was measured.
    pub measured: f64,
    /// Whether that is it; `None` where the machine was too busy to tell.
    pub met: Option<bool>,
}

/// What an aim is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// A figure of the embedded engine.
    Figure(Figure),
    /// Its rate to another's.
    RatioTo(&'static str),
}

/// Where an aim lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// There or above.
    AtLeast(f64),
    /// There or below.
    AtMost(f64),
}

impl Bound {
    /// Whether a measurement is there.
    pub fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

/// Things by name, in the order in which they came.
type Named<T> = Vec<(&'static str, T)>;

/// Samples as they come in.
#[derive(Debug, Default)]
pub(crate) struct Book {
    probes: Vec<Probe>,
    measures: Named<Named<Vec<Sample>>>,
}

impl Book {
    pub(crate) fn probe(&mut self, probe: Probe) {
        self.probes.push(probe);
    }

    /// The next round's sample of a contender.
    pub(crate) fn enter(&mut self, measure: &'static str, contender: &'static str, sample: Sample) {
        let contenders = entry(&mut self.measures, measure);
        entry(contenders, contender).push(sample);
    }

    /// What it all comes to; `None` of nothing.
    pub(crate) fn close(self, seconds: f64, rounds: usize) -> Option<Report> {
        let quiet = self.probes.iter().all(Probe::is_quiet);
        let measures: Vec<_> = self.measures.into_iter().map(measure).collect();
        let aims = AIMS.iter().filter_map(|aim| judge(*aim, &measures, quiet)).collect();
        let probe_micros = Spread::of(self.probes.iter().map(Probe::median_micros))?;
        let advice = (!quiet).then_some(ADVICE);
        Some(Report { quiet, advice, probe_micros, seconds, rounds, measures, aims })
    }
}

/// What stands under a name; made where it is missing.
fn entry<'a, T: Default>(entries: &'a mut Vec<(&'static str, T)>, name: &'static str) -> &'a mut T {
    let at = entries.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
        entries.push((name, T::default()));
        entries.len() - 1
    });
    &mut entries[at].1
}

fn measure((name, contenders): (&'static str, Named<Vec<Sample>>)) -> Measure {
    let daybook = contenders.iter().find(|(name, _)| *name == DAYBOOK).map(|(_, samples)| samples);
    let result = |(name, samples): &(&'static str, Vec<Sample>)| {
        let daybook = daybook.filter(|_| !name.starts_with(DAYBOOK));
        let daybook_to_it = daybook.and_then(|daybook| ratio(daybook, samples));
        Outcome { name, figures: spreads(samples), daybook_to_it }
    };
    Measure { name, contenders: contenders.iter().map(result).collect() }
}

fn spreads(samples: &[Sample]) -> BTreeMap<Figure, Spread> {
    let figures = samples.first().into_iter().flat_map(Sample::keys);
    let spread =
        |figure| Spread::of(samples.iter().filter_map(|sample| sample.get(figure)).copied());
    figures.filter_map(|figure| Some((*figure, spread(figure)?))).collect()
}

/// Of rates in the same round, so that a machine that gets slower does not count.
fn ratio(ours: &[Sample], theirs: &[Sample]) -> Option<Spread> {
    let rate = |sample: &Sample| sample.get(&Figure::PerSecond).copied();
    let rounds = ours.iter().zip(theirs);
    Spread::of(rounds.filter_map(|(ours, theirs)| Some(rate(ours)? / rate(theirs)?)))
}

fn judge(
    (measure, contender, quantity, bound): (&'static str, &'static str, Quantity, Bound),
    all: &[Measure],
    quiet: bool,
) -> Option<Aim> {
    let contenders = &all.iter().find(|known| known.name == measure)?.contenders;
    let result = |name| contenders.iter().find(|result| result.name == name);
    let spread = match quantity {
        Quantity::Figure(figure) => result(contender)?.figures.get(&figure).copied()?,
        Quantity::RatioTo(peer) => result(peer)?.daybook_to_it?,
    };
    let measured = spread.median;
    Some(Aim {
        measure,
        contender,
        quantity,
        bound,
        measured,
        met: quiet.then_some(bound.holds(measured)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: f64) -> Sample {
        [(Figure::PerSecond, per_second)].into()
    }

    fn book(probe_micros: f64, raw: [f64; 3]) -> Report {
        let mut book = Book::default();
        book.probe(Probe::fixed(100.0));
        for (drift, raw) in [1.0, 0.5, 0.25].into_iter().zip(raw) {
            book.enter("append_64_writers", "daybook", rate(drift * 90.0));
            book.enter("append_64_writers", "raw_loop", rate(drift * raw));
        }
        book.probe(Probe::fixed(probe_micros));
        book.close(1.0, 3).unwrap()
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let report = book(200.0, [100.0, 95.0, 200.0]);

        let ratio = report.measures[0].contenders[1].daybook_to_it.unwrap();
        assert!((ratio.median - 0.9).abs() < 1e-9, "{ratio:?}");
        assert!((ratio.min - 0.45).abs() < 1e-9, "{ratio:?}");
        assert_eq!(report.measures[0].contenders[0].daybook_to_it, None);
    }

    #[test]
    fn aims_are_judged_on_a_quiet_machine() {
        let met = |raw| book(200.0, [raw; 3]).aims.iter().map(|aim| aim.met).collect::<Vec<_>>();

        assert_eq!(met(99.0), [Some(true)]);
        assert_eq!(met(101.0), [Some(false)]);
    }

    #[test]
    fn nothing_is_judged_where_one_probe_was_slow() {
        let report = book(4_000.0, [99.0; 3]);

        assert!(!report.quiet && report.advice.is_some());
        assert_eq!(report.probe_micros, Spread { median: 100.0, min: 100.0, max: 4_000.0 });
        assert!(report.aims.iter().all(|aim| aim.met.is_none()) && !report.aims.is_empty());
    }
}
