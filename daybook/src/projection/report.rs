//! What is told of read models, to people and to machines.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use daybook_domain::values::Timestamp;
use daybook_event_schemas::format_timestamp;
use daybook_event_store::Position;
use daybook_projections::{
    Built, Change, Comparison, Difference, Generation, KeyRange, Outcome, Role, TableComparison,
    What,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Output;
use crate::progress::{Pace, Progress};

/// Time between two lines of JSON about one build.
const EVERY: Duration = Duration::from_millis(500);

/// Characters of a checksum that people are shown.
const SHORT: usize = 16;

/// A generation, and how far it is behind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    name: String,
    generation: u32,
    version: u32,
    state: &'static str,
    live: bool,
    paused: bool,
    position: Option<u64>,
    /// Events of the store that are not in it yet, whether they concern it or not.
    lag: u64,
    parked: u64,
    owner: Option<String>,
    updated_at: String,
}

impl Status {
    pub(super) fn new(generation: &Generation, head: Option<Position>) -> Self {
        let next = |position: Option<Position>| position.map_or(0, |position| position.0 + 1);
        let live = generation.role == Role::Live;
        Self {
            name: generation.name.clone(),
            generation: generation.generation,
            version: generation.version,
            state: match generation.role {
                Role::Live => "live",
                Role::Building => "building",
                Role::Retired => "retired",
            },
            live,
            paused: generation.paused && live,
            position: generation.position.map(|position| position.0),
            lag: next(head).saturating_sub(next(generation.position)),
            parked: generation.parked,
            owner: generation.owner.clone(),
            updated_at: format_timestamp(Timestamp::from_micros(generation.updated_at)),
        }
    }
}

pub(super) fn write(all: &[Status], output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(all)?)?,
        Output::Jsonl => {
            for status in all {
                writeln!(out, "{}", serde_json::to_string(status)?)?;
            }
        }
        Output::Text => {
            for status in all {
                writeln!(out, "{}", line(status))?;
            }
        }
    }
    Ok(())
}

fn line(status: &Status) -> String {
    let Status { name, generation, version, state, lag, parked, .. } = status;
    let at = status.position.map_or_else(|| "the beginning".to_owned(), |at| at.to_string());
    let paused = if status.paused { ", paused" } else { "" };
    let owner = status.owner.as_ref().map_or_else(String::new, |owner| format!(", by {owner}"));
    format!(
        "{name:<10} generation {generation} (version {version}) {state}{paused}: at {at}, {lag} \
         behind, {parked} parked{owner}"
    )
}

/// Tells how far builds are while they go on: a bar, plain lines, or lines of JSON.
pub(super) struct Reporter(Mutex<State>);

struct State {
    bar: Option<Progress>,
    builds: BTreeMap<String, Build>,
    count: u64,
}

/// A build as this run goes on with it.
struct Build {
    began: Instant,
    /// How far it is, and how long that took.
    now: Option<(Built, Duration)>,
    /// What was last told, and when.
    told: Option<(Built, Instant)>,
}

impl Reporter {
    pub(super) fn new(count: usize, output: Output) -> Self {
        let bar = (output != Output::Jsonl).then(|| Progress::new("positions", 0));
        Self(Mutex::new(State { bar, builds: BTreeMap::new(), count: count as u64 }))
    }

    /// A build begins, or goes on after what was done before.
    pub(super) fn begin(&self, name: &str) {
        let Ok(mut state) = self.0.lock() else { return };
        state.builds.insert(name.to_owned(), Build::new());
    }

    pub(super) fn tell(&self, built: Built) {
        let Ok(mut state) = self.0.lock() else { return };
        let State { bar, builds, count } = &mut *state;
        let Some(one) = builds.get_mut(built.name) else { return };
        one.reach(built, one.began.elapsed());
        match bar {
            Some(bar) => {
                let before = builds.values().map(Build::before).sum();
                let total = (at(built.goal) * *count).saturating_sub(before);
                bar.reach_of(builds.values().map(Build::done).sum(), total);
            }
            None => one.tell_now_and_then(),
        }
    }

    pub(super) fn finish(self) {
        let Ok(State { bar, builds, .. }) = self.0.into_inner() else { return };
        match bar {
            Some(bar) => bar.finish(),
            None => builds.into_values().for_each(|mut build| build.tell()),
        }
    }
}

/// How many positions a run has done.
fn done(Built { before, position, .. }: Built) -> u64 {
    at(position).saturating_sub(at(before))
}

