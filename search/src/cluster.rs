use std::time::Duration;

use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::Method;
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use serde_json::Value;

use crate::{Address, ClusterError};

/// A cluster, or a load balancer before one. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Cluster {
    transport: Transport,
    prefix: String,
}

/// What is asked of a cluster.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<(String, &'static str)>,
}

impl Request {
    /// A request for a path without its first slash.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: None }
    }

    /// Adds a parameter to the address.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// With a body of JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self { body: Some((body.to_string(), "application/json")), ..self }
    }

    /// With a body of lines, each of JSON and with its end.
    #[must_use]
    pub fn lines(self, lines: String) -> Self {
        Self { body: Some((lines, "application/x-ndjson")), ..self }
    }
}

impl Cluster {
    /// A client of the cluster at an address. It connects when it is asked for the first time.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub fn new(address: &Address, timeout: Duration) -> Result<Self, ClusterError> {
        let pool = SingleNodeConnectionPool::new(address.url());
        let mut builder =
            TransportBuilder::new(pool).disable_proxy().enable_meta_header(false).timeout(timeout);
        if let Some(credentials) = address.credentials() {
            builder = builder.auth(credentials);
        }
        if let Some(path) = address.ca() {
            let pem = std::fs::read(path)
                .map_err(|source| ClusterError::Certificates { path: path.clone(), source })?;
            let authorities = Certificate::from_pem(&pem)?;
            builder = builder.cert_validation(CertificateValidation::Full(authorities));
        }
        Ok(Self { transport: builder.build()?, prefix: address.prefix().to_owned() })
    }

    /// What the names of its indices begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Asks, and gives the answer if the cluster did as it was asked.
    ///
    /// # Errors
    /// There was no answer, or it was no.
    pub async fn ask(&self, request: Request) -> Result<Value, ClusterError> {
        let Request { method, path, query, body } = request;
        let mut headers = HeaderMap::new();
        let body = body.map(|(body, media_type)| {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            body
        });
        let response =
            self.transport.send(method, &path, headers, Some(&query), body, None).await?;
        let status = response.status_code();
        let text = response.text().await?;
        if status.is_success() {
            return Ok(serde_json::from_str(&text)?);
        }
        // A proxy in front may say no in words of its own.
        let answer = serde_json::from_str(&text).unwrap_or_default();
        Err(ClusterError::refused(status.as_u16(), &answer))
    }

    /// Asks for what a search finds on all shards.
    ///
    /// # Errors
    /// There was no answer, it was no, or some shards could not be asked.
    pub async fn search(&self, request: Request) -> Result<Value, ClusterError> {
        let answer = self.ask(request).await?;
        let count = |name| answer["_shards"][name].as_u64().unwrap_or_default();
        match (count("failed"), count("total")) {
            (0, _) => Ok(answer),
            (failed, total) => Err(ClusterError::Shards { failed, total }),
        }
    }
}
