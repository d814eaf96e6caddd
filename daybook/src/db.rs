//! `daybook db`: the database of the read models, and that of the relay and the consumers.

use std::io::Write;
use std::process::ExitCode;

use daybook_integration::MIGRATIONS;
use daybook_projections::{Address, Database, Step, StepState};
use daybook_query_side::ProjectionStatus;
use serde::Serialize;

use crate::cli::{Db, Output, OutputArg};
use crate::config::Config;
use crate::platform::{self, Layout};

/// Exit code for a database that is not of this release.
const UNHEALTHY: u8 = 3;

#[derive(Serialize)]
struct Status {
    database: String,
    steps: Vec<StepStatus>,
    projections: Vec<ProjectionStatus>,
    consumers: Tables,
}

/// What the relay and the consumers keep, and where.
#[derive(Serialize)]
struct Tables {
    database: String,
    steps: Vec<StepStatus>,
}

#[derive(Serialize)]
struct StepStatus {
    version: i64,
    name: String,
    state: &'static str,
}

pub(crate) async fn run(command: Db, config: &Config) -> anyhow::Result<ExitCode> {
    let address = Layout(config).read_models()?;
    let database = Database::connect(&address, &config.database_limits).await?;
    let migrate = matches!(command, Db::Migrate(_));
    let (Db::Migrate(OutputArg { output }) | Db::Status(OutputArg { output })) = command;
    if migrate {
        database.migrate().await?;
    }
    let steps = database.migrations().await?;
    let (consumers, consumer_steps) = consumer_steps(config, migrate).await?;
    let is_current = steps.iter().chain(&consumer_steps).all(|step| step.state == StepState::Taken);
    let projections = if steps.iter().any(|step| step.state == StepState::Taken) {
        platform::open_queries(config)?.projections().await?
    } else {
        Vec::new()
    };
    database.close().await;
    let told = |steps: Vec<Step>| steps.into_iter().map(StepStatus::from).collect();
    let consumers = Tables { database: consumers.to_string(), steps: told(consumer_steps) };
    let steps = told(steps);
    print(&Status { database: address.to_string(), steps, projections, consumers }, output)?;
    Ok(if is_current { ExitCode::SUCCESS } else { ExitCode::from(UNHEALTHY) })
}

/// Where the relay and the consumers keep what is theirs, and which steps that has taken.
async fn consumer_steps(config: &Config, migrate: bool) -> anyhow::Result<(Address, Vec<Step>)> {
    let (address, limits) = (Layout(config).integration()?, &config.database_limits);
    let pool = if migrate {
        daybook_integration::open(&address, limits).await?
    } else {
        daybook_integration::connect(&address, limits).await?
    };
    let steps = MIGRATIONS.status(&pool).await?;
    pool.close().await;
    Ok((address, steps))
}

impl From<Step> for StepStatus {
    fn from(Step { version, name, state }: Step) -> Self {
        let state = match state {
            StepState::Taken => "taken",
            StepState::Missing => "missing",
            StepState::Unknown => "of a later release",
        };
        Self { version, name, state }
    }
}

fn print(status: &Status, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(status)?)?;
        return Ok(());
    }
    writeln!(out, "{}", status.database)?;
    let steps = |out: &mut dyn Write, steps: &[StepStatus]| -> std::io::Result<()> {
        steps.iter().try_for_each(|StepStatus { version, name, state }| {
            writeln!(out, "step {version} {name}: {state}")
        })
    };
    steps(&mut out, &status.steps)?;
    for projection in &status.projections {
        let ProjectionStatus { name, generation, live, position, parked, .. } = projection;
        let live = if *live { ", live" } else { "" };
        let position = position.map_or("the beginning".into(), |at| at.to_string());
        writeln!(
            out,
            "projection {name}, generation {generation}{live}: at {position}, {parked} parked"
        )?;
    }
    writeln!(out, "consumers: {}", status.consumers.database)?;
    steps(&mut out, &status.consumers.steps)?;
    Ok(())
}
