//! `daybook verify`: whether the books are right.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use daybook_command_side::payments::SimulatedProvider;
use daybook_domain::values::Timestamp;
use daybook_query_side::verify::{Check, ReadModels, verify};
use serde::Serialize;

use crate::cli::{Output, OutputArg};
use crate::config::Config;
use crate::platform::{self, Layout};

/// How long read models that are behind may take to catch up, where a server is running.
const PATIENCE: Duration = Duration::from_secs(5);

/// Exit code for books that are not right.
const UNHEALTHY: u8 = 3;

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    checks: Vec<Check>,
}

pub(crate) async fn run(args: &OutputArg, config: &Config) -> anyhow::Result<ExitCode> {
    let layout = Layout(config);
    let store = platform::look_at_store(config)?;
    let models = ReadModels {
        queries: platform::open_queries(config)?,
        catalog: platform::open_catalog(config)?,
        patience: PATIENCE,
    };
    let now = Timestamp::from_micros(chrono::Utc::now().timestamp_micros());
    let mut checks = verify(&store, Some(&models), now).await?;
    if layout.ledger().exists() {
        checks.push(provider_check(config).await?);
    }
    let verdict = Verdict { ok: checks.iter().all(|check| check.ok), checks };
    print(&verdict, args.output)?;
    Ok(if verdict.ok { ExitCode::SUCCESS } else { ExitCode::from(UNHEALTHY) })
}

/// The simulated provider keeps books of its own: what it took must be what was asked of it, once.
async fn provider_check(config: &Config) -> anyhow::Result<Check> {
    let provider = SimulatedProvider::new(platform::look_at_ledger(config)?);
    let ledger = provider.ledger().await?;
    let (captures, twice, over) = (ledger.captures, ledger.charged_twice, ledger.overdrawn);
    Ok(Check {
        name: "the payment provider charged nobody twice".into(),
        ok: twice == 0 && over == 0,
        detail: format!("{captures} captures, {twice} charged twice, {over} above authorization"),
    })
}

fn print(verdict: &Verdict, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(verdict)?)?;
        return Ok(());
    }
    for Check { name, ok, detail } in &verdict.checks {
        writeln!(out, "{:<6} {name}: {detail}", if *ok { "ok" } else { "WRONG" })?;
    }
    let wrong = verdict.checks.iter().filter(|check| !check.ok).count();
    if verdict.ok {
        writeln!(out, "the books are right: all {} checks hold", verdict.checks.len())?;
    } else {
        writeln!(out, "{wrong} of {} checks do not hold", verdict.checks.len())?;
    }
    Ok(())
}
