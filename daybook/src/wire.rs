//! The event store on EventStoreDB's protocol, as `daybook store serve` and `daybook serve` offer it.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use daybook_event_store::Store;
use daybook_event_store_server::{Server, ServerOptions, Tls, Users};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::Wire;

/// The password of the first admin, where no file has it.
const ADMIN_PASSWORD: &str = "DAYBOOK_STORE_ADMIN_PASSWORD";

/// A server that listens and does not serve yet.
pub(crate) struct WireServer {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
    /// The password that the user `admin` gets if there is none.
    password: Option<String>,
}

impl WireServer {
    /// Listens, if what is served there would be safe or is said to be.
    pub(crate) async fn listen(
        wire: &Wire,
        address: SocketAddr,
        drain_timeout: Duration,
    ) -> anyhow::Result<Self> {
        let files = wire.tls_certificate.as_ref().zip(wire.tls_key.as_ref());
        let tls = files.map(|(certificate, key)| Tls::read(certificate, key)).transpose()?;
        let (authentication, loopback) = (wire.authentication, address.ip().is_loopback());
        if !(loopback || wire.insecure || (tls.is_some() && authentication)) {
            bail!(
                "others could reach the event store on {address}: give --tls-certificate, \
                 --tls-key and --authentication, or --insecure if they all may do everything"
            );
        }
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot serve the event store on {address}; is the address in use?")
        })?;
        let options = ServerOptions {
            append_bytes: wire.max_append_size as usize,
            tls,
            authentication,
            drain_timeout,
            ..ServerOptions::default()
        };
        let password = if authentication { password(wire)? } else { None };
        Ok(Self { address: listener.local_addr()?, listener, options, password })
    }

    /// Lets clients stop the server where not just anybody is one.
    pub(crate) fn stopped_by_clients(mut self) -> Self {
        self.options.shutdown = self.options.authentication || self.address.ip().is_loopback();
        self
    }

    /// What clients connect with.
    pub(crate) fn connection_string(&self) -> String {
        let Self { address, options, .. } = self;
        let who = if options.authentication { "NAME:PASSWORD@" } else { "" };
        let port = address.port();
        let place = if address.ip().is_unspecified() {
            format!("localhost:{port}")
        } else {
            address.to_string()
        };
        let tls = if options.tls.is_some() { "" } else { "?tls=false" };
        format!("kurrentdb://{who}{place}{tls}")
    }

    /// Sees to it that somebody may look after a server that asks who calls.
    pub(crate) async fn admit(&self, store: &Store) -> anyhow::Result<()> {
        if !self.options.authentication {
            return Ok(());
        }
        let users = Users::new(store.clone());
        match &self.password {
            _ if users.have_admin().await? => Ok(()),
            Some(password) => Ok(users.create_admin(password).await?),
            None => bail!(
                "the event store has no user admin yet: give its password with \
                 --admin-password-file or {ADMIN_PASSWORD}"
            ),
        }
    }

    pub(crate) async fn serve(self, store: Store, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, options, .. } = self;
        Ok(Server::new(store, options).serve(listener, stop).await?)
    }
}

fn password(wire: &Wire) -> anyhow::Result<Option<String>> {
    let Some(file) = &wire.admin_password_file else { return Ok(env::var(ADMIN_PASSWORD).ok()) };
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the password in {}", file.display()))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("there is no password in {}", file.display());
    }
    Ok(Some(password.into()))
}
