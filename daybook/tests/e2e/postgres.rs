//! The platform with its read models on `PostgreSQL`. Needs a server, which
//! `scripts/with-postgres` starts.

mod standby;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use daybook_database::testing;
use serde_json::{Value, json};

use crate::cli::then_it_fails;
use crate::support::{
    MadeUp, Server, daybook, get, last_json, list_product, run, run_and_kill, run_json, status,
    then_it_becomes, told, until,
};

/// The address of an empty database of the folder's own.
fn database(folder: &Path) -> String {
    assert!(testing::server().is_some(), "DAYBOOK_TEST_POSTGRES_URL must name a server");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(testing::prepare(folder, "models")).unwrap().reveal().to_owned()
}

fn with<'a>(database: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [args, &["--database", database]].concat()
}

/// Orders, imported into a database of the server, which is the other answer.
fn imported() -> (MadeUp, String) {
    let made = MadeUp::new(30);
    let database = database(made.path());
    let import = ["import", "online-retail", "made-up.csv", "-o", "json"];
    made.then_all_imported(&run_json(made.path(), &with(&database, &import)));
    (made, database)
}

#[test]
#[ignore = "needs a PostgreSQL server: scripts/with-postgres"]
fn an_import_comes_to_the_same_in_postgresql() {
    let (made, files) = (MadeUp::new(60), MadeUp::new(60));
    let database = database(made.path());
    let import = ["import", "online-retail", "made-up.csv", "-o", "json"];

    let report = run_json(made.path(), &with(&database, &import));
    made.then_all_imported(&report);
    run_json(files.path(), &import);

    let verified = run_json(made.path(), &with(&database, &["verify", "-o", "json"]));
    assert_eq!(verified["ok"], true, "{verified:#}");
    assert!(!made.path().join("data/read-models.sqlite").exists());
    let server = Server::start(made.path(), &with(&database, &["serve"]));
    let other = Server::start(files.path(), &["serve"]);
    let sales = "/v1/sales/days?from=2011-03-01&to=2011-03-31";
    let of = |server: &Server| get(&format!("{}{sales}", server.url));
    assert_eq!(of(&server), of(&other));
    assert!(server.stop() && other.stop());
}

/// The totals that were computed from the file in exact decimal arithmetic.
#[test]
#[ignore = "needs the retailer's year, named by DAYBOOK_RETAIL_DATA, and a PostgreSQL server"]
fn the_retailers_year_comes_to_the_penny_in_postgresql() {
    let file =
        std::env::var("DAYBOOK_RETAIL_DATA").expect("DAYBOOK_RETAIL_DATA must name the file");
    let folder = tempfile::TempDir::new().unwrap();
    let database = database(folder.path());

    let began = Instant::now();
    let import = ["import", "online-retail", &file, "-o", "json"];
    let report = run_json(folder.path(), &with(&database, &import));

    println!("{report} in {:.1?}", began.elapsed());
    assert_eq!(report["orders"], 18_532);
    assert_eq!(report["captured"]["amount"], 891_140_790);
    let verified = run_json(folder.path(), &with(&database, &["verify", "-o", "json"]));
    assert_eq!(verified["ok"], true, "{verified:#}");
}

#[test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
fn questions_are_unavailable_and_commands_accepted_while_the_server_takes_nobody_in() {
    let folder = tempfile::TempDir::new().unwrap();
    let database = database(folder.path());
    let limits = ["serve", "--demo", "--database-connect-seconds", "1"];
    let server = Server::start(folder.path(), &with(&database, &limits));
    let products = format!("{}/v1/products/PEN-BRASS", server.url);
    let health = format!("{}/health/ready", server.url);
    then_it_becomes(&products, "200");
    until(&health, |health| health["status"] == "ready");

    operate("ALTER ROLE daybook CONNECTION LIMIT 0");
    operate("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'daybook'");
    let unavailable = status(&products);
    let degraded = get(&health);
    let accepted = list_product(&server.url, "PAPER");
    operate("ALTER ROLE daybook CONNECTION LIMIT -1");

    assert_eq!((&*unavailable, &*accepted), ("503", "201"));
    assert_eq!((&degraded["ready"], &degraded["status"]), (&true.into(), &"degraded".into()));
    then_it_becomes(&products, "200");
    then_it_becomes(&format!("{}/v1/products/PAPER", server.url), "200");
    until(&health, |health| health["status"] == "ready");
    assert!(server.stop());
}

