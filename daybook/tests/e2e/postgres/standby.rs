//! Questions put to a hot standby that follows the server by streaming. It is asked as it is: paused, so
//! that it is behind, stopped, and while what it replays drops and turns what is asked.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use daybook_database::testing::{on_the_standby, standby};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{database, imported, psql, with};
use crate::support::{
    Server, get, list_product, run, run_json, status, then_it_becomes, told, until,
};

/// What an operator of the standby does.
fn operate(statement: &str) -> String {
    let address = std::env::var("DAYBOOK_TEST_POSTGRES_STANDBY_ADMIN_URL");
    psql(&address.expect("see scripts/with-postgres"), statement)
}

/// The standby replays nothing more until this is dropped; a test that fails pauses no other.
struct Paused;

impl Paused {
    fn now() -> Self {
        operate("SELECT pg_wal_replay_pause()");
        let paused = Self;
        while operate("SELECT pg_get_wal_replay_pause_state()") != "paused" {
            thread::sleep(Duration::from_millis(20));
        }
        paused
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        operate("SELECT pg_wal_replay_resume()");
    }
}

/// A folder, and a database of its own that the standby follows.
fn followed() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let database = database(folder.path());
    standby(&["start"]);
    (folder, database)
}

/// Serves from a database, and answers from the standby's copy.
fn serve(folder: &Path, database: &str, more: &[&str]) -> Server {
    let replica = on_the_standby(database);
    let replica = ["--database-replica", &replica, "--database-connect-seconds", "1"];
    Server::start(folder, &with(database, &[&["serve"], more, &replica].concat()))
}

/// A page by its status and body.
#[track_caller]
fn answer(args: &[&str]) -> (String, Value) {
    let output = Command::new("curl").args(["-sS", "-w", "\n%{http_code}"]).args(args).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

/// The header of a question about what was written last.
fn token(server: &Server) -> String {
    let product = json!({
        "sku": "INK", "seller": "acme", "name": "INK", "category": "Office",
        "price": { "amount": 100, "currency": "GBP" },
    });
    let headers = Command::new("curl")
        .args(["-sS", "-D", "-", "-o", "/dev/null", "-H", "Content-Type: application/json", "-d"])
        .args([product.to_string(), format!("{}/v1/products", server.url)])
        .output();
    let headers = String::from_utf8(headers.unwrap().stdout).unwrap();
    let token = headers.lines().find(|line| line.to_lowercase().starts_with("consistency-token:"));
    token.unwrap_or_else(|| panic!("{headers}")).to_owned()
}

/// Waits until the server itself has every event in its rows, whatever the standby has.
fn until_posted(folder: &Path, database: &str) {
    let command = with(database, &["projection", "status", "products", "-o", "json"]);
    let began = Instant::now();
    while run_json(folder, &command)[0]["lag"] != 0 {
        assert!(began.elapsed() < Duration::from_mins(1));
        thread::sleep(Duration::from_millis(50));
    }
}

fn detail<'a>(health: &'a Value, name: &str) -> &'a str {
    let mut checks = health["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == name).unwrap()["detail"].as_str().unwrap_or_default()
}

#[test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
fn a_standby_that_is_behind_answers_what_it_knows_and_says_how_far_that_is() {
    let (folder, database) = followed();
    let server = serve(folder.path(), &database, &["--demo"]);
    let page = |page: &str| format!("{}{page}", server.url);
    let (ink, health) = (page("/v1/products/INK"), page("/health/ready"));
    until(&health, |health| health["status"] == "ready");
    then_it_becomes(&page("/v1/products/PEN-BRASS"), "200");

    let paused = Paused::now();
    let token = token(&server);
    until_posted(folder.path(), &database);

    assert_eq!(status(&page("/v1/products/PEN-BRASS")), "200");
    assert_eq!(status(&ink), "404", "the standby does not know it");
    let (code, problem) = answer(&["-H", &token, &ink]);
    assert_eq!((&*code, &problem["type"]), ("503", &json!("/problems/not-caught-up")));
    let progress = get(&page("/v1/projections"));
    let models = progress["projections"].as_array().unwrap();
    let products = models.iter().find(|model| model["name"] == "products").unwrap();
    assert!(products["position"].as_u64() < progress["head"].as_u64(), "{progress}");
    // Each read model has its own time to move; others may have had theirs before.
    let stalled = until(&health, |health| {
        let detail = detail(health, "read-models");
        detail.starts_with("behind and not moving: ") && detail.contains("products")
    });
    assert_eq!(stalled["status"], "degraded");
    assert_eq!(list_product(&server.url, "PAPER"), "201");

    drop(paused);
    assert_eq!(answer(&["-H", &token, &ink]).0, "200");
    until(&health, |health| health["status"] == "ready");
    then_it_becomes(&page("/v1/products/PAPER"), "200");
    assert!(server.stop());
    standby(&["stop"]);
}

