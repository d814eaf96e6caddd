//! What the services know of the server that they are part of.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::time::SystemTime;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::{Authority, Scheme};
use daybook_event_store::Store;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::calls::Calls;
use crate::options::ServerOptions;
use crate::persistent::GroupsMemory;

/// The version of EventStoreDB whose protocol is spoken. Clients take from it how to speak.
pub(crate) const VERSION: &str = "24.10.0";

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) store: Store,
    /// A new one for each start.
    pub(crate) id: Uuid,
    pub(crate) started: SystemTime,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Whether callers have to say who they are.
    pub(crate) authentication: bool,
    pub(crate) calls: Arc<Calls>,
    /// The most groups of persistent subscriptions, and what they hold.
    pub(crate) most_groups: usize,
    pub(crate) groups: GroupsMemory,
    /// What somebody set, for others to read: no other node could be chosen.
    pub(crate) priority: AtomicI32,
    pub(crate) stop: CancellationToken,
}

impl Node {
    pub(crate) fn new(
        store: Store,
        address: SocketAddr,
        options: &ServerOptions,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            id: Uuid::now_v7(),
            started: SystemTime::now(),
            address,
            authentication: options.authentication,
            calls: Arc::new(Calls::new(options)),
            most_groups: options.groups,
            groups: GroupsMemory::new(options.group_bytes),
            priority: AtomicI32::new(0),
            stop,
        })
    }
}

/// Where a client reached the server. To be told to go there is of use to it, whatever stands
/// between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Endpoint {
    /// Notes for a request where it was sent to.
    pub(crate) fn note(node: &Node, request: &mut Request) {
        let endpoint = Self::of(request).unwrap_or_else(|| node.address.into());
        request.extensions_mut().insert(endpoint);
    }

    fn of(request: &Request) -> Option<Self> {
        let uri = request.uri();
        let host = || request.headers().get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
        let authority = uri.authority().cloned().or_else(host)?;
        let usual = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Some(Self { host: host.into(), port: authority.port_u16().unwrap_or(usual) })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn endpoint(uri: &str, host: Option<&str>) -> Option<Endpoint> {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        Endpoint::of(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn a_client_is_told_where_it_went() {
        let at = |host: &str, port| Some(Endpoint { host: host.into(), port });
        assert_eq!(endpoint("http://store.local:2113/gossip", None), at("store.local", 2113));
        assert_eq!(endpoint("https://store.local/gossip", Some("other:1")), at("store.local", 443));
        assert_eq!(endpoint("/gossip", Some("[::1]:2113")), at("::1", 2113));
        assert_eq!(endpoint("/gossip", Some("127.0.0.1")), at("127.0.0.1", 80));
        assert_eq!(endpoint("/gossip", None), None);
        assert_eq!(endpoint("/gossip", Some("not a host")), None);
    }
}
