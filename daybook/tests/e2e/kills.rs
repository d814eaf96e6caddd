//! The server is killed while customers order, over and over: what it accepted is carried out.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Server, run, told};
use tempfile::TempDir;

/// How often it is killed.
const KILLS: usize = 6;
/// Customers at once.
const CUSTOMERS: usize = 3;
/// Orders accepted before a kill.
const ORDERS: usize = 12;
/// Longest that a checkout is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

const CUSTOMER: &str = "0e9d1a52-6a43-4f0e-9a56-0f4f2d1b7c10";

/// Sends a document; the status of the answer, 0 where there was none.
fn post(url: &str, key: &str, body: &str) -> u16 {
    let key = format!("Idempotency-Key: {key}");
    let output = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-m", "60", "-H", &key])
        .args(["-H", "Content-Type: application/json", "-d", body, url])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

fn order(url: &str, id: &str) -> u16 {
    let body = format!(
        r#"{{"id": "{id}", "customer": "{CUSTOMER}", "paymentMethod": "tok_approve",
            "lines": [{{"sku": "INK-BLUE", "quantity": 1}}]}}"#
    );
    post(&format!("{url}/v1/orders"), id, &body)
}

fn id(kill: usize, customer: usize, n: usize) -> String {
    format!("00000000-0000-4000-8000-{kill:04}{customer:04}{n:04}")
}

/// Orders until the server is gone; which orders it accepted.
fn order_until_killed(server: Server, kill: usize) -> Vec<String> {
    let (running, accepted) = (Mutex::new(Some(server)), Mutex::new(Vec::new()));
    let url = running.lock().unwrap().as_ref().unwrap().url.clone();
    thread::scope(|scope| {
        for customer in 0..CUSTOMERS {
            let (running, accepted, url) = (&running, &accepted, &url);
            scope.spawn(move || {
                for n in 0.. {
                    let id = id(kill, customer, n);
                    if order(url, &id) == 202 {
                        accepted.lock().unwrap().push(id);
                    }
                    if accepted.lock().unwrap().len() >= ORDERS + kill {
                        // Dropped, it is killed, while the others order.
                        drop(running.lock().unwrap().take());
                    }
                    if running.lock().unwrap().is_none() {
                        return;
                    }
                }
            });
        }
    });
    accepted.into_inner().unwrap()
}

/// An order's status, once its checkout has ended.
fn ended(server: &Server, id: &str) -> String {
    let (url, begun) = (format!("{}/v1/orders/{id}", server.url), Instant::now());
    loop {
        let output = Command::new("curl").args(["-sS", "-m", "60", &url]).output().unwrap();
        let order: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let status = order["status"].as_str().unwrap_or_default();
        if ["paid", "cancelled"].contains(&status) {
            return status.to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "order {id} was accepted and is {order}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn start(folder: &Path) -> Server {
    Server::start(folder, &["serve", "--demo"])
}

#[test]
fn accepted_orders_survive_every_kill() {
    let folder = TempDir::new().unwrap();
    let server = start(folder.path());
    let customer = format!(r#"{{"id": "{CUSTOMER}", "name": "Grace", "country": "GB"}}"#);
    assert_eq!(post(&format!("{}/v1/customers", server.url), "grace", &customer) / 100, 2);
    drop(server);

    let mut accepted = Vec::new();
    for kill in 0..KILLS {
        accepted.extend(order_until_killed(start(folder.path()), kill));
    }

    assert!(accepted.len() >= KILLS * ORDERS, "{} orders", accepted.len());
    let server = start(folder.path());
    let paid = accepted.iter().filter(|id| ended(&server, id) == "paid").count();
    assert!(paid > 0, "none of {} orders was paid", accepted.len());
    assert_eq!(order(&server.url, &accepted[0]), 202, "a retry is answered as the first time");
    assert!(server.stop());
    let output = run(folder.path(), &["verify"]);
    assert!(output.status.success(), "{}", told(&output));
}