/// How many positions are done.
fn at(position: Option<Position>) -> u64 {
    position.map_or(0, |position| position.0 + 1)
}

#[expect(clippy::print_stdout, reason = "progress is what was asked for")]
fn tell_machine(progress: &Value) {
    println!("{progress}");
}

impl Build {
    fn new() -> Self {
        Self { began: Instant::now(), now: None, told: None }
    }

    /// So much of it is built after such a time. What is told of the live generation, when both are
    /// brought to one position to be compared, is not about this build.
    fn reach(&mut self, built: Built, took: Duration) {
        if self.now.is_none_or(|(now, _)| now.generation == built.generation) {
            self.now = Some((built, took));
        }
    }

    /// Positions that were done before.
    fn before(&self) -> u64 {
        self.now.map_or(0, |(built, _)| at(built.before))
    }

    /// Positions that this run has done.
    fn done(&self) -> u64 {
        self.now.map_or(0, |(built, _)| done(built))
    }

    fn tell_now_and_then(&mut self) {
        if self.told.is_none_or(|(_, told)| told.elapsed() >= EVERY) {
            self.tell();
        }
    }

    /// Tells how far it is, unless that was told.
    fn tell(&mut self) {
        let Some((built, took)) = self.now else { return };
        if self.told.is_none_or(|(told, _)| told != built) {
            self.told = Some((built, Instant::now()));
            tell_machine(&progress(built, took));
        }
    }
}

fn progress(built: Built, took: Duration) -> Value {
    let Built { name, generation, applied, parked, position, goal, .. } = built;
    let lag = at(goal).saturating_sub(at(position));
    json!({
        "progress": name,
        "generation": generation,
        "position": position.map(|position| position.0),
        "goal": goal.map(|goal| goal.0),
        "lag": lag,
        "events": applied,
        "eventsPerSecond": Pace::of(applied, took).rate(),
        "etaSeconds": Pace::of(done(built), took).seconds_for(lag),
        "parked": parked,
    })
}

pub(super) fn outcomes(outcomes: &[Outcome], output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Json => {
            let all: Vec<_> = outcomes.iter().map(outcome).collect();
            writeln!(out, "{}", Value::from(all))?;
        }
        Output::Jsonl => {
            for done in outcomes {
                writeln!(out, "{}", outcome(done))?;
            }
        }
        Output::Text => {
            for Outcome { built, comparison, live } in outcomes {
                let Built { name, generation, position, applied, parked, .. } = built;
                let at = position.map_or_else(|| "the beginning".into(), |at| at.to_string());
                let is = if *live { "live" } else { "built" };
                writeln!(
                    out,
                    "{name:<10} generation {generation} is {is}: at {at}, {applied} events \
                     applied, {parked} parked"
                )?;
                comparison.iter().try_for_each(|comparison| people(&mut out, comparison))?;
            }
        }
    }
    Ok(())
}

fn outcome(Outcome { built, comparison, live }: &Outcome) -> Value {
    json!({
        "name": built.name,
        "generation": built.generation,
        "position": built.position.map(|position| position.0),
        "events": built.applied,
        "parked": built.parked,
        "live": live,
        "comparison": comparison.as_ref().map(compared),
    })
}

pub(super) fn comparison(name: &str, found: &Comparison, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if output == Output::Text {
        writeln!(out, "{name}: generation {} beside {}, which is live", found.built, found.live)?;
        return people(&mut out, found);
    }
    let mut document = compared(found);
    document["name"] = name.into();
    writeln!(out, "{document}")
}

fn compared(found: &Comparison) -> Value {
    json!({
        "live": found.live,
        "built": found.built,
        "position": found.position.map(|position| position.0),
        "unexpected": found.unexpected(),
        "tables": found.tables.iter().map(table).collect::<Vec<_>>(),
    })
}

/// The live side of something and the built one.
fn sides<T: Serialize>([live, built]: &[T; 2]) -> Value {
    json!({ "live": live, "built": built })
}

