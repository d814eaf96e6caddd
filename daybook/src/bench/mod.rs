//! `daybook bench`: this machine's figures, beside what they are measured against.

mod import;
mod rebuild;
mod search;
mod store;

use std::process::ExitCode;

use crate::cli::Bench;
use crate::config::Config;

/// Exit code for a machine that was not quiet enough to judge by.
const UNHEALTHY: u8 = 3;
/// Exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

pub(crate) async fn run(command: Bench, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Bench::Import(args) => import::run(args, config).await,
        Bench::Rebuild(args) => rebuild::run(&args, config).await,
        Bench::Search(args) => search::run(&args, config).await,
        Bench::Store(args) => store::run(args, config).await,
    }
}
