//! A cluster behind TLS, whose certificate an authority of its own has signed.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook_search::{Cluster, ClusterError, Method, Request};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Starts a server that answers every request with what it was told of who asks, writes its
/// authority's certificate to a file, and gives its port.
async fn server(ca: &Path) -> u16 {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(mut client) = acceptor.accept(client).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && client.read_buf(&mut head).await.unwrap() > 0 {}
            let head = String::from_utf8(head).unwrap();
            let who = head.lines().find_map(|line| line.strip_prefix("authorization: "));
            let body = serde_json::json!({ "authorization": who }).to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            );
            client.write_all(answer.as_bytes()).await.unwrap();
            let _ = client.shutdown().await;
        }
    });
    port
}

fn cluster(address: &str) -> Result<Cluster, ClusterError> {
    Cluster::new(&address.parse().unwrap(), Duration::from_secs(10))
}

#[tokio::test]
async fn a_cluster_of_a_known_authority_is_told_who_asks() {
    let folder = TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    let port = server(&ca).await;
    let host = format!("localhost:{port}");

    let known = cluster(&format!("https://ann:se%40cret@{host}?ca={}", ca.display())).unwrap();
    let answer = known.ask(Request::new(Method::Get, "")).await.unwrap();
    assert_eq!(answer["authorization"], "Basic YW5uOnNlQGNyZXQ=");

    let unknown = cluster(&format!("https://ann:se%40cret@{host}")).unwrap();
    let refused = unknown.ask(Request::new(Method::Get, "")).await;
    assert!(matches!(refused, Err(ClusterError::Unreachable(_))), "{refused:?}");
}

#[test]
fn authorities_that_cannot_be_read_are_named() {
    let refused = cluster("https://localhost?ca=/no/such.pem");

    assert!(matches!(refused, Err(ClusterError::Certificates { .. })), "{refused:?}");
}
