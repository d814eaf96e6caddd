//! `daybook projection`: the read models, built anew, compared and made live.

mod report;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use daybook_event_store::EventStore;
use daybook_projections::{
    Comparison, Expected, Generation, OperateError, Operator, Outcome, Role, Then, catalog,
};
use futures::StreamExt;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::cli::{Named, Projection, Rebuild};
use crate::config::Config;
use crate::platform::operator;
use crate::{cli, platform, serve, shutdown};
use report::{Reporter, Status};

/// Exit code for what is not known.
const FAILURE: u8 = 1;
/// Exit code for differences that nobody expected, and for what cannot catch up.
const UNHEALTHY: u8 = 3;
/// Exit code for what somebody else works on.
const CONFLICT: u8 = 4;
/// Exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// Read models that are built at the same time.
pub(crate) const AT_A_TIME: usize = 3;

/// The file of expected differences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    #[serde(default)]
    expected: Vec<Pattern>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    table: String,
    key: String,
    column: String,
}

pub(crate) async fn run(command: Projection, config: &Config) -> anyhow::Result<ExitCode> {
    let done = match command {
        Projection::List(output) => {
            let is_live = |g: &Generation| g.role == Role::Live;
            return status(config, None, is_live, output.output).await;
        }
        Projection::Status { name, output } => {
            let is_asked = |g: &Generation| name.as_ref().is_none_or(|name| *name == g.name);
            return status(config, name.as_deref(), is_asked, output.output).await;
        }
        Projection::Rebuild(args) => rebuild(&args, config).await,
        Projection::Verify { of, allow } => verify(&of, allow.as_deref(), config).await,
        Projection::Cutover(of) => cut_over(&of, config).await,
        Projection::Rollback(of) => roll_back(&of, config).await,
        Projection::Pause(of) => pause(&of, config, true).await,
        Projection::Resume(of) => pause(&of, config, false).await,
    };
    done.or_else(|error| match error.downcast_ref() {
        Some(OperateError::Behind { .. } | OperateError::LiveBehind { .. }) => {
            Ok(refuse(&error, UNHEALTHY))
        }
        Some(OperateError::InUse { .. } | OperateError::TakenOver { .. }) => {
            Ok(refuse(&error, CONFLICT))
        }
        Some(OperateError::Interrupted) => Ok(refuse(&error, INTERRUPTED)),
        _ => Err(error),
    })
}

/// Tells why nothing is done, and the exit code that says so to a program.
fn refuse(error: &anyhow::Error, code: u8) -> ExitCode {
    serve::tell(&format!("error: {error:#}"));
    ExitCode::from(code)
}

async fn status(
    config: &Config,
    name: Option<&str>,
    is_asked: impl Fn(&Generation) -> bool,
    output: cli::Output,
) -> anyhow::Result<ExitCode> {
    let mut generations = Vec::new();
    let (mut head, mut code) = (None, ExitCode::SUCCESS);
    if let Some(operator) = platform::find_operator(config)? {
        for told in operator.survey(name).await {
            match told {
                Ok(told) => generations.extend(told),
                Err(error) => code = refuse(&error.into(), FAILURE),
            }
        }
        head = platform::look_at_store(config)?.head().await?;
    }
    generations.retain(is_asked);
    generations.sort_by_key(|g| (g.name == catalog::NAME, g.name.clone(), g.generation));
    let all: Vec<_> = generations.iter().map(|generation| Status::new(generation, head)).collect();
    report::write(&all, output)?;
    Ok(code)
}

async fn rebuild(args: &Rebuild, config: &Config) -> anyhow::Result<ExitCode> {
    let (operator, stop) = (operator(config)?, shutdown::on_signal());
    let all: Vec<_> = cli::all_names().map(str::to_owned).collect();
    let names = if args.all { &all } else { &args.names };
    if args.discard {
        for name in names {
            let generation = operator.discard_build(name).await?;
            report::discarded(name, generation, args.output.output)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let expected = expected(args.allow.as_deref())?;
    let then = Then { verify: args.verify.then_some(expected.as_slice()), cut_over: args.cutover };
    let reporter = Reporter::new(names.len(), args.output.output);
    let outcomes: Vec<_> = futures::stream::iter(names)
        .map(|name| one(&operator, name, then, &reporter, &stop))
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    reporter.finish();
    let outcomes = outcomes.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    report::outcomes(&outcomes, args.output.output)?;
    Ok(verdict(outcomes.iter().filter_map(|outcome| outcome.comparison.as_ref())))
}

async fn one(
    operator: &Operator,
    name: &str,
    then: Then<'_>,
    reporter: &Reporter,
    stop: &CancellationToken,
) -> anyhow::Result<Outcome> {
    let report = |built| reporter.tell(built);
    reporter.begin(name);
    Ok(operator.rebuild(name, then, &report, stop).await?)
}

fn verdict<'a>(mut comparisons: impl Iterator<Item = &'a Comparison>) -> ExitCode {
    let differs = comparisons.any(|comparison| comparison.unexpected() > 0);
    if differs { ExitCode::from(UNHEALTHY) } else { ExitCode::SUCCESS }
}

fn expected(file: Option<&Path>) -> anyhow::Result<Vec<Expected>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the expected differences {}", file.display()))?;
    let allowed: Allowed = toml::from_str(&text).with_context(|| {
        format!("the expected differences {} are not as they should be", file.display())
    })?;
    let expected = allowed.expected.into_iter();
    Ok(expected.map(|Pattern { table, key, column }| Expected { table, key, column }).collect())
}

async fn verify(of: &Named, allow: Option<&Path>, config: &Config) -> anyhow::Result<ExitCode> {
    let expected = expected(allow)?;
    let comparison = operator(config)?.verify(&of.name, &expected).await?;
    report::comparison(&of.name, &comparison, of.output.output)?;
    Ok(verdict(std::iter::once(&comparison)))
}

async fn cut_over(of: &Named, config: &Config) -> anyhow::Result<ExitCode> {
    let outcome = operator(config)?.cut_over(&of.name).await?;
    report::outcomes(&[outcome], of.output.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn roll_back(of: &Named, config: &Config) -> anyhow::Result<ExitCode> {
    let (operator, stop) = (operator(config)?, shutdown::on_signal());
    let reporter = Reporter::new(1, of.output.output);
    reporter.begin(&of.name);
    let outcome = operator.roll_back(&of.name, &|built| reporter.tell(built), &stop).await;
    reporter.finish();
    report::outcomes(&[outcome?], of.output.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn pause(of: &Named, config: &Config, paused: bool) -> anyhow::Result<ExitCode> {
    let (operator, name) = (operator(config)?, &of.name);
    let turned = if paused { operator.pause(name).await? } else { operator.resume(name).await? };
    report::paused(name, paused, turned, of.output.output)?;
    Ok(ExitCode::SUCCESS)
}
