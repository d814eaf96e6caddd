//! The one binary: reads the command line and the configuration, and hands over.

mod aggregate;
mod apart;
mod bench;
mod cli;
mod config;
mod db;
mod demo;
mod dlq;
mod events;
mod housekeeping;
mod import;
mod integration;
mod platform;
mod processes;
mod progress;
mod projection;
mod psp;
mod serve;
mod shutdown;
mod store;
mod verify;
mod wire;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use daybook_observability::LogOptions;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tikv_jemallocator::Jemalloc;

use crate::cli::{Analytics, Cli, Command, Import, Notifications, Store};
use crate::config::{Config, LogFormat};

/// Events are decoded on one thread and dropped on another, which costs the system's allocator most.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = cli.settings.resolve(cli.config.as_deref())?;
    daybook_observability::init(&log_options(&config, &cli.command))?;
    allow_many_files();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run(cli.command, &config))
}

async fn run(command: Command, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(&args, config).await,
        Command::Import(Import::OnlineRetail(args)) => import::online_retail(args, config).await,
        Command::Aggregate(command) => aggregate::run(command, config).await,
        Command::Events(command) => events::run(command, config).await,
        Command::Projection(command) => projection::run(command, config).await,
        Command::Dlq(command) => dlq::run(command, config).await,
        Command::Store(command) => store::run(command, config).await,
        Command::Db(command) => db::run(command, config).await,
        Command::Verify(args) => verify::run(&args, config).await,
        Command::Bench(command) => bench::run(command, config).await,
        Command::Psp => psp::run(config).await,
        Command::Relay => integration::relay(config).await,
        Command::Notifications(command) => integration::notifications(command, config).await,
        Command::Analytics(command) => integration::analytics(command, config).await,
        Command::Completions { shell } => {
            let name = env!("CARGO_PKG_NAME");
            clap_complete::generate(shell, &mut Cli::command(), name, &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A large event store has more files open than what a process may have by default.
fn allow_many_files() {
    let limits = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limits.maximum, ..limits };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

#[expect(clippy::print_stderr, reason = "the last word to whoever called the program")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

/// Servers log what they do; a tool that says what it did only logs what is wrong.
fn log_options(config: &Config, command: &Command) -> LogOptions {
    let format = match config.log_format {
        LogFormat::Text => daybook_observability::LogFormat::Text,
        LogFormat::Json => daybook_observability::LogFormat::Json,
    };
    let serves = matches!(
        command,
        Command::Serve(_)
            | Command::Psp
            | Command::Store(Store::Serve { .. })
            | Command::Relay
            | Command::Notifications(Notifications::Run)
            | Command::Analytics(Analytics::Run)
    );
    let usual = if serves { "info" } else { "warn" };
    LogOptions { filter: config.log.clone().unwrap_or_else(|| usual.into()), format }
}
