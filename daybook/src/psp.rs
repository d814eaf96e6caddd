//! `daybook psp`: the simulated payment provider as a server of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::Context;
use daybook_command_side::payments::{SimulatedProvider, server};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::serve::{limits, tell};
use crate::{platform, shutdown};

const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8421);

pub(crate) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let stopping = shutdown::on_signal();
    let ledger = platform::open_ledger(config)?;
    let address = config.listen.unwrap_or(DEFAULT_ADDRESS);
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let (address, folder) = (listener.local_addr()?, config.data_dir.display());
    tell(&format!("daybook psp serves on http://{address}, its books in {folder}"));
    let router = server::router(SimulatedProvider::new(ledger));
    daybook_gateway::serve(listener, router, &limits(config), stopping).await?;
    Ok(ExitCode::SUCCESS)
}
