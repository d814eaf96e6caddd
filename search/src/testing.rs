//! Indices of their own for tests, and a door to the server that can fail.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::{Address, Cluster, ClusterError, Method, Request};

/// How long the server may take to do what a test asks of it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The variable that names the server.
const URL: &str = "DAYBOOK_TEST_SEARCH_URL";

/// The server that is there for tests, with names for indices that no other test has; `None` where
/// none is given.
///
/// # Panics
/// What is given is no address.
#[expect(clippy::panic, reason = "a test fails where it cannot go on")]
pub fn address() -> Option<Address> {
    let given = std::env::var(URL).ok()?;
    match given.parse::<Address>() {
        Ok(address) => Some(address.with_prefix(format!("t{}", Uuid::now_v7().simple()))),
        Err(error) => panic!("{URL}: {error}"),
    }
}

/// Takes the shards of an index from it, as when the nodes that had them are gone, and lets no index
/// of the server have any until they are given back. The index is named without the address's
/// prefix. The answer is its health then, which is `red`.
///
/// # Errors
/// The server does not do it.
pub async fn lose_shards(address: &Address, index: &str) -> Result<String, ClusterError> {
    // A copy that is there is used wherever it is, but not before there is a turn for it.
    recover(address, json!(0)).await?;
    for change in ["_close", "_open"] {
        let path = format!("{}-{index}/{change}", address.prefix());
        let request = Request::new(Method::Post, path).query("wait_for_active_shards", "0");
        Cluster::new(address, TIMEOUT)?.ask(request).await?;
    }
    let path = format!("_cluster/health/{}-{index}", address.prefix());
    let health = Request::new(Method::Get, path);
    let health = Cluster::new(address, TIMEOUT)?.ask(health).await?;
    Ok(health["status"].as_str().unwrap_or_default().to_owned())
}

/// Gives indices their shards back.
///
/// # Errors
/// The server does not do it.
pub async fn restore_shards(address: &Address) -> Result<(), ClusterError> {
    recover(address, Value::Null).await
}

/// How many shards may be made usable at a time.
async fn recover(address: &Address, most: Value) -> Result<(), ClusterError> {
    let setting = "cluster.routing.allocation.node_initial_primaries_recoveries";
    let settings = json!({ "transient": { setting: most } });
    let request = Request::new(Method::Put, "_cluster/settings").json(&settings);
    Cluster::new(address, TIMEOUT)?.ask(request).await.map(drop)
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fate {
    /// The server answers it.
    Forward,
    /// The door answers it, with a status and JSON.
    Answer(u16, String),
    /// The server gets it, and its answer is lost.
    LoseAnswer,
    /// Nobody ever answers.
    Hang,
    /// The connection is cut.
    Cut,
}

/// What decides: method and path, then the body.
type Judge = dyn Fn(&str, &str) -> Fate + Send + Sync;

/// A door to the server that can fail as servers do.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    judge: Arc<Mutex<Arc<Judge>>>,
}

impl Door {
    /// A door to a server that lets everything through, and the address that goes through it.
    ///
    /// # Errors
    /// There is no port.
    pub async fn before(server: &Address) -> io::Result<(Self, Address)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let forward: Arc<Judge> = Arc::new(|_, _| Fate::Forward);
        let door = Self { address: listener.local_addr()?, judge: Arc::new(Mutex::new(forward)) };
        let through = server.clone().with_port(door.address.port());
        let (guard, port) = (door.clone(), server.port());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let guard = guard.clone();
                tokio::spawn(async move { guard.pass(client, port).await });
            }
        });
        Ok((door, through))
    }

    /// Decides about requests in another way from now on.
    pub fn judge(&self, judge: impl Fn(&str, &str) -> Fate + Send + Sync + 'static) {
        *self.judge.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(judge);
    }

    /// One request; what goes wrong with it is as if the connection was cut.
    async fn pass(&self, mut client: TcpStream, port: u16) -> io::Result<()> {
        let (head, body) = read(&mut client).await?;
        let judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let line = head.split(" HTTP/1.1").next().unwrap_or_default().to_owned();
        let fate = judge(&line, &String::from_utf8_lossy(&body));
        match fate {
            Fate::Forward | Fate::LoseAnswer => {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
                server.write_all(head.as_bytes()).await?;
                server.write_all(&body).await?;
                let mut answer = Vec::new();
                server.read_to_end(&mut answer).await?;
                if matches!(fate, Fate::Forward) {
                    client.write_all(&answer).await?;
                }
            }
            Fate::Answer(status, text) => {
                let answer = format!(
                    "HTTP/1.1 {status} Given\r\ncontent-type: application/json\r\n\
                     connection: close\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                );
                client.write_all(answer.as_bytes()).await?;
            }
            Fate::Hang => std::future::pending().await,
            Fate::Cut => {}
        }
        client.shutdown().await
    }
}

/// The head of a request, and its body.
async fn read(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let lowercase = head.to_ascii_lowercase();
    let length = lowercase.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head, body))
}
