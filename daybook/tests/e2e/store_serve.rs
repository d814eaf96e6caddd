//! The event store on EventStoreDB's protocol, as the program serves it.

use std::fs;
use std::net::TcpListener;

use tempfile::TempDir;

use crate::cli::then_it_fails;
use crate::support::{MadeUp, Server, get, run_json};

/// Where plain HTTP finds a server that clients connect to.
fn http(server: &Server, path: &str) -> String {
    let address = server.url.strip_prefix("kurrentdb://").unwrap();
    format!("http://{}{path}", address.trim_end_matches("?tls=false"))
}

#[test]
fn the_store_alone_is_served_until_it_is_told_to_stop() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path(), &["store", "serve"]);

    let gossip = get(&http(&server, "/gossip"));

    assert_eq!(gossip["members"][0]["state"], "Leader");
    assert_eq!(get(&http(&server, "/stats"))["store"]["kind"], "embedded");
    then_it_fails(folder.path(), &["store", "serve", "--listen", "127.0.0.1:0"], 1, &["in use"]);
    assert!(server.stop());
}

#[test]
fn an_address_in_use_is_told_before_anything_is_opened() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let serve = ["store", "serve", "--listen", &address];
    then_it_fails(folder.path(), &serve, 1, &[&address, "in use"]);

    assert!(!folder.path().join("data").exists());
}

#[test]
fn others_are_not_let_in_by_mistake() {
    let folder = TempDir::new().unwrap();
    let serve = ["store", "serve", "--listen", "0.0.0.0:0"];
    let words = ["0.0.0.0", "--tls-certificate", "--authentication", "--insecure"];

    then_it_fails(folder.path(), &serve, 1, &words);
    then_it_fails(folder.path(), &[&serve[..], &["--authentication"]].concat(), 1, &words);
}

#[test]
fn what_is_no_certificate_is_named() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("server.crt"), "no certificate").unwrap();
    let tls = ["store", "serve", "--tls-certificate", "server.crt"];

    then_it_fails(folder.path(), &tls, 2, &["--tls-key"]);
    let both = [&tls[..], &["--tls-key", "server.key"]].concat();
    then_it_fails(folder.path(), &both, 1, &["server.crt", "certificate", "PEM"]);
}

#[test]
fn users_are_asked_for_only_where_there_is_an_admin() {
    let folder = TempDir::new().unwrap();
    let serve = ["store", "serve", "--listen", "127.0.0.1:0", "--authentication"];
    fs::write(folder.path().join("empty"), "\n").unwrap();
    fs::write(folder.path().join("password"), "secret\n").unwrap();

    then_it_fails(folder.path(), &serve, 1, &["admin", "--admin-password-file"]);
    for (file, word) in [("empty", "no password"), ("absent", "absent")] {
        let with = [&serve[..], &["--admin-password-file", file]].concat();
        then_it_fails(folder.path(), &with, 1, &[word]);
    }
    let with = [&serve[..], &["--admin-password-file", "password"]].concat();
    assert!(Server::start(folder.path(), &with).stop());
    assert!(Server::start(folder.path(), &serve).stop(), "the admin is kept");
}

#[test]
fn the_platform_serves_its_store_beside_itself() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store-listen"];

    then_it_fails(folder.path(), &[&serve[..], &[&address]].concat(), 1, &[&address, "in use"]);

    let server = Server::start(folder.path(), &["serve", "--store-listen", "127.0.0.1:0"]);
    let wire = server.told.iter().find_map(|line| line.split_once("kurrentdb://")).unwrap().1;
    let gossip = get(&format!("http://{}/gossip", wire.trim_end_matches("?tls=false")));
    assert_eq!(gossip["members"][0]["isAlive"], true);
    assert!(server.stop());
}

#[test]
fn a_stream_of_a_served_store_is_bounded_and_ended() {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let server = Server::start(made.path(), &["store", "serve"]);
    let stream = |args: &[&str]| {
        let of = ["stock-SKU 5", "--store", &server.url, "-o", "json"];
        run_json(made.path(), &[&["store", "stream"], args, &of].concat())
    };

    let bounded = stream(&["set", "--max-count", "1"]);
    assert_eq!(bounded["firstRevision"], bounded["lastRevision"]);
    assert_eq!(stream(&["delete"])["state"], "deleted");
    assert_eq!(stream(&["tombstone", "--yes"])["state"], "ended");
    let beside = ["store", "stream", "set", "stock-SKU 5", "--max-count", "1"];
    then_it_fails(made.path(), &beside, 1, &["in use", "--store URL"]);
}

#[test]
fn a_store_is_copied_to_a_server_and_back() {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let server = Server::start(made.path(), &["store", "serve", "--data-dir", "served"]);
    let copy = |from, to| run_json(made.path(), &["store", "copy", from, to, "-o", "json"]);

    let there = copy("data/events", &server.url);
    let back = copy(&server.url, "copied");

    assert!(there["copied"].as_u64().unwrap() > 100, "{there}");
    assert_eq!((&there["gaps"], &there["copied"]), (&0.into(), &back["copied"]));
    assert_eq!(copy("data/events", "copied")["copied"], 0, "it has all of it already");
    then_it_fails(made.path(), &["store", "copy", "copied", "copied"], 1, &["itself"]);
    then_it_fails(made.path(), &["store", "copy", "nowhere", "copied"], 1, &["nowhere"]);
}
