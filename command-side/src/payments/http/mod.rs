//! A provider over HTTP: timeouts, retries under the stable key, a circuit breaker.

mod answer;
mod breaker;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::{Client, Url, redirect};
use serde::Serialize;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use self::breaker::{Breaker, State};
use super::metrics;
use super::port::{Operation, PaymentProvider, ProviderError, Receipt, RequestKey};
use super::wire::{AmountBody, AuthorizationBody};

/// The most of a response that is read, in bytes.
const MAX_RESPONSE: usize = 64 << 10;

/// How patient the client is.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// For a connection, per attempt.
    pub connect_timeout: Duration,
    /// For the whole of an attempt.
    pub request_timeout: Duration,
    /// How often a request is tried before it is reported as unavailable; at least once.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles with each further one. What is
    /// really waited is random between half of it and all.
    pub backoff: Duration,
    /// The longest wait before any attempt.
    pub max_backoff: Duration,
    /// Consecutive failed attempts that open the breaker.
    pub breaker_threshold: u32,
    /// How long an open breaker lets nobody through.
    pub breaker_cooldown: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            attempts: 4,
            backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(5),
            breaker_threshold: 5,
            breaker_cooldown: Duration::from_mins(1),
        }
    }
}

impl HttpOptions {
    /// How long to wait after this many attempts.
    fn wait_after(&self, made: u32) -> Duration {
        let doublings = made.saturating_sub(1).min(16);
        let longest = self.backoff.saturating_mul(1 << doublings).min(self.max_backoff);
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Why there is no client.
#[derive(Debug, Error)]
pub enum HttpProviderError {
    /// The address is not one of a provider.
    #[error("the payment provider's address {url:?} is not an http or https URL")]
    Url {
        /// As given.
        url: String,
    },
    /// The client cannot be set up.
    #[error(
        "cannot set up the payment provider's client; https needs the system's CA certificates"
    )]
    Client(#[source] reqwest::Error),
}

/// A client of a provider that speaks the HTTP of [`server`](super::server).
#[derive(Debug, Clone)]
pub struct HttpProvider {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    base: Url,
    options: HttpOptions,
    breaker: Mutex<Breaker>,
}

impl HttpProvider {
    /// A client of the provider at `url`, under which the path `/v1/authorizations` lies.
    ///
    /// # Errors
    /// The URL is not an absolute `http` or `https` one, or TLS cannot be set up.
    pub fn new(url: &str, options: HttpOptions) -> Result<Self, HttpProviderError> {
        let parsed = Url::parse(url).ok();
        let base = parsed.filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        let base = base.ok_or_else(|| HttpProviderError::Url { url: url.into() })?;
        let client = client(&base, &options).map_err(HttpProviderError::Client)?;
        let breaker = Breaker::new(options.breaker_threshold, options.breaker_cooldown);
        let breaker = Mutex::new(breaker);
        Ok(Self { shared: Arc::new(Shared { client, base, options, breaker }) })
    }
}

fn client(base: &Url, options: &HttpOptions) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .connect_timeout(options.connect_timeout)
        .timeout(options.request_timeout)
        .redirect(redirect::Policy::none());
    if base.scheme() == "http" {
        // Without TLS it must also work where no CA certificates are installed.
        builder = builder.tls_certs_only([]);
    }
    if matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        builder = builder.no_proxy();
    }
    builder.build()
}

impl Shared {
    /// Tries once, if the breaker lets it.
    async fn attempt(&self, key: &RequestKey, operation: &Operation) -> Attempt {
        let permit = match self.breaker.lock().permit(Instant::now()) {
            Ok(permit) => permit,
            Err(left) => return Attempt::Refused(left),
        };
        self.show_breaker();
        let answer = self.exchange(key, operation).await;
        let answered = !matches!(answer, Err(ProviderError::Unavailable { .. }));
        let opened = self.breaker.lock().report(permit, answered, Instant::now());
        if opened {
            tracing::warn!(cooldown = ?self.options.breaker_cooldown, "circuit breaker opened");
        }
        self.show_breaker();
        Attempt::Made(answer)
    }

    fn show_breaker(&self) {
        metrics::breaker_state(match self.breaker.lock().state() {
            State::Closed { .. } => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        });
    }

    async fn exchange(
        &self,
        key: &RequestKey,
        operation: &Operation,
    ) -> Result<Receipt, ProviderError> {
        let request = match operation {
            Operation::Authorize { payment, amount, method } => {
                let (payment, amount, method) = (*payment, *amount, method.clone());
                self.post(&[], Some(&AuthorizationBody { payment, amount, method }))
            }
            Operation::Capture { reference, amount } => {
                self.post(&[reference, "captures"], Some(&AmountBody { amount: *amount }))
            }
            Operation::Void { reference } => self.post(&[reference, "voids"], None::<&()>),
            Operation::Refund { reference, amount } => {
                self.post(&[reference, "refunds"], Some(&AmountBody { amount: *amount }))
            }
        };
        let request = request.header("idempotency-key", key.as_str());
        let mut response = request.send().await.map_err(unanswered)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
            if body.len() + chunk.len() > MAX_RESPONSE {
                let reason = format!("the response is longer than {MAX_RESPONSE} bytes");
                return Err(ProviderError::Unavailable { reason });
            }
            body.extend_from_slice(&chunk);
        }
        answer::read(response.status(), &body)
    }

    fn post(&self, path: &[&str], body: Option<&impl Serialize>) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", "authorizations"]).extend(path);
        }
        let request = self.client.post(url);
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

enum Attempt {
    Made(Result<Receipt, ProviderError>),
    /// The breaker is open for this much longer.
    Refused(Duration),
}

fn unanswered(error: reqwest::Error) -> ProviderError {
    let what = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "it cannot be connected to"
    } else {
        "the exchange broke off"
    };
    tracing::debug!(error = &error.without_url() as &dyn std::error::Error, "payment provider");
    ProviderError::Unavailable { reason: what.into() }
}

impl PaymentProvider for HttpProvider {
    async fn perform(
        &self,
        key: RequestKey,
        operation: Operation,
    ) -> Result<Receipt, ProviderError> {
        let mut made = 0;
        loop {
            let answer = match self.shared.attempt(&key, &operation).await {
                Attempt::Made(answer) => answer,
                Attempt::Refused(left) => {
                    let left = left.as_secs();
                    let reason = format!("it is not asked for another {left} s, having failed");
                    return Err(ProviderError::Unavailable { reason });
                }
            };
            made += 1;
            if made >= self.shared.options.attempts
                || !matches!(answer, Err(ProviderError::Unavailable { .. }))
            {
                return answer;
            }
            sleep(self.shared.options.wait_after(made)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_never_less_than_half() {
        let (backoff, max_backoff) = (Duration::from_millis(100), Duration::from_secs(1));
        let options = HttpOptions { backoff, max_backoff, ..HttpOptions::default() };
        for (made, longest) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (99, 1_000)] {
            let longest = Duration::from_millis(longest);
            let wait = options.wait_after(made);
            assert!((longest / 2..=longest).contains(&wait), "{wait:?} after {made}");
        }
    }
}
