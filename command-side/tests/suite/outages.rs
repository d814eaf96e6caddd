//! Process managers on a store that comes and goes.

use std::net::SocketAddr;
use std::time::Duration;

use daybook_domain::order::OrderStatus;
use daybook_event_store::{EventStore, EventStoreDb, EventStoreDbOptions, Store};
use daybook_event_store_server::{Server, ServerOptions};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::shop::Shop;

const ORDERS: u64 = 12;

/// Serves a store at an address until told to stop.
async fn serve(store: &Store, address: SocketAddr, stop: &CancellationToken) -> JoinHandle<()> {
    let listener = TcpListener::bind(address).await.unwrap();
    let serving = Server::new(store.clone(), ServerOptions::default());
    let serving = serving.serve(listener, stop.clone());
    tokio::spawn(async move { serving.await.unwrap() })
}

/// An address that nobody listens on.
async fn unused_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The store at an address.
fn client(address: SocketAddr, options: &EventStoreDbOptions) -> Store {
    Store::EventStoreDb(EventStoreDb::new(&format!("esdb://{address}?tls=false"), options).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_managers_outlast_outages_of_the_store() {
    let (store, address) = (Store::memory(), unused_address().await);
    let customers = Shop::over(store.clone());
    customers.stock_up(&[("mug", 100)]).await;
    let (patience, answer) = (Duration::from_millis(50), Duration::from_secs(5));
    let impatient = EventStoreDbOptions { patience, answer, ..EventStoreDbOptions::default() };
    let mut shop = Shop::over(client(address, &impatient));
    // Every step has to load its instance.
    shop.options.cached_instances = 0;
    shop.options.longest_backoff = Duration::from_millis(20);
    shop.options.attempts = u32::MAX;

    let program = shop.start();
    for number in 1..=ORDERS {
        program.until(async || shop.store.head().await.is_err()).await;
        customers.order(number.into(), &["mug"], "tok_approve").await;
        let end = CancellationToken::new();
        let serving = serve(&store, address, &end).await;
        let before = customers.head().await;
        program.until(async || customers.head().await > before).await;
        end.cancel();
        serving.await.unwrap();
    }
    let _server = serve(&store, address, &CancellationToken::new()).await;
    // As a client sees it: on the wire, positions are not the store's own.
    program.idle(&Shop::over(client(address, &EventStoreDbOptions::default()))).await;

    let observer = Shop::over(store);
    for number in 1..=ORDERS {
        assert_eq!(observer.status(number.into()).await, OrderStatus::Paid, "order {number}");
    }
    assert_eq!(shop.ledger().await.captures, ORDERS);
    assert!(program.stop().await.iter().all(Result::is_ok));
}
