//! Notifications and analytics, as they come with a server without any setting.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{Server, run, run_json, told};

/// Waits until what a command prints is as it should be.
#[track_caller]
fn until(folder: &Path, args: &[&str], so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let output = run(folder, args);
        let read = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if so(&read) {
            return read;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{read} {}", told(&output));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[track_caller]
fn post(url: &str, path: &str, body: &Value) {
    let output = Command::new("curl")
        .args(["-sS", "--fail-with-body", &format!("{url}{path}")])
        .args(["-H", "Content-Type: application/json", "-d", &body.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{path} {body}: {output:?}");
}

#[test]
fn a_customer_is_told_of_their_order_and_it_is_counted() {
    let folder = TempDir::new().unwrap();
    let (customer, order) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
    let server = Server::start(folder.path(), &["serve", "--demo"]);
    let prefer = ["notifications", "prefer", &customer, "sms", "on", "--address", "+442071234567"];
    assert!(run(folder.path(), &prefer).status.success());

    let account = json!({ "id": customer, "name": "Grace", "email": "grace@example.org" });
    post(&server.url, "/v1/customers", &account);
    let line = json!({ "sku": "PEN-BRASS", "quantity": 2 });
    let wanted = json!({
        "id": order, "customer": customer, "paymentMethod": "tok_approve", "lines": [line],
    });
    post(&server.url, "/v1/orders", &wanted);

    let list = ["notifications", "list", "--order", &order, "--status", "sent", "-o", "json"];
    let sent = until(folder.path(), &list, |list| list.as_array().is_some_and(|l| l.len() == 4));
    for (kind, channel) in [
        ("OrderConfirmed", "email"),
        ("OrderConfirmed", "sms"),
        ("OrderPaid", "email"),
        ("OrderPaid", "sms"),
    ] {
        let is_it = |sent: &&Value| sent["kind"] == kind && sent["channel"] == channel;
        let sent = sent.as_array().unwrap().iter().find(is_it).unwrap();
        assert_eq!(sent["via"], "sink");
        let address = if channel == "sms" { "+442071234567" } else { "grace@example.org" };
        assert_eq!(sent["address"], address);
    }
    let show = ["analytics", "show", "-o", "json"];
    let report = until(folder.path(), &show, |report| report["figures"][0]["paid"] == 1);
    let figures = &report["figures"][0];
    assert_eq!((&figures["placed"], &figures["conversion"]), (&json!(1), &json!("1.000")));
    assert_eq!(report["topProducts"][0]["sku"], "PEN-BRASS");
    assert_eq!(report["topProducts"][0]["amount"], figures["revenue"]);
    let dead = run_json(folder.path(), &["dlq", "list", "--source", "consumers", "-o", "json"]);
    assert_eq!(dead, json!([]));
    assert!(server.stop());
}

#[test]
fn what_makes_no_sense_is_said() {
    let folder = TempDir::new().unwrap();
    for (args, expected) in [
        (&["relay"][..], "--kafka"),
        (&["analytics", "run"], "--kafka"),
        (&["notifications", "run"], "--kafka"),
        (&["serve", "--listen", "127.0.0.1:0", "--smtp", "gopher://mail"], "--smtp"),
        (&["analytics", "show", "--from", "2020-01-02", "--to", "2020-01-01"], "1 to 3660 days"),
        (
            &[
                "notifications",
                "prefer",
                "0198c1f6-5a3e-7c55-9d9e-0d6f2b1c7e11",
                "sms",
                "on",
                "--address",
                "7",
            ],
            "+442071234567",
        ),
    ] {
        let output = run(folder.path(), args);
        assert!(!output.status.success(), "{args:?}");
        assert!(told(&output).contains(expected), "{args:?}: {}", told(&output));
    }
}
