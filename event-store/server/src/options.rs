use std::time::Duration;

use crate::tls::Tls;

/// The most bytes of an append, where nothing else is said.
const APPEND_BYTES: usize = 1 << 20;

/// The most bytes that calls hold of what was sent to them, and of what is sent for them; and that
/// groups hold.
const HELD_BYTES: usize = 256 << 20;

/// How a server is to serve.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The most bytes of payloads, metadata and types in one append.
    pub append_bytes: usize,
    /// The certificate to encrypt connections with; none does not encrypt.
    pub tls: Option<Tls>,
    /// Whether callers have to say who they are, and may do only what their groups may. The store
    /// should have the user `admin` then: [`Users::create_admin`](crate::Users::create_admin).
    pub authentication: bool,
    /// Whether clients may stop the server.
    pub shutdown: bool,
    /// The most connections at once; those over it wait to be accepted.
    pub connections: usize,
    /// The most calls at once on one connection.
    pub calls_per_connection: u32,
    /// The most calls at once on all connections; those over it are refused.
    pub calls: usize,
    /// The most bytes that a client may send on a connection before they are dealt with. Half of it
    /// is for what small parts of messages take beside their bytes: a connection with more of that
    /// is broken off.
    pub connection_window: u32,
    /// The most bytes that a client may send for a call before they are dealt with.
    pub call_window: u32,
    /// The most bytes that all calls hold of requests (messages, appends that are not done,
    /// filters of subscriptions), beside 64 KiB that each call may hold. A call that needs more
    /// is refused.
    pub request_bytes: usize,
    /// The most bytes of responses that all clients have not taken, beside 64 KiB for each call.
    /// A call that needs more is ended.
    pub response_bytes: usize,
    /// The most groups of persistent subscriptions; one more is refused.
    pub groups: usize,
    /// The most bytes that all groups hold of events that are not done, and of filters, beside 64
    /// KiB that each may hold. The consumers of one that needs more are dropped.
    pub group_bytes: usize,
    /// How long a message may take from its first byte to its last.
    pub message_timeout: Duration,
    /// The most bytes of a request's head.
    pub head_bytes: u32,
    /// How long a handshake and the first bytes of a connection, and a head over HTTP/1.1, may take
    /// to arrive.
    pub head_timeout: Duration,
    /// How long a connection over HTTP/2 may be silent before it is asked whether it is there, and
    /// how long its answer may take.
    pub keep_alive: Duration,
    /// How long calls under way may take once the server is to stop.
    pub drain_timeout: Duration,
}

impl ServerOptions {
    /// The most that [`append_bytes`](Self::append_bytes) may be.
    pub const MOST_APPEND_BYTES: usize = 16 << 20;
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            append_bytes: APPEND_BYTES,
            tls: None,
            authentication: false,
            shutdown: false,
            connections: 1_024,
            calls_per_connection: 1_024,
            calls: 8_192,
            connection_window: 1 << 20,
            call_window: 128 << 10,
            request_bytes: HELD_BYTES,
            response_bytes: HELD_BYTES,
            groups: 1_024,
            group_bytes: HELD_BYTES,
            message_timeout: Duration::from_mins(1),
            head_bytes: 16 << 10,
            head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