#[test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
fn a_database_is_migrated_and_told_of_whatever_its_standby_knows() {
    let (folder, database) = followed();
    let paused = Paused::now();
    let replica = on_the_standby(&database);
    let both = |command| ["db", command, "-o", "json", "--database-replica", &replica];

    let migrated = run_json(folder.path(), &with(&database, &both("migrate")));
    drop(paused);
    standby(&["stop"]);
    let status = run_json(folder.path(), &with(&database, &both("status")));

    assert_eq!(migrated["steps"][0]["state"], "taken");
    assert_eq!(status["steps"], migrated["steps"]);
}

#[test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
fn while_the_standby_is_away_questions_wait_and_all_else_goes_on() {
    let (folder, database) = followed();
    let server = serve(folder.path(), &database, &["--demo"]);
    let product = |server: &Server, sku: &str| format!("{}/v1/products/{sku}", server.url);
    let health = |server: &Server| format!("{}/health/ready", server.url);
    then_it_becomes(&product(&server, "PEN-BRASS"), "200");

    standby(&["stop"]);
    assert_eq!(status(&product(&server, "PEN-BRASS")), "503");
    assert_eq!(list_product(&server.url, "PAPER"), "201");
    let degraded = get(&health(&server));
    assert_eq!((&degraded["ready"], &degraded["status"]), (&json!(true), &json!("degraded")));
    assert!(!detail(&degraded, "read-models").is_empty(), "{degraded}");
    until_posted(folder.path(), &database);
    assert!(server.stop());
    let server = serve(folder.path(), &database, &[]);
    assert_eq!(status(&product(&server, "PAPER")), "503");
    assert_eq!(list_product(&server.url, "INK"), "201");

    standby(&["start"]);
    then_it_becomes(&product(&server, "PAPER"), "200");
    then_it_becomes(&product(&server, "INK"), "200");
    until(&health(&server), |health| health["status"] == "ready");
    assert!(server.stop());
    standby(&["stop"]);
}

#[test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
fn read_models_are_built_anew_beside_questions_to_the_standby() {
    let (made, database) = imported();
    standby(&["start"]);
    let server = serve(made.path(), &database, &[]);
    let page = format!("{}/v1/stock/SKU%201", server.url);
    then_it_becomes(&page, "200");
    let (_, stock) = answer(&[&page]);
    let done = AtomicBool::new(false);

    let answered = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = Vec::new();
            while !done.load(Ordering::Relaxed) {
                answers.push(answer(&[&page]));
            }
            answers
        });
        let rebuild = ["projection", "rebuild", "--all", "--verify", "--cutover"];
        for _ in 0..2 {
            let ended = run(made.path(), &with(&database, &rebuild));
            assert!(ended.status.success(), "{}", told(&ended));
        }
        done.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });

    assert!(answered.iter().any(|(code, _)| code == "200"));
    for (code, body) in answered {
        assert!(code == "503" || (code == "200" && body == stock), "{code}: {body}");
    }
    then_it_becomes(&page, "200");
    let live = |model: &Value| model["name"] == "stock" && model["live"] == true;
    until(&format!("{}/v1/projections", server.url), |progress| {
        let models = progress["projections"].as_array().unwrap();
        models.iter().any(|model| live(model) && model["generation"] == 3)
    });
    assert!(server.stop());
    let replica = on_the_standby(&database);
    let verify = ["verify", "-o", "json", "--database-replica", &replica];
    let verified = run_json(made.path(), &with(&database, &verify));
    assert_eq!(verified["ok"], true, "{verified:#}");
    standby(&["stop"]);
}
