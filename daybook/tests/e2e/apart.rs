//! Read models in databases of their own.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::then_it_fails;
use crate::support::{
    MadeUp, Server, daybook, get, last_json, list_product, run, run_json, status, then_it_becomes,
    told, until,
};

const IMPORT: [&str; 5] = ["import", "online-retail", "made-up.csv", "-o", "json"];

/// Orders in one file with what becomes of them, sales in another, and the others where they are.
const APART: &str = "[database_of]\n\"orders,checkouts\" = \"data/orders.sqlite\"\n\
                     sales = \"data/sales.sqlite\"\n";

fn given_orders() -> MadeUp {
    let made = MadeUp::new(9);
    fs::write(made.path().join("daybook.toml"), APART).unwrap();
    made.then_all_imported(&run_json(made.path(), &IMPORT));
    made
}

/// What a list of JSON documents has under a key.
pub(crate) fn each<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

/// The name of an order, and of its customer.
fn an_order(folder: &Path) -> (String, String) {
    let placed = ["events", "tail", "--kind", "OrderPlaced", "-n", "1", "-o", "jsonl"];
    let event = run_json(folder, &placed);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&event["stream"]).replacen("order-", "", 1), text(&event["data"]["customer"]))
}

#[test]
fn a_sale_is_told_of_by_read_models_that_are_apart() {
    let made = given_orders();
    let one = MadeUp::new(9);
    one.then_all_imported(&run_json(one.path(), &IMPORT));
    assert!(made.path().join("data/orders.sqlite").exists());

    let verified = run_json(made.path(), &["verify", "-o", "json"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
    let list = run_json(made.path(), &["projection", "list", "-o", "json"]);
    let names =
        ["checkouts", "customers", "orders", "payments", "products", "sales", "stock", "catalog"];
    assert_eq!(each(&list, "name"), names);
    let server = Server::start(made.path(), &["serve"]);
    let other = Server::start(one.path(), &["serve"]);
    let (order, customer) = an_order(made.path());
    for page in [
        "/v1/sales/days?from=2011-03-01&to=2011-03-31",
        "/v1/sales/products?currency=GBP",
        &format!("/v1/orders/{order}"),
        &format!("/v1/customers/{customer}/orders"),
        "/v1/products/SKU%201",
        "/v1/stock/SKU%201",
    ] {
        let of = |server: &Server| same(get(&format!("{}{page}", server.url)));
        assert_eq!(of(&server), of(&other), "{page}");
    }
    let checkout = &get(&format!("{}/v1/orders/{order}", server.url))["checkout"];
    assert_eq!(checkout["stage"], "shipped");
    let health = until(&format!("{}/health/ready", server.url), |it| it["status"] == "ready");
    let names = each(&health["checks"], "name");
    let apart = ["read-models", "read-models orders, checkouts", "read-models sales"];
    assert!(apart.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(server.stop() && other.stop());
}

/// Without what the clock, and the order in which process managers take things in, have a part in.
fn same(mut answer: Value) -> Value {
    const CHANGING: [&str; 6] =
        ["recordedAt", "updatedAt", "fulfilledAt", "startedAt", "at", "checkout"];
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !CHANGING.contains(&name.as_str()));
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut answer);
    answer
}

#[test]
fn a_read_model_that_is_apart_is_built_anew_beside_a_server() {
    let made = given_orders();
    let server = Server::start(made.path(), &["serve"]);

    let rebuild = ["projection", "rebuild", "orders", "--verify", "--cutover", "-o", "jsonl"];
    let outcome = run_json(made.path(), &rebuild);

    assert_eq!((&outcome["live"], &outcome["generation"]), (&true.into(), &2.into()));
    assert_eq!(outcome["comparison"]["unexpected"], 0, "{outcome}");
    let all = ["projection", "rebuild", "--all", "--verify", "--cutover"];
    let all = run(made.path(), &all);
    assert!(all.status.success(), "{}", told(&all));
    assert!(server.stop());
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);
}

/// Puts something else where a database is.
pub(crate) fn given_no_database(file: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", file.display()));
    }
    fs::write(file, "no database ".repeat(1_000)).unwrap();
}

#[test]
fn a_database_that_is_broken_takes_down_its_own_read_models_alone() {
    let made = given_orders();
    let (order, _) = an_order(made.path());
    let file = made.path().join("data/orders.sqlite");
    given_no_database(&file);

    let server = Server::start(made.path(), &["serve"]);

    let page = |page: &str| format!("{}{page}", server.url);
    let order = page(&format!("/v1/orders/{order}"));
    assert_eq!(status(&order), "503");
    for others in ["/v1/products/SKU%201", "/v1/stock/SKU%201", "/v1/sales/products?currency=GBP"] {
        assert_eq!(status(&page(others)), "200", "{others}");
    }
    assert_eq!(list_product(&server.url, "PAPER"), "201");
    then_it_becomes(&page("/v1/products/PAPER"), "200");
    let failing = |health: &Value| -> Vec<String> {
        let checks = health["checks"].as_array().unwrap().iter();
        let failing = checks.filter(|check| check["ok"] == false);
        failing.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
    };
    let away = ["read-models orders, checkouts", "projection checkouts", "projection orders"];
    let health = page("/health/ready");
    until(&health, |health| health["status"] == "degraded" && failing(health) == away);

    then_the_others_can_be_looked_after(made.path());

    fs::remove_file(&file).unwrap();
    then_it_becomes(&order, "200");
    until(&health, |health| health["status"] == "ready");
    assert!(server.stop());
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);
}

