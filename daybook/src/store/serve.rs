//! `daybook store serve`: the event store alone, for EventStoreDB's clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use daybook_event_store::{EmbeddedOptions, Limits, Store};

use crate::cli::Wire;
use crate::config::Config;
use crate::serve::tell;
use crate::wire::WireServer;
use crate::{housekeeping, shutdown};

/// EventStoreDB's port.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2113);

pub(super) async fn run(folder: &Path, wire: &Wire, config: &Config) -> anyhow::Result<ExitCode> {
    let stopping = shutdown::on_signal();
    let address = config.listen.unwrap_or(DEFAULT_ADDRESS);
    // First, so that a port in use is told before anything is opened.
    let server = WireServer::listen(wire, address, config.shutdown).await?.stopped_by_clients();
    let store = open(folder, wire, config)?;
    server.admit(&store).await?;
    housekeeping::start(&store, config.scavenge_interval, &stopping);
    let connect = server.connection_string();
    tell(&format!("daybook store serves on {connect}, data in {}", folder.display()));
    server.serve(store.clone(), stopping).await?;
    store.close();
    tell("daybook has stopped; everything is on disk");
    Ok(ExitCode::SUCCESS)
}

fn open(folder: &Path, wire: &Wire, config: &Config) -> anyhow::Result<Store> {
    let cannot = || format!("cannot open the event store in {}", folder.display());
    std::fs::create_dir_all(folder).with_context(cannot)?;
    let mut limits = Limits::default();
    limits.event_bytes = limits.event_bytes.max(wire.max_append_size as usize);
    let compress = config.store_compress;
    let options = EmbeddedOptions { limits, compress, ..EmbeddedOptions::default() };
    Store::embedded(folder, &options).with_context(cannot)
}
