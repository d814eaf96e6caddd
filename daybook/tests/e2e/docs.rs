//! The commands of the book do what the book says, and its contents name every page.

use std::path::Path;
use std::process::Command;

use crate::support::{MadeUp, Server, run_json};
use tempfile::TempDir;

/// The address that the book uses.
const ADDRESS: &str = "http://127.0.0.1:8420";

/// The `sh` blocks of a page, as one script.
fn script(page: &str, url: &str) -> String {
    let mut blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let first = blocks.next().expect("the page has commands").0.to_owned();
    let all = blocks.fold(first, |all, (block, _)| all + block);
    format!("set -euo pipefail\n{}", all.replace(ADDRESS, url))
}

#[track_caller]
fn then_it_runs(script: &str, folder: &Path) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_daybook")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-x", "-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .env("DAYBOOK_DATA_DIR", folder.join("data"))
        .env("DAYBOOK_LOG", "warn")
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

/// The pages in a folder of the book, by their paths within the book.
fn pages(folder: &str) -> Vec<String> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(folder);
    let names = std::fs::read_dir(book).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let pages = names.filter(|name| name.contains(".md") && name != "SUMMARY.md");
    pages.map(|name| format!("{folder}{name}")).collect()
}

#[test]
fn the_contents_name_every_page() {
    let contents = include_str!("../../../docs/SUMMARY.md");
    let decisions = include_str!("../../../docs/adr/README.md");

    let decided = pages("adr/");
    assert!(decided.len() > 40, "{decided:?}");
    for page in ["", "guide/", "reference/"].iter().flat_map(|folder| pages(folder)).chain(decided)
    {
        assert!(contents.contains(&format!("({page})")), "SUMMARY.md lacks {page}");
        let is_listed = |name| decisions.contains(&format!("({name})"));
        let decision = page.strip_prefix("adr/").filter(|name| *name != "README.md");
        assert!(decision.is_none_or(is_listed), "the list of decisions lacks {page}");
    }
}

#[test]
fn the_store_can_be_looked_after_to_the_letter() {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let page = include_str!("../../../docs/guide/operating-the-store.md");

    let out = then_it_runs(&script(&page.replace("daybook-data", "data"), ""), made.path());

    assert!(out.contains("the store is sound"), "{out}");
    assert!(out.contains("nothing is lost"), "{out}");
    assert!(!made.path().join("restored/read-models.sqlite").exists());
}

#[test]
fn read_models_can_be_looked_after_to_the_letter() {
    let made = MadeUp::new(9);
    run_json(made.path(), &["import", "online-retail", "made-up.csv", "-o", "json"]);
    let page = include_str!("../../../docs/guide/projections.md");

    let out = then_it_runs(&script(page, ""), made.path());

    assert!(out.contains("orders: equal"), "{out}");
    assert!(out.contains("sales goes on"), "{out}");
    assert_eq!(run_json(made.path(), &["verify", "-o", "json"])["ok"], true);
}

#[test]
fn the_first_shop_can_be_followed_to_the_letter() {
    let folder = TempDir::new().unwrap();
    let page = include_str!("../../../docs/guide/first-shop.md");
    let (with_server, after) =
        page.split_once("## Afterwards").expect("the page says what to do afterwards");
    let server = Server::start(folder.path(), &["serve", "--demo"]);

    let out = then_it_runs(&script(with_server, &server.url), folder.path());

    assert!(out.contains("\"fulfilled\""), "{out}");
    assert!(server.stop());
    let out = then_it_runs(&script(after, ""), folder.path());
    assert!(out.contains("ok"), "{out}");
}