/// What an operator of the server does.
fn operate(statement: &str) {
    let address = std::env::var("DAYBOOK_TEST_POSTGRES_ADMIN_URL");
    psql(&address.expect("see scripts/with-postgres"), statement);
}

/// What a server answers to a statement.
fn psql(address: &str, statement: &str) -> String {
    let psql = Command::new("psql").args(["-qAt", address, "-c", statement]).output().unwrap();
    assert!(psql.status.success(), "{}", told(&psql));
    String::from_utf8(psql.stdout).unwrap().trim_end().to_owned()
}

/// Orders and payments in another database of the server, sales in a file. Answers that database.
fn given_read_models_apart(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_string_lossy().to_lowercase();
    let other: String = "apart".chars().chain(name.chars().skip_while(|c| *c == '.')).collect();
    operate(&format!("CREATE DATABASE {other} OWNER daybook"));
    let (usual, server) = (database(folder), testing::server().unwrap());
    let (server, _) = server.rsplit_once('/').unwrap();
    let orders = format!("{}/{other}", server.replace("daybook@", "daybook:secret@"));
    let settings = format!(
        "database = \"{usual}\"\ndatabase_connect_seconds = 1\nshutdown_seconds = 1\n\
         [database_of]\n\"orders,payments\" = \"{orders}\"\nsales = \"data/sales.sqlite\"\n"
    );
    std::fs::write(folder.join("daybook.toml"), settings).unwrap();
    std::fs::create_dir(folder.join("data")).unwrap();
    other
}

#[test]
#[ignore = "needs a PostgreSQL server of its own: scripts/with-postgres"]
fn read_models_in_two_databases_and_a_file_fail_and_are_built_by_themselves() {
    let made = MadeUp::new(9);
    let other = given_read_models_apart(made.path());
    let migrated = run_json(made.path(), &["db", "migrate", "-o", "json"]);
    assert!(!migrated.to_string().contains("secret"), "{migrated}");
    assert!(migrated["apart"][0]["database"].as_str().unwrap().ends_with(&other), "{migrated}");
    let import = ["import", "online-retail", "made-up.csv", "-o", "json"];
    made.then_all_imported(&run_json(made.path(), &import));
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);

    operate(&format!("ALTER DATABASE {other} ALLOW_CONNECTIONS false"));
    let server = Server::start(made.path(), &["serve"]);
    let page = |page: &str| format!("{}{page}", server.url);
    let (customers, health) = (page(&customer_page(made.path())), page("/health/ready"));
    assert_eq!(status(&customers), "503");
    for others in ["/v1/products/SKU%201", "/v1/sales/products?currency=GBP"] {
        assert_eq!(status(&page(others)), "200", "{others}");
    }
    let failing = |health: &Value| -> Vec<Value> {
        let checks = health["checks"].as_array().unwrap().iter();
        checks.filter(|check| check["ok"] == false).map(|check| check["name"].clone()).collect()
    };
    let away = ["read-models orders, payments", "projection orders", "projection payments"];
    until(&health, |health| failing(health) == away);
    let list = run(made.path(), &["dlq", "list", "-o", "json"]);
    assert_eq!((list.status.code(), last_json(&list)), (Some(3), json!([])), "{}", told(&list));
    assert!(told(&list).contains(&format!("/{other} cannot be used")), "{}", told(&list));
    then_it_fails(made.path(), &["dlq", "show", "projections/orders/1"], 1, &[&other]);
    then_it_fails(made.path(), &["dlq", "show", "projections/stock/1"], 1, &["nothing is parked"]);
    operate(&format!("ALTER DATABASE {other} ALLOW_CONNECTIONS true"));
    then_it_becomes(&customers, "200");
    until(&health, |health| health["status"] == "ready");

    let rebuild = ["projection", "rebuild", "orders", "sales", "stock", "--verify", "--cutover"];
    let done = run(made.path(), &rebuild);
    assert!(done.status.success(), "{}", told(&done));
    until(&page("/v1/projections"), |progress| {
        let models = progress["projections"].as_array().unwrap();
        models.iter().all(|model| model["live"] != true || model["position"] == progress["head"])
    });
    assert!(server.stop());
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);
    operate(&format!("DROP DATABASE {other}"));
}

