//! The embedded event store beside others that do the same work.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use daybook_event_store_comparison::{
    Aim, Comparison, Figure, Outcome, Part, Quantity, Report, Spread, WireComparison,
};

use super::{INTERRUPTED, exit_code, verdict};
use crate::cli::{BenchPart, BenchStore, Output};
use crate::config::Config;
use crate::progress::Progress;
use crate::shutdown;

pub(super) async fn run(args: BenchStore, config: &Config) -> anyhow::Result<ExitCode> {
    let folder = args.dir.as_deref().unwrap_or(&config.data_dir);
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot work in {}", folder.display()))?;
    let interrupted = shutdown::on_signal();
    let report = tokio::select! {
        report = measure(&args, folder) => report?,
        () = interrupted.cancelled() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let mut out = io::stdout().lock();
    match args.output.output {
        Output::Text => print(&report, &mut out)?,
        Output::Json | Output::Jsonl => writeln!(out, "{}", serde_json::to_string(&report)?)?,
    }
    Ok(exit_code(report.quiet))
}

async fn measure(args: &BenchStore, folder: &Path) -> anyhow::Result<Report> {
    let (seconds, rounds) = if args.quick { (0.1, 2) } else { (1.0, 5) };
    let (time, small) = (Duration::from_secs_f64(args.seconds.unwrap_or(seconds)), args.quick);
    let rounds = args.rounds.unwrap_or(rounds).into();
    let mut progress;
    let report = if args.wire {
        let program = std::env::current_exe().context("cannot find this program")?.into();
        let servers = vec![program, "bench".into(), "serve".into()];
        let comparison = WireComparison { time, rounds, small, umadb: args.umadb.clone(), servers };
        progress = Progress::new("turns", comparison.steps());
        comparison.run(folder, || progress.step()).await
    } else {
        let comparison = Comparison { parts: parts(&args.only), time, rounds, small };
        progress = Progress::new("turns", comparison.steps());
        comparison.run(folder, || progress.step()).await
    };
    progress.finish();
    report.with_context(|| format!("cannot measure in {}", folder.display()))
}

fn parts(only: &[BenchPart]) -> Vec<Part> {
    [
        (BenchPart::Append, Part::Append),
        (BenchPart::Read, Part::Read),
        (BenchPart::Live, Part::Live),
    ]
    .into_iter()
    .filter(|(asked, _)| only.is_empty() || only.contains(asked))
    .map(|(_, part)| part)
    .collect()
}

fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let Spread { median, min, max } = report.probe_micros;
    if let Some(advice) = report.advice {
        writeln!(out, "{advice}")?;
    }
    writeln!(out, "probe: write and fdatasync of 1 KiB in {median:.0} µs ({min:.0} to {max:.0})")?;
    writeln!(
        out,
        "{} rounds in {:.0} s; medians, and the least and most",
        report.rounds, report.seconds
    )?;
    for measure in &report.measures {
        writeln!(out, "\n{}", measure.name.replace('_', " "))?;
        for outcome in &measure.contenders {
            writeln!(out, "  {}", line(outcome))?;
        }
    }
    if !report.aims.is_empty() {
        writeln!(out, "\naims")?;
    }
    for aim in &report.aims {
        writeln!(out, "  {}", self::aim(aim))?;
    }
    Ok(())
}

fn line(outcome: &Outcome) -> String {
    let mut line = format!("{:<22}", outcome.name.replace('_', " "));
    line.extend(outcome.figures.iter().map(|(figure, spread)| figure_text(*figure, *spread)));
    if let Some(Spread { median, min, max }) = outcome.daybook_to_it {
        line.extend([format!("  daybook is {median:.2} of it ({min:.2} to {max:.2})")]);
    }
    line
}

fn figure_text(figure: Figure, Spread { median, min, max }: Spread) -> String {
    match figure {
        Figure::PerSecond => {
            format!(
                " {:>10}/s {:>25}",
                grouped(median),
                format!("({} to {})", grouped(min), grouped(max))
            )
        }
        Figure::P50Micros => format!("  p50 {median:>5.0} µs"),
        Figure::P99Micros => format!("  p99 {median:>6.0} µs"),
        Figure::CpuMicros => format!("  CPU {median:>7.2} µs"),
        Figure::Millis => format!(" {median:>10.1} ms ({min:.1} to {max:.1})"),
        Figure::DiskBytesRead => {
            format!("  read from disk {:>6.1} MiB", median / f64::from(1 << 20))
        }
        Figure::BytesPerPayloadByte => format!(" {median:>10.3} bytes for each of payload"),
    }
}

/// With a comma every three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn aim(aim: &Aim) -> String {
    let what = match aim.quantity {
        Quantity::RatioTo(peer) => format!("to {}", peer.replace('_', " ")),
        Quantity::Figure(Figure::PerSecond) => "per second".into(),
        Quantity::Figure(Figure::CpuMicros) => "µs of CPU".into(),
        Quantity::Figure(Figure::Millis) => "ms".into(),
        Quantity::Figure(Figure::BytesPerPayloadByte) => "bytes for each of payload".into(),
        Quantity::Figure(other) => format!("{other:?}"),
    };
    let [name, who] = [aim.measure, aim.contender].map(|name| name.replace('_', " "));
    let Aim { bound, measured, .. } = aim;
    format!("{:<10} {name}, {who}, {what}: {bound}, measured {measured:.2}", verdict(aim.met))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_threes() {
        assert_eq!(
            [7.0, 999.6, 1_000.0, 15_000_000.4].map(grouped),
            ["7", "1,000", "1,000", "15,000,000"]
        );
    }

    #[test]
    fn all_parts_are_measured_unless_some_are_named() {
        assert_eq!(parts(&[]), [Part::Append, Part::Read, Part::Live]);
        assert_eq!(parts(&[BenchPart::Live, BenchPart::Append]), [Part::Append, Part::Live]);
    }
}
