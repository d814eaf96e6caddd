//! Serves a store until Ctrl-C: `serve [ADDRESS [FOLDER]]`, in memory where no folder is given.
//!
//! The first line of its output is what clients connect with.

use std::error::Error;

use daybook_event_store::{EmbeddedOptions, Store};
use daybook_event_store_server::{Server, ServerOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:2113".into());
    let store = match args.next() {
        Some(folder) => Store::embedded(folder, &EmbeddedOptions::default())?,
        None => Store::memory(),
    };
    let listener = TcpListener::bind(address).await?;
    tell(&format!("kurrentdb://{}?tls=false", listener.local_addr()?));
    let options = ServerOptions { shutdown: true, ..ServerOptions::default() };
    let stop = CancellationToken::new();
    tokio::spawn(stop_at_a_signal(stop.clone()));
    Server::new(store.clone(), options).serve(listener, stop).await?;
    store.close();
    Ok(())
}

async fn stop_at_a_signal(stop: CancellationToken) {
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    }
}

#[expect(clippy::print_stdout, reason = "whoever started it reads where to connect")]
fn tell(line: &str) {
    println!("{line}");
}
