//! `daybook serve`: the platform behind its gateway.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::Context;
use daybook_command_side::idempotency::Idempotency;
use daybook_domain::values::Timestamp;
use daybook_event_store::Store;
use daybook_gateway::{Gateway, GatewayOptions};
use daybook_query_side::Queries;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::Serve;
use crate::config::Config;
use crate::integration::Integration;
use crate::platform::{self, Platform};
use crate::wire::WireServer;
use crate::{demo, shutdown};

const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8420);

pub(crate) async fn run(args: &Serve, config: &Config) -> anyhow::Result<ExitCode> {
    let stopping = shutdown::on_signal();
    let address = config.listen.unwrap_or(DEFAULT_ADDRESS);
    // First, so that a port in use is told before anything is opened.
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is it in use? choose another with --listen")
    })?;
    let address = listener.local_addr()?;
    let wire = match config.store_listen {
        Some(address) => Some(WireServer::listen(&args.wire, address, config.shutdown).await?),
        None => None,
    };
    let queries = platform::open_queries(config)?;
    let platform = Platform::start(config).await?;
    let wire = match wire {
        Some(wire) => Some(serve_store(wire, &platform.store, &stopping).await?),
        None => None,
    };
    let integration = Integration::start(&platform.store, config, &stopping).await?;
    if args.demo {
        let now = Timestamp::from_micros(chrono::Utc::now().timestamp_micros());
        demo::set_up(&platform.commands, now).await?;
        tell(&demo::what_to_try(address));
    }
    tell(&format!("daybook serves on http://{address}, data in {}", config.data_dir.display()));
    gateway(&platform, queries, config)?.serve(listener, limits(config), stopping).await?;
    if let Some(wire) = wire {
        wire.await??;
    }
    integration.join().await?;
    platform.stop().await?;
    tell("daybook has stopped; everything is on disk");
    Ok(ExitCode::SUCCESS)
}

/// Serves the store to EventStoreDB's clients, beside the platform.
async fn serve_store(
    wire: WireServer,
    store: &Store,
    stopping: &CancellationToken,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    wire.admit(store).await?;
    tell(&format!("its event store is served on {}", wire.connection_string()));
    Ok(tokio::spawn(wire.serve(store.clone(), stopping.child_token())))
}

/// What every server of HTTP takes, and how long it waits.
pub(crate) fn limits(config: &Config) -> GatewayOptions {
    GatewayOptions { drain_timeout: config.shutdown, ..GatewayOptions::default() }
}

fn gateway(platform: &Platform, queries: Queries, config: &Config) -> anyhow::Result<Gateway> {
    Ok(Gateway {
        commands: platform.commands.clone(),
        idempotency: Idempotency::new(platform.store.clone()),
        provider: platform.provider.clone(),
        queries,
        catalog: platform::open_catalog(config)?,
        metrics: daybook_observability::render,
        readiness: platform.readiness(),
    })
}

/// Says something to whoever called the program, beside its data.
#[expect(clippy::print_stderr, reason = "data goes to standard output, and this is none")]
pub(crate) fn tell(message: &str) {
    eprintln!("{message}");
}
