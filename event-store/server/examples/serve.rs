//! Serves a store until Ctrl-C: `serve [ADDRESS [FOLDER [PASSWORD]]]`, in memory where no folder is
//! given. With a password it encrypts, by a certificate for `localhost` that it makes beside the
//! folder, and asks who calls: there is the user `admin`.
//!
//! The first line of its output is what clients connect with.

use std::error::Error;
use std::fs;
use std::path::Path;

use daybook_event_store::{EmbeddedOptions, Store};
use daybook_event_store_server::{Server, ServerOptions, Tls, Users};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:2113".into());
    let (folder, password) = (args.next(), args.next());
    let store = match &folder {
        Some(folder) => Store::embedded(folder, &EmbeddedOptions::default())?,
        None => Store::memory(),
    };
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let mut options = ServerOptions { shutdown: true, ..ServerOptions::default() };
    if let (Some(folder), Some(password)) = (&folder, password) {
        options = ServerOptions { tls: Some(tls(folder)?), authentication: true, ..options };
        let users = Users::new(store.clone());
        if !users.have_admin().await? {
            users.create_admin(&password).await?;
        }
        tell(&format!("kurrentdb://localhost:{}?tls=true", address.port()));
    } else {
        tell(&format!("kurrentdb://{address}?tls=false"));
    }
    let stop = CancellationToken::new();
    tokio::spawn(stop_at_a_signal(stop.clone()));
    Server::new(store.clone(), options).serve(listener, stop).await?;
    store.close();
    Ok(())
}

/// A new certificate, which is written down for those who are to trust it.
fn tls(folder: &str) -> Result<Tls, Box<dyn Error>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()])?;
    let beside = |extension| Path::new(folder).with_extension(extension);
    fs::write(beside("crt"), cert.pem())?;
    fs::write(beside("key"), signing_key.serialize_pem())?;
    Ok(Tls::read(&beside("crt"), &beside("key"))?)
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
