//! The process managers of the platform, and `daybook processes` to look after them.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use daybook_command_side::Commands;
use daybook_command_side::payments::Provider;
use daybook_command_side::processes::{
    ParkedEffect, ProcessHandle, ProcessOptions, ProcessRuntime, Progress, discard, list, retry,
};
use daybook_domain::ProcessManager;
use daybook_domain::checkout::Checkout;
use daybook_domain::fulfilment::Fulfilment;
use daybook_domain::values::Timestamp;
use daybook_event_schemas::{Actor, format_timestamp};
use daybook_event_store::{Position, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cli::{self, Output};
use crate::config::Config;
use crate::platform;

const NAMES: [&str; 2] = [Checkout::NAME, Fulfilment::NAME];

/// The running process managers.
pub(crate) struct Processes {
    running: [(&'static str, ProcessHandle); 2],
}

impl Processes {
    /// Starts them all.
    pub(crate) fn start(
        commands: &Commands,
        provider: &Provider,
        shutdown: &CancellationToken,
    ) -> Self {
        let options = ProcessOptions::default;
        let checkout = ProcessRuntime::<Checkout>::start(
            commands.clone(),
            provider.clone(),
            options(),
            shutdown.clone(),
        );
        let fulfilment =
            ProcessRuntime::<Fulfilment>::start(commands.clone(), (), options(), shutdown.clone());
        Self { running: [(Checkout::NAME, checkout), (Fulfilment::NAME, fulfilment)] }
    }

    /// How far each of them is.
    pub(crate) fn progress(
        &self,
    ) -> impl Iterator<Item = (&'static str, watch::Receiver<Progress>)> {
        self.running.iter().map(|(name, handle)| (*name, handle.progress()))
    }

    /// Waits until everything up to a position has been taken in and carried out.
    pub(crate) async fn reach(&self, head: Position) {
        for (_, mut progress) in self.progress() {
            // An error means that the process has ended: nothing more will come.
            let _ = progress.wait_for(|progress| progress.settled >= Some(head)).await;
        }
    }

    /// Waits until they have stopped.
    pub(crate) async fn join(self) -> anyhow::Result<()> {
        for (_, handle) in self.running {
            handle.join().await?;
        }
        Ok(())
    }
}

pub(crate) async fn run(command: cli::Processes, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        cli::Processes::Parked { output } => {
            for parked in parked(&platform::look_at_store(config)?).await? {
                print(&parked, output.output)?;
            }
        }
        cli::Processes::Retry { id } => {
            retry_parked(&platform::open_store(config)?, id, config).await?;
        }
        cli::Processes::Discard { id, reason } => {
            let store = platform::open_store(config)?;
            let process = process_of(&store, id).await?;
            discard(&store, process, id, &reason, &operator()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn parked(store: &Store) -> anyhow::Result<Vec<ParkedEffect>> {
    let mut all = Vec::new();
    for process in NAMES {
        all.extend(list(store, process).await?);
    }
    Ok(all)
}

async fn retry_parked(store: &Store, id: Uuid, config: &Config) -> anyhow::Result<()> {
    let commands = Commands::new(store.clone());
    if process_of(store, id).await? == Checkout::NAME {
        let provider = platform::provider(config)?;
        retry::<Checkout>(&commands, &provider, id, &operator()).await?;
    } else {
        retry::<Fulfilment>(&commands, &(), id, &operator()).await?;
    }
    Ok(())
}

async fn process_of(store: &Store, id: Uuid) -> anyhow::Result<&'static str> {
    for process in NAMES {
        if list(store, process).await?.iter().any(|parked| parked.command_id == id) {
            return Ok(process);
        }
    }
    bail!("nothing is parked under {id}; `daybook processes parked` lists what is")
}

fn operator() -> Actor {
    Actor("operator:cli".into())
}

fn print(parked: &ParkedEffect, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let ParkedEffect {
        process,
        instance,
        command_id,
        command,
        error,
        attempts,
        parked_at,
        correlation_id,
    } = parked;
    if output != Output::Text {
        let parked = serde_json::json!({
            "id": command_id,
            "process": process,
            "instance": instance,
            "command": command,
            "error": error,
            "attempts": attempts,
            "parkedAt": format_timestamp(Timestamp::from_micros(*parked_at)),
            "correlationId": correlation_id,
        });
        writeln!(out, "{parked}")?;
        return Ok(());
    }
    writeln!(out, "{command_id}  {process}-{instance}  after {attempts} attempts: {error}")?;
    writeln!(out, "    {command}")?;
    Ok(())
}