#[track_caller]
fn then_the_others_can_be_looked_after(folder: &Path) {
    let orders = ["data/orders.sqlite", "cannot be used"];
    let list = run(folder, &["projection", "list", "-o", "json"]);
    assert_eq!(list.status.code(), Some(1));
    assert!(orders.iter().all(|words| told(&list).contains(words)), "{}", told(&list));
    let others = ["customers", "payments", "products", "sales", "stock", "catalog"];
    assert_eq!(each(&last_json(&list), "name"), others);
    run_json(folder, &["projection", "status", "sales", "-o", "json"]);
    then_it_fails(folder, &["projection", "status", "orders"], 1, &orders);
    then_it_fails(folder, &["projection", "rebuild", "orders"], 1, &orders);
    run_json(folder, &["projection", "rebuild", "sales", "--verify", "--cutover", "-o", "jsonl"]);

    let db = run(folder, &["db", "status", "-o", "json"]);
    assert_eq!(db.status.code(), Some(1));
    assert!(orders.iter().all(|words| told(&db).contains(words)), "{}", told(&db));
    let db = last_json(&db);
    assert_eq!(db["steps"][0]["state"], "taken");
    let apart = |at: usize| &db["apart"][at];
    assert_eq!(apart(0)["models"], serde_json::json!(["orders", "checkouts"]));
    assert!(apart(0)["error"].is_string() && apart(1)["error"].is_null(), "{db}");
    assert_eq!(each(&apart(1)["projections"], "name"), ["sales", "sales"]);

    let verified = run(folder, &["verify", "-o", "json"]);
    assert_eq!(verified.status.code(), Some(3), "{}", told(&verified));
    let verified = last_json(&verified);
    let wrong = verified["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    let wrong: Vec<_> = wrong.map(|check| check["name"].as_str().unwrap()).collect();
    let expected =
        ["orders", "checkouts"].map(|name| format!("projection {name} equals the events"));
    assert_eq!(wrong[..2], expected, "{verified:#}");
}

#[test]
fn read_models_that_move_are_posted_anew_where_they_are_now() {
    let made = MadeUp::new(9);
    made.then_all_imported(&run_json(made.path(), &IMPORT));
    let stock = || {
        let status = run_json(made.path(), &["projection", "status", "stock", "-o", "json"]);
        status.as_array().unwrap().iter().map(|one| one["position"].as_u64()).collect::<Vec<_>>()
    };
    let before = stock();

    let moved = "database_of.stock = \"data/stock.sqlite\"\n";
    fs::write(made.path().join("daybook.toml"), moved).unwrap();

    assert_eq!(stock(), []);
    assert!(!made.path().join("data/stock.sqlite").exists());
    let server = Server::start(made.path(), &["serve"]);
    then_it_becomes(&format!("{}/v1/stock/SKU%201", server.url), "200");
    assert!(server.stop());
    assert!(stock() >= before);
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);
}

#[test]
fn what_is_given_for_some_read_models_comes_from_flag_environment_and_file() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("daybook.toml"), APART).unwrap();
    let models = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        let apart = last_json(&output)["apart"].as_array().unwrap().clone();
        let told = |one: &Value| format!("{}: {}", one["database"], one["models"]);
        apart.iter().map(told).collect::<Vec<_>>()
    };
    let migrate = ["db", "migrate", "-o", "json"];

    let of_file = models(&mut daybook(folder.path(), &migrate));
    let two = "orders,sales=data/a.sqlite stock=data/b.sqlite";
    let of_environment = models(daybook(folder.path(), &migrate).env("DAYBOOK_DATABASE_OF", two));
    let flags = ["--database-of", "stock=data/c.sqlite", "--database-of", "sales=data/c.sqlite"];
    let of_flags = [&migrate[..], &flags].concat();
    let of_flags = models(daybook(folder.path(), &of_flags).env("DAYBOOK_DATABASE_OF", two));

    let orders = "\"data/orders.sqlite\": [\"orders\",\"checkouts\"]";
    assert_eq!(of_file, [orders, "\"data/sales.sqlite\": [\"sales\"]"]);
    let [first, second] = ["a.sqlite\": [\"orders\",\"sales\"]", "b.sqlite\": [\"stock\"]"];
    assert_eq!(of_environment, [format!("\"data/{first}"), format!("\"data/{second}")]);
    assert_eq!(of_flags, ["\"data/c.sqlite\": [\"stock\",\"sales\"]"]);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_opened() {
    let folder = TempDir::new().unwrap();
    for (text, words) in [
        ("shelves=a.sqlite", "shelves, which is no read model; there are orders"),
        ("catalog=a.sqlite", "--search"),
        ("orders=a.sqlite orders=b.sqlite", "names orders twice"),
        ("orders=", "an empty address"),
        ("postgres://ann:secret@db/shop", "must say of which read models"),
        ("orders=postgres://ann:secret@db:port/shop", "postgres://db:port/shop"),
    ] {
        let output = run(folder.path(), &["serve", "--database-of", text]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let told = told(&output);
        assert!(told.contains(words) && !told.contains("secret"), "{text}: {told}");
    }
    assert!(!folder.path().join("data/events").exists());
}
