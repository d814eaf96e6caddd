//! `daybook bench`: this machine's figures, beside what they are measured against.

mod import;
mod rebuild;
mod store;

use std::process::ExitCode;

use crate::cli::Bench;
use crate::config::Config;

pub(crate) async fn run(command: Bench, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Bench::Import(args) => import::run(args, config).await,
        Bench::Rebuild(args) => rebuild::run(&args, config).await,
        Bench::Store(args) => store::run(args, config).await,
    }
}
