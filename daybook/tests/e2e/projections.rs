//! Read models looked after by an operator, while a server runs and while none does.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{MadeUp, Server, daybook, get, last_json, run, run_and_kill, run_json, told};

fn given_orders() -> MadeUp {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    made
}

/// Runs a statement on the read models as somebody does who goes behind the program's back.
#[track_caller]
fn behind_its_back(folder: &Path, sql: &str) {
    use daybook_database::{AssertSqlSafe, Limits, Pool, query};
    let file = folder.join("data/read-models.sqlite");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = Pool::writer(&(&*file.to_string_lossy()).into(), &Limits::default()).await;
        let mut tx = pool.as_ref().unwrap().begin().await.unwrap();
        tx.execute(query(AssertSqlSafe(sql.to_owned()))).await.unwrap();
        tx.commit().await.unwrap();
        pool.unwrap().close().await;
    });
}

/// Parks what the stock of a SKU has to say, as if it had failed when it was projected.
fn given_a_parked_event(made: &MadeUp) -> u64 {
    let tail = ["events", "tail", "--all", "--kind", "StockReserved", "-o", "jsonl"];
    let output = run(made.path(), &tail);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut events = text.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let last = events.next().unwrap();
    let position = last["position"].as_u64().unwrap();
    let (stream, revision, id) = (&last["stream"], &last["revision"], &last["id"]);
    let (stream, id) = (stream.as_str().unwrap(), id.as_str().unwrap());
    let sql = format!(
        "INSERT INTO parked_events (projection, generation, position, stream, revision, event_id, \
         kind, error, attempts, parked_at) VALUES \
         ('stock', 1, {position}, '{stream}', {revision}, '{id}', 'StockReserved', 'it rained', 1, 0)"
    );
    behind_its_back(made.path(), &sql);
    position
}

/// The generations of a read model: number, state, lag.
#[track_caller]
fn generations(folder: &Path, name: &str) -> Vec<(u64, String, u64)> {
    let status = run_json(folder, &["projection", "status", name, "-o", "json"]);
    let generation = |status: &Value| {
        let number = |key: &str| status[key].as_u64().unwrap();
        (number("generation"), status["state"].as_str().unwrap().to_owned(), number("lag"))
    };
    status.as_array().unwrap().iter().map(generation).collect()
}

fn generation(number: u64, state: &str) -> (u64, String, u64) {
    (number, state.to_owned(), 0)
}

#[test]
fn all_read_models_are_built_compared_and_made_live_beside_a_server() {
    let made = given_orders();
    let server = Server::start(made.path(), &["serve"]);

    let rebuild = ["projection", "rebuild", "--all", "--verify", "--cutover", "-o", "jsonl"];
    let output = run(made.path(), &rebuild);

    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (progress, outcomes): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line["progress"].is_string());
    assert_eq!(outcomes.len(), 8);
    for outcome in outcomes {
        assert_eq!((&outcome["live"], &outcome["generation"]), (&true.into(), &2.into()));
        assert_eq!(outcome["comparison"]["unexpected"], 0, "{outcome}");
    }
    for key in ["eventsPerSecond", "etaSeconds", "lag", "parked", "events"] {
        assert!(progress.iter().all(|line| line[key].is_number()), "{key}: {progress:?}");
    }
    // The server goes on with what is live now, and can be asked for it.
    let import = ["import", "online-retail", "made-up.csv", "--url", &server.url, "-o", "json"];
    made.then_all_imported(&run_json(made.path(), &import));
    assert!(server.stop());
    let expected = [generation(1, "retired"), generation(2, "live")];
    let states = generations(made.path(), "orders").into_iter().map(|(n, state, _)| (n, state, 0));
    assert_eq!(states.collect::<Vec<_>>(), expected);
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);
}

