//! `daybook db`: the databases of the read models, and that of the relay and the consumers.

use std::io::Write;
use std::process::ExitCode;

use daybook_integration::MIGRATIONS;
use daybook_projections::{Address, Database, Operator, Step, StepState};
use daybook_query_side::{ProjectionStatus, Queries};
use serde::Serialize;

use crate::cli::{Db, Output, OutputArg};
use crate::config::Config;
use crate::platform::{self, Layout};
use crate::serve::tell;

/// Exit code for a database that is not of this release.
const UNHEALTHY: u8 = 3;

#[derive(Serialize)]
struct Report {
    /// The database of all read models that have none of their own.
    #[serde(flatten)]
    usual: Status,
    /// Those of some read models alone.
    apart: Vec<Status>,
    consumers: Tables,
}

/// A database with read models.
#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    tables: Tables,
    /// Which read models are to be in it.
    models: Vec<&'static str>,
    projections: Vec<ProjectionStatus>,
}

/// Some tables: where they are, and the steps by which they are made.
#[derive(Serialize)]
struct Tables {
    database: String,
    /// Why the database cannot be used, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    steps: Vec<StepStatus>,
}

#[derive(Serialize)]
struct StepStatus {
    version: i64,
    name: String,
    state: &'static str,
    #[serde(skip)]
    is_taken: bool,
}

pub(crate) async fn run(command: Db, config: &Config) -> anyhow::Result<ExitCode> {
    let databases = platform::open_databases(config)?;
    // Of the databases themselves: a replica may be away, or not have yet what is migrated here.
    let queries = Queries::open_apart(&Layout(config).read_models()?, &config.database_limits)?;
    let migrate = matches!(command, Db::Migrate(_));
    let (Db::Migrate(OutputArg { output }) | Db::Status(OutputArg { output })) = command;
    let status = async |database: &Database| {
        let models = Operator::names().into_iter().filter(|name| databases.is_of(database, name));
        let status = Status::of(database, models.collect(), &queries, migrate).await;
        database.close().await;
        status
    };
    let usual = status(databases.usual()).await;
    let mut apart = Vec::new();
    for (_, database) in databases.iter().skip(1) {
        apart.push(status(database).await);
    }
    let consumers = Tables::of_consumers(config, migrate).await?;
    let report = Report { usual, apart, consumers };
    print(&report, output)?;
    Ok(report.verdict())
}

impl Report {
    fn verdict(&self) -> ExitCode {
        let of_models = || [&self.usual].into_iter().chain(&self.apart).map(|one| &one.tables);
        let tables = || of_models().chain([&self.consumers]);
        let errors = tables().filter_map(|tables| tables.error.as_deref());
        if errors.inspect(|error| tell(&format!("error: {error}"))).count() > 0 {
            return ExitCode::FAILURE;
        }
        let is_current = tables().flat_map(|tables| &tables.steps).all(|step| step.is_taken);
        if is_current { ExitCode::SUCCESS } else { ExitCode::from(UNHEALTHY) }
    }
}

impl Status {
    async fn of(
        database: &Database,
        models: Vec<&'static str>,
        queries: &Queries,
        migrate: bool,
    ) -> Self {
        let asked = async {
            if migrate {
                database.migrate().await?;
            }
            let steps = database.migrations().await?;
            let is_made = steps.iter().any(|step| step.state == StepState::Taken);
            let projections = match models.first().filter(|_| is_made) {
                Some(model) => queries.projections_beside(model).await?,
                None => Vec::new(),
            };
            anyhow::Ok((steps, projections))
        };
        let ((steps, projections), error) = split(asked.await);
        let tables = Tables::new(database.address(), steps, error);
        Self { tables, models, projections }
    }
}

impl Tables {
    /// Those of the relay and the consumers.
    async fn of_consumers(config: &Config, migrate: bool) -> anyhow::Result<Self> {
        let (address, limits) = (Layout(config).integration()?, &config.database_limits);
        let asked = async {
            let pool = if migrate {
                daybook_integration::open(&address, limits).await?
            } else {
                daybook_integration::connect(&address, limits).await?
            };
            let steps = MIGRATIONS.status(&pool).await;
            pool.close().await;
            anyhow::Ok(steps?)
        };
        let (steps, error) = split(asked.await);
        Ok(Self::new(&address, steps, error))
    }

    fn new(address: &Address, steps: Vec<Step>, error: Option<String>) -> Self {
        let steps = steps.into_iter().map(StepStatus::from).collect();
        Self { database: address.to_string(), error, steps }
    }
}

/// What was answered, or nothing and why.
fn split<T: Default>(answer: anyhow::Result<T>) -> (T, Option<String>) {
    match answer {
        Ok(answer) => (answer, None),
        Err(error) => (T::default(), Some(format!("{error:#}"))),
    }
}

impl From<Step> for StepStatus {
    fn from(Step { version, name, state }: Step) -> Self {
        let told = match state {
            StepState::Taken => "taken",
            StepState::Missing => "missing",
            StepState::Unknown => "of a later release",
        };
        Self { version, name, state: told, is_taken: state == StepState::Taken }
    }
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if output != Output::Text {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    people(&mut out, "", &report.usual)?;
    for apart in &report.apart {
        people(&mut out, &format!("{}: ", apart.models.join(", ")), apart)?;
    }
    tables(&mut out, "consumers: ", &report.consumers)?;
    Ok(())
}

fn people(out: &mut impl Write, what: &str, status: &Status) -> std::io::Result<()> {
    tables(out, what, &status.tables)?;
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

fn tables(out: &mut impl Write, what: &str, tables: &Tables) -> std::io::Result<()> {
    let is_away = if tables.error.is_some() { ": cannot be used" } else { "" };
    writeln!(out, "{what}{}{is_away}", tables.database)?;
    tables.steps.iter().try_for_each(|StepStatus { version, name, state, .. }| {
        writeln!(out, "step {version} {name}: {state}")
    })
}
