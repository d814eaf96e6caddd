//! `daybook db`: the database of the read models.

use std::io::Write as _;
use std::process::ExitCode;

use daybook_projections::{Database, Step, StepState};
use daybook_query_side::ProjectionStatus;
use serde::Serialize;

use crate::cli::{Db, Output};
use crate::config::Config;
use crate::platform::{self, Layout};

/// Exit code for a database that is not of this release.
const UNHEALTHY: u8 = 3;

#[derive(Serialize)]
struct Status {
    database: String,
    steps: Vec<StepStatus>,
    projections: Vec<ProjectionStatus>,
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
    let output = match command {
        Db::Migrate(args) => {
            database.migrate().await?;
            args.output
        }
        Db::Status(args) => args.output,
    };
    let steps = database.migrations().await?;
    let is_current = steps.iter().all(|step| step.state == StepState::Taken);
    let projections = if steps.iter().any(|step| step.state == StepState::Taken) {
        platform::open_queries(config)?.projections().await?
    } else {
        Vec::new()
    };
    database.close().await;
    let steps = steps.into_iter().map(StepStatus::from).collect();
    print(&Status { database: address.to_string(), steps, projections }, output)?;
    Ok(if is_current { ExitCode::SUCCESS } else { ExitCode::from(UNHEALTHY) })
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
    for StepStatus { version, name, state } in &status.steps {
        writeln!(out, "step {version} {name}: {state}")?;
    }
    for projection in &status.projections {
        let ProjectionStatus { name, generation, live, position, parked, .. } = projection;
        let live = if *live { ", live" } else { "" };
        let position = position.map_or("the beginning".into(), |at| at.to_string());
        writeln!(
            out,
            "projection {name}, generation {generation}{live}: at {position}, {parked} parked"
        )?;
    }
    Ok(())
}