#[test]
fn the_search_index_is_built_made_live_and_paused_beside_a_server() {
    let made = given_orders();
    let server = Server::start(made.path(), &["serve"]);
    let found = || get(&format!("{}/v1/catalog/search?limit=100", server.url))["total"].clone();
    let before = found();

    let rebuild = ["projection", "rebuild", "catalog", "--verify", "--cutover", "-o", "jsonl"];
    let outcome = run_json(made.path(), &rebuild);

    assert_eq!((&outcome["live"], &outcome["generation"]), (&true.into(), &2.into()));
    let table = &outcome["comparison"]["tables"][0];
    assert_eq!((&table["table"], &table["rows"]["live"]), (&"catalog".into(), &before));
    assert!(before.as_u64() > Some(0) && found() == before);
    let back = run_json(made.path(), &["projection", "rollback", "catalog", "-o", "jsonl"]);
    assert_eq!((&back["generation"], &back["live"]), (&1.into(), &true.into()));
    assert_eq!(found(), before);
    let pause = run_json(made.path(), &["projection", "pause", "catalog", "-o", "json"]);
    assert_eq!(pause["changed"], true);
    // A server that stops does not wait for what is paused.
    assert!(server.stop());
    let [first, second] = generations(made.path(), "catalog").try_into().unwrap();
    assert_eq!((first.1, second.1), ("live".to_owned(), "retired".to_owned()));
    let resume = run_json(made.path(), &["projection", "resume", "catalog", "-o", "json"]);
    assert_eq!(resume["changed"], true);
    let server = Server::start(made.path(), &["serve"]);
    assert!(server.stop());
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);
}

#[test]
fn a_difference_is_told_key_by_key_and_refused_unless_it_is_expected() {
    let made = given_orders();
    behind_its_back(made.path(), "UPDATE sales_by_day_v1 SET quantity = quantity + 1");
    let rebuild = ["projection", "rebuild", "sales", "--verify", "--cutover"];

    let refused = run(made.path(), &rebuild);

    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    let text = String::from_utf8(refused.stdout).unwrap();
    assert!(text.contains("2011-03-01/GBP: quantity "), "{text}");
    assert!(text.contains("sales_orders: equal"), "{text}");
    let built = [generation(1, "live"), generation(2, "building")];
    assert_eq!(generations(made.path(), "sales"), built);
    let allow = "[[expected]]\ntable = \"sales_by_day\"\nkey = \"*\"\ncolumn = \"quantity\"\n";
    std::fs::write(made.path().join("expected.toml"), allow).unwrap();
    let verify = ["projection", "verify", "sales", "--allow", "expected.toml", "-o", "json"];
    let verified = run_json(made.path(), &verify);
    assert_eq!((&verified["unexpected"], &verified["built"]), (&0.into(), &2.into()));
    let accepted = run(made.path(), &[&rebuild[..], &["--allow", "expected.toml"]].concat());
    assert!(accepted.status.success(), "{}", told(&accepted));

    let back = run_json(made.path(), &["projection", "rollback", "sales", "-o", "jsonl"]);
    assert_eq!((&back["generation"], &back["live"]), (&1.into(), &true.into()));
    let again = run(made.path(), &["projection", "rollback", "sales"]);
    assert!(again.status.success(), "{}", told(&again));
    assert_eq!(told(&again), "", "there is no progress where nothing is to be done");
}

#[test]
fn a_rebuild_that_is_killed_goes_on() {
    let made = given_orders();
    for millis in [150, 250, 350] {
        let rebuild = ["projection", "rebuild", "--all", "--cutover"];
        run_and_kill(made.path(), &rebuild, Duration::from_millis(millis));
    }

    let done = run(made.path(), &["projection", "rebuild", "--all", "--verify", "--cutover"]);

    assert!(done.status.success(), "{}", told(&done));
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);
}

#[test]
#[cfg(unix)]
fn a_rebuild_that_is_interrupted_says_so_and_goes_on() {
    let made = given_orders();
    let mut rebuild = daybook(made.path(), &["projection", "rebuild", "--all", "-o", "jsonl"]);
    let mut child = rebuild.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let code = child.wait().unwrap();

    // Interrupted before it listens for that, in the middle, or too late.
    assert!(matches!(code.code(), None | Some(130 | 0)), "{code:?}");
    let done = run(made.path(), &["projection", "rebuild", "--all", "--verify"]);
    assert!(done.status.success(), "{}", told(&done));
}

#[test]
fn a_paused_read_model_stays_paused_over_a_restart() {
    let made = given_orders();
    let pause = ["projection", "pause", "stock", "-o", "json"];
    assert_eq!(run_json(made.path(), &pause)["changed"], true);
    let position = || {
        let list = run_json(made.path(), &["projection", "list", "-o", "json"]);
        let stock = list.as_array().unwrap().iter().find(|model| model["name"] == "stock").cloned();
        let stock = stock.unwrap();
        (stock["position"].as_u64().unwrap(), stock["paused"].as_bool().unwrap())
    };
    let before = position();

    let server = Server::start(made.path(), &["serve", "--demo"]);
    assert!(server.stop());

    assert_eq!((before.1, position()), (true, before));
    assert_eq!(
        run_json(made.path(), &["projection", "resume", "stock", "-o", "json"])["changed"],
        true
    );
    let server = Server::start(made.path(), &["serve"]);
    assert!(server.stop());
    assert!(position().0 > before.0 && !position().1);
}