fn table(found: &TableComparison) -> Value {
    let range = |KeyRange { from, to, checksums }: &KeyRange| json!({ "from": from, "to": to, "checksums": sides(checksums) });
    json!({
        "table": found.table,
        "rows": sides(&found.rows),
        "checksums": sides(&found.checksums),
        "expected": found.expected,
        "unexpected": found.unexpected,
        "ranges": found.ranges.iter().map(range).collect::<Vec<_>>(),
        "differences": found.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference(Difference { key, expected, what }: &Difference) -> Value {
    let change = |Change { column, live, built }: &Change| {
        (column.clone(), json!({ "live": live, "built": built }))
    };
    let what = match what {
        What::Missing => json!("missing"),
        What::Extra => json!("extra"),
        What::Changed(changes) => Value::Object(changes.iter().map(change).collect()),
    };
    json!({ "key": key, "expected": expected, "differs": what })
}

fn people(out: &mut impl io::Write, found: &Comparison) -> io::Result<()> {
    for found in &found.tables {
        let TableComparison { table, rows: [live, built], checksums, ranges, differences, .. } =
            found;
        let short = |sum: &str| sum.chars().take(SHORT).collect::<String>();
        if differences.is_empty() {
            writeln!(out, "  {table}: equal, {live} rows, checksum {}", short(&checksums[0]))?;
            continue;
        }
        writeln!(out, "  {table}: {live} rows are live, {built} were built")?;
        for range in ranges {
            let [live, built] = range.checksums.each_ref().map(|sum| short(sum));
            writeln!(out, "    {} to {}: {live}, built {built}", range.from, range.to)?;
        }
        for difference in differences {
            writeln!(out, "    {}", told(difference))?;
        }
    }
    let (unexpected, expected) = (found.unexpected(), expected(found));
    let at = found.position.map_or_else(|| "the beginning".into(), |at| at.to_string());
    writeln!(out, "  at {at}: {unexpected} unexpected differences, {expected} expected ones")
}

fn expected(found: &Comparison) -> u64 {
    found.tables.iter().map(|table| table.expected).sum()
}

fn told(Difference { key, expected, what }: &Difference) -> String {
    let note = if *expected { " (expected)" } else { "" };
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "no such column".into());
    match what {
        What::Missing => format!("{key}: only live{note}"),
        What::Extra => format!("{key}: only built{note}"),
        What::Changed(changes) => {
            let change = |change: &Change| {
                let (live, built) = (value(&change.live), value(&change.built));
                format!("{} {live}, built {built}", change.column)
            };
            let changes: Vec<_> = changes.iter().map(change).collect();
            format!("{key}: {}{note}", changes.join("; "))
        }
    }
}

pub(super) fn discarded(name: &str, generation: u32, output: Output) -> io::Result<()> {
    say(
        output,
        &json!({ "name": name, "discarded": generation }),
        &format!("{name}: generation {generation} is dropped"),
    )
}

pub(super) fn paused(name: &str, paused: bool, turned: bool, output: Output) -> io::Result<()> {
    let document = json!({ "name": name, "paused": paused, "changed": turned });
    let text = match (paused, turned) {
        (true, true) => "paused",
        (true, false) => "was paused already",
        (false, true) => "goes on",
        (false, false) => "was not paused",
    };
    say(output, &document, &format!("{name} {text}"))
}

fn say(output: Output, document: &Value, text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if output == Output::Text { writeln!(out, "{text}") } else { writeln!(out, "{document}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(position: u64, applied: u64) -> Built {
        let (position, goal) = (Some(Position(position)), Some(Position(9_999)));
        Built { name: "stock", generation: 2, before: None, position, goal, applied, parked: 0 }
    }

    #[test]
    fn the_first_report_tells_how_fast_it_is() {
        let told = progress(built(1_999, 500), Duration::from_secs(2));

        assert_eq!((&told["events"], &told["eventsPerSecond"]), (&json!(500), &json!(250.0)));
        assert_eq!((&told["lag"], &told["etaSeconds"]), (&json!(8_000), &json!(8.0)));
    }

    #[test]
    fn what_was_built_before_makes_it_no_faster() {
        let built = Built { before: Some(Position(5_999)), ..built(7_999, 500) };
        let told = progress(built, Duration::from_secs(2));

        assert_eq!((&told["lag"], &told["etaSeconds"]), (&json!(2_000), &json!(2.0)));
        assert_eq!(told["eventsPerSecond"], json!(250.0));
    }

    #[test]
    fn what_comes_after_a_build_makes_it_no_slower() {
        let mut build = Build::new();
        build.reach(built(9_999, 500), Duration::from_secs(2));
        build.reach(Built { generation: 1, ..built(10_500, 9) }, Duration::from_secs(50));

        let (last, took) = build.now.unwrap();

        assert_eq!((last, took), (built(9_999, 500), Duration::from_secs(2)));
        assert_eq!(build.done(), 10_000);
    }
}
