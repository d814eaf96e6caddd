//! Servers in processes of their own, as clients meet them.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use anyhow::{Context, bail};
use daybook_event_store::{
    AppendError, Appended, EmbeddedOptions, Expected, NewEvent, Store, StreamId,
};
use daybook_event_store_server::{Server, ServerOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{echo, repeater};
use crate::contender::CACHE_BYTES;
use crate::engine::{Appends, Engine};

/// A server that a comparison needs. [`WireComparison::servers`](super::WireComparison::servers) get
/// its text as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireServer {
    /// The event store, embedded.
    Store,
    /// A bare call there and back.
    Echo,
    /// One that says again what that one said.
    Repeater(SocketAddr),
}

impl WireServer {
    /// Serves on a free port of the loopback interface, which standard output is told, until
    /// standard input ends: when whoever started this is gone. What it has to keep is in `dir`.
    ///
    /// # Errors
    /// There is no port, or the store cannot be opened.
    pub async fn serve(self, dir: &Path) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tell = || writeln!(io::stdout(), "{address}");
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        std::thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            stopping.cancel();
        });
        match self {
            Self::Store => {
                let options =
                    EmbeddedOptions { cache_bytes: CACHE_BYTES, ..EmbeddedOptions::default() };
                let store = Store::embedded(dir, &options)?;
                tell()?;
                let server = Server::new(store.clone(), ServerOptions::default());
                server.serve(listener, stop).await?;
                store.close();
            }
            Self::Echo => {
                tell()?;
                echo::serve(listener, stop).await?;
            }
            Self::Repeater(other) => {
                tell()?;
                repeater::serve(listener, other, stop).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for WireServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("store"),
            Self::Echo => f.write_str("echo"),
            Self::Repeater(other) => write!(f, "repeater={other}"),
        }
    }
}

impl FromStr for WireServer {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        Ok(match (text, text.split_once('=')) {
            ("store", _) => Self::Store,
            ("echo", _) => Self::Echo,
            (_, Some(("repeater", other))) => Self::Repeater(other.parse()?),
            _ => bail!("{text:?} is none of store, echo and repeater=ADDRESS"),
        })
    }
}

/// A server's process, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Apart {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Apart {
    /// Starts a server and waits until it can be called.
    pub(super) fn start(
        command: &[OsString],
        dir: &Path,
        server: WireServer,
    ) -> anyhow::Result<Self> {
        let [program, arguments @ ..] = command else { bail!("there is no command for servers") };
        let mut command = Command::new(program);
        command.args(arguments).arg(server.to_string()).arg(dir);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let child = child.with_context(|| format!("cannot start {}", program.display()))?;
        let mut apart = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut said = String::new();
        if let Some(out) = apart.child.stdout.take() {
            BufReader::new(out).read_line(&mut said)?;
        }
        let address = said.trim().parse();
        apart.address = address.with_context(|| format!("the server {server} did not start"))?;
        Ok(apart)
    }

    /// A client of it, whose work is this server's.
    pub(super) fn client<C>(&self, client: C) -> Remote<C> {
        Remote { client, server: self.child.id() }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Nothing that it has is worth keeping. It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with the process that does its work.
#[derive(Debug)]
pub(super) struct Remote<C> {
    pub(super) client: C,
    server: u32,
}

impl<C: Appends> Appends for Remote<C> {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.client.append(stream, expected, events).await
    }

    fn server(&self) -> Option<u32> {
        Some(self.server)
    }
}

impl<C: Engine> Engine for Remote<C> {
    type Reader = C::Reader;

    fn reader(&self) -> anyhow::Result<C::Reader> {
        self.client.reader()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_text() {
        let other = SocketAddr::from(([127, 0, 0, 1], 2113));
        for server in [WireServer::Store, WireServer::Echo, WireServer::Repeater(other)] {
            assert_eq!(server.to_string().parse::<WireServer>().unwrap(), server);
        }
        for text in ["", "stores", "repeater", "repeater=", "repeater=somewhere"] {
            assert!(text.parse::<WireServer>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_that_does_not_start_is_an_error() {
        let start = |command: &[&str]| {
            let command: Vec<_> = command.iter().map(OsString::from).collect();
            Apart::start(&command, Path::new("."), WireServer::Echo).map(|_| ())
        };
        assert!(start(&[]).is_err());
        assert!(start(&["/nowhere/daybook"]).unwrap_err().to_string().contains("/nowhere"));
        let ended = start(&["true"]).unwrap_err().to_string();
        assert!(ended.contains("echo did not start"), "{ended}");
    }
}