#[test]
fn what_cannot_be_done_to_a_read_model_is_told() {
    let made = given_orders();
    for (args, code, words) in [
        (&["projection", "rebuild"][..], 2, "<NAME>"),
        (&["projection", "rebuild", "shelves"], 2, "stock"),
        (&["projection", "rebuild", "stock", "--allow", "x"], 2, "--verify"),
        (&["projection", "verify", "stock", "--allow", "x"], 1, "expected differences x"),
        (&["projection", "verify", "stock"], 1, "daybook projection rebuild stock"),
        (&["projection", "cutover", "stock"], 1, "daybook projection rebuild stock"),
        (&["projection", "rollback", "stock"], 1, "no earlier generation"),
        (&["projection", "rebuild", "stock", "--discard"], 1, "no other generation"),
    ] {
        let output = run(made.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(words), "{args:?}: {}", told(&output));
    }
    let list = run(made.path(), &["projection", "list", "--data-dir", "elsewhere"]);
    assert!(list.status.success() && list.stdout.is_empty(), "{}", told(&list));
    assert!(!made.path().join("elsewhere").exists());
}

#[test]
fn what_could_not_be_processed_is_listed_shown_and_replayed_or_given_up() {
    let made = given_orders();
    let id = format!("projections/stock/{}", given_a_parked_event(&made));

    let list = run_json(made.path(), &["dlq", "list", "-o", "json"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!((&list[0]["id"], &list[0]["error"]), (&id.clone().into(), &"it rained".into()));
    let key = list[0]["key"].as_str().unwrap();
    let elsewhere = ["dlq", "list", "--source", "processes", "--key", key, "-o", "json"];
    assert_eq!(run_json(made.path(), &elsewhere), Value::Array(Vec::new()));

    let shown = run_json(made.path(), &["dlq", "show", &id, "-o", "json"]);
    assert_eq!(shown["written"], shown["read"]);
    assert!(shown["metadata"]["actor"].is_string(), "{shown}");
    let text = run(made.path(), &["dlq", "show", &id]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("it rained"));

    let dry = run_json(made.path(), &["dlq", "replay", "--all", "--dry-run", "-o", "jsonl"]);
    assert_eq!(dry, serde_json::json!({ "id": id }));
    let server = Server::start(made.path(), &["serve"]);
    let replayed = run_json(made.path(), &["dlq", "replay", &id, "-o", "jsonl"]);
    assert_eq!(replayed, serde_json::json!({ "id": id }));
    assert!(server.stop());
    assert_eq!(run_json(made.path(), &["dlq", "list", "-o", "json"]), Value::Array(Vec::new()));

    let id = format!("projections/stock/{}", given_a_parked_event(&made));
    let discard = ["dlq", "discard", &id, "--reason", "it rained", "-o", "jsonl"];
    assert_eq!(run_json(made.path(), &discard), serde_json::json!({ "id": id }));
    let discarded = ["dlq", "list", "--discarded", "--key", key, "-o", "jsonl"];
    let discarded = run_json(made.path(), &discarded);
    assert_eq!((&discarded["id"], &discarded["reason"]), (&json!(id), &json!("it rained")));
    let again = run(made.path(), &discard);
    assert_eq!(again.status.code(), Some(1));
    assert!(told(&again).contains("nothing is parked under"), "{}", told(&again));
}

#[test]
fn what_fails_again_is_told_by_the_exit_code() {
    let made = given_orders();
    given_a_parked_event(&made);
    behind_its_back(made.path(), "UPDATE stock_v1 SET reserved = 9223372036854775807");

    let replayed = run(made.path(), &["dlq", "replay", "--all", "-o", "json"]);

    assert_eq!(replayed.status.code(), Some(3), "{}", told(&replayed));
    let error = last_json(&replayed)[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("the reserved stock is out of range"), "{error}");
}

#[test]
fn letters_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    for (args, code, words) in [
        (&["dlq", "show", "stock"][..], 2, "projections/stock/17"),
        (&["dlq", "replay"], 2, "<ID>"),
        (&["dlq", "list", "--source", "post"], 1, "there are projections, processes"),
        (&["dlq", "show", "projections/stock/17"], 1, "nothing is parked under"),
        (&["dlq", "discard", "post/office/1", "--reason", "x"], 1, "nothing is parked under"),
    ] {
        let output = run(folder.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(words), "{args:?}: {}", told(&output));
    }
    assert!(!folder.path().join("data").exists());
}