/// The orders of some customer.
fn customer_page(folder: &Path) -> String {
    let placed = ["events", "tail", "--kind", "OrderPlaced", "-n", "1", "-o", "jsonl"];
    let customer = run_json(folder, &placed)["data"]["customer"].clone();
    format!("/v1/customers/{}/orders", customer.as_str().unwrap())
}

#[test]
#[ignore = "needs a PostgreSQL server: scripts/with-postgres"]
fn a_database_is_migrated_and_told_of() {
    let folder = tempfile::TempDir::new().unwrap();
    let database = database(folder.path());
    let status = with(&database, &["db", "status", "-o", "json"]);

    let before = run(folder.path(), &status);
    assert_eq!(before.status.code(), Some(3), "{}", told(&before));
    let before = last_json(&before);
    assert_eq!(before["steps"][0]["state"], "missing");
    assert_eq!(before["consumers"]["steps"][0]["state"], "missing");

    run_json(folder.path(), &with(&database, &["db", "migrate", "-o", "json"]));
    let after = run_json(folder.path(), &status);
    assert_eq!(after["steps"][0]["state"], "taken");
    assert_eq!(after["consumers"]["database"], after["database"]);
    let steps = after["consumers"]["steps"].as_array().unwrap();
    assert!(steps.len() > 3 && steps.iter().all(|step| step["state"] == "taken"), "{steps:?}");
}

#[test]
#[ignore = "needs a PostgreSQL server: scripts/with-postgres"]
fn read_models_are_built_anew_beside_servers() {
    let (made, database) = imported();
    let server = Server::start(made.path(), &with(&database, &["serve"]));
    let rebuild = ["projection", "rebuild", "--all", "--verify", "--cutover"];
    for millis in [100, 300] {
        run_and_kill(made.path(), &with(&database, &rebuild), Duration::from_millis(millis));
    }

    let done = run(made.path(), &with(&database, &[&rebuild[..], &["-o", "jsonl"]].concat()));

    assert!(done.status.success(), "{}", told(&done));
    assert_eq!(last_json(&done)["comparison"]["unexpected"], 0);
    let list = run_json(made.path(), &with(&database, &["projection", "list", "-o", "json"]));
    let live = list.as_array().unwrap();
    assert!(live.iter().all(|model| model["generation"].as_u64() >= Some(2)), "{list}");
    let again = run_json(
        made.path(),
        &["import", "online-retail", "made-up.csv", "--url", &server.url, "-o", "json"],
    );
    made.then_all_imported(&again);
    for model in live {
        let name = model["name"].as_str().unwrap();
        let back = ["projection", "rollback", name, "-o", "jsonl"];
        assert_eq!(run_json(made.path(), &with(&database, &back))["live"], true);
    }
    assert!(server.stop());
    let verified = run_json(made.path(), &with(&database, &["verify", "-o", "json"]));
    assert_eq!(verified["ok"], true, "{verified:#}");
}

#[test]
#[ignore = "needs a PostgreSQL server: scripts/with-postgres"]
fn rebuilds_are_measured_on_both_engines_and_leave_nothing_behind() {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let database = database(made.path());

    let output = run(made.path(), &with(&database, &["bench", "rebuild", "-o", "json"]));

    let engines = &last_json(&output)["engines"];
    assert_eq!(
        (&engines[0]["engine"], &engines[1]["engine"]),
        (&"sqlite".into(), &"postgresql".into())
    );
    assert_eq!(
        (&engines[0]["events"], &engines[0]["rows"]),
        (&engines[1]["events"], &engines[1]["rows"])
    );
    let left =
        ["-qAt", "-c", "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'daybook_bench%'"];
    let admin =
        std::env::var("DAYBOOK_TEST_POSTGRES_ADMIN_URL").expect("see scripts/with-postgres");
    let psql = Command::new("psql").arg(&admin).args(left).output().unwrap();
    assert!(psql.status.success() && psql.stdout.is_empty(), "{psql:?}");
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let folder = tempfile::TempDir::new().unwrap();
    let output = daybook(folder.path(), &["db", "status"])
        .env("DAYBOOK_DATABASE", "postgres://ann:secret@127.0.0.1:1/shop")
        .env("DAYBOOK_DATABASE_CONNECT_SECONDS", "1")
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(told.contains("postgres://127.0.0.1:1/shop"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}
