use std::any::Any;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use daybook_command_side::payments::{
    AuthorizeRequest, CaptureRequest, HttpOptions, HttpProvider, PaymentProvider, Provider,
    ProviderError, Receipt, RefundRequest, RequestKey, SimulatedProvider, VoidRequest, server,
};
use daybook_domain::values::{Money, PaymentId};
use daybook_event_store::{EmbeddedOptions, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;
use uuid::Uuid;

pub(crate) type Answer = Result<Receipt, ProviderError>;

pub(crate) fn key(key: &str) -> RequestKey {
    key.parse().unwrap()
}

pub(crate) fn gbp(minor: i64) -> Money {
    Money::new(minor, "GBP".parse().unwrap())
}

/// The payment that is known by a small number.
pub(crate) fn payment(number: u128) -> PaymentId {
    PaymentId(Uuid::from_u128(number))
}

pub(crate) fn simulated() -> SimulatedProvider {
    SimulatedProvider::new(Store::memory())
}

/// A request that is approved.
pub(crate) fn authorization(name: &str, amount: Money) -> AuthorizeRequest {
    let (key, method) = (key(name), "tok_approve".parse().unwrap());
    AuthorizeRequest { key, payment: payment(1), amount, method }
}

/// Requests with everything that a test does not care about filled in.
pub(crate) trait Requests: PaymentProvider {
    async fn hold(&self, name: &str, amount: Money, token: &str) -> Answer {
        let method = token.parse().unwrap();
        self.authorize(AuthorizeRequest { method, ..authorization(name, amount) }).await
    }

    async fn take(&self, name: &str, held: &Receipt, amount: Money) -> Answer {
        let (key, reference) = (key(name), held.reference.clone());
        self.capture(CaptureRequest { key, reference, amount }).await
    }

    async fn let_go(&self, name: &str, held: &Receipt) -> Answer {
        self.void(VoidRequest { key: key(name), reference: held.reference.clone() }).await
    }

    async fn give_back(&self, name: &str, held: &Receipt, amount: Money) -> Answer {
        let (key, reference) = (key(name), held.reference.clone());
        self.refund(RefundRequest { key, reference, amount }).await
    }
}

impl<P: PaymentProvider> Requests for P {}

/// A server on the loopback. When it is dropped, all its connections break with it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), router).await
    }

    pub(crate) async fn start_at(address: SocketAddr, router: Router) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listening = runtime.spawn(bind(address)).await.unwrap();
        let address = listening.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listening, router).await });
        Self { address, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client that does not wait long between attempts, and whose breaker stays out of the way.
    pub(crate) fn client(&self, attempts: u32) -> HttpProvider {
        HttpProvider::new(&self.url(), options(attempts)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// Listens at an address that the server before may be about to leave.
async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                sleep(Duration::from_millis(1)).await;
            }
            bound => return bound.unwrap(),
        }
    }
}

pub(crate) fn options(attempts: u32) -> HttpOptions {
    HttpOptions {
        attempts,
        backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(5),
        breaker_threshold: u32::MAX,
        ..HttpOptions::default()
    }
}

/// A provider under test with the simulated one whose ledger is the truth.
pub(crate) struct Subject {
    pub(crate) provider: Provider,
    pub(crate) truth: SimulatedProvider,
    /// What has to be there for as long as the provider is used.
    _held: Box<dyn Any + Send>,
}

pub(crate) fn in_process() -> Subject {
    let truth = simulated();
    Subject { provider: Provider::Simulated(truth.clone()), truth, _held: Box::new(()) }
}

pub(crate) fn on_disk() -> Subject {
    let folder = TempDir::new().unwrap();
    let store = Store::embedded(folder.path(), &EmbeddedOptions::default()).unwrap();
    let truth = SimulatedProvider::new(store);
    Subject { provider: Provider::Simulated(truth.clone()), truth, _held: Box::new(folder) }
}

/// Over HTTP, without retries, so that every answer is seen.
pub(crate) async fn over_http() -> Subject {
    let truth = simulated();
    let router = server::router_with_silence(truth.clone(), Duration::ZERO);
    let server = Server::start(router).await;
    let provider = Provider::Http(server.client(1));
    Subject { provider, truth, _held: Box::new(server) }
}
