//! The whole of a real retailer's year (UCI Online Retail). Needs the file, named by
//! `DAYBOOK_RETAIL_DATA`; run by `scripts/test` where it is there.

use std::path::Path;
use std::time::Duration;

use crate::support::{Server, run_and_kill, run_json};
use serde_json::Value;
use tempfile::TempDir;

fn file() -> String {
    std::env::var("DAYBOOK_RETAIL_DATA").expect("DAYBOOK_RETAIL_DATA must name the file")
}

/// The totals that were computed from the file in exact decimal arithmetic.
#[track_caller]
fn then_the_year_is_there(folder: &Path, report: &Value) {
    assert_eq!(report["rows"], 541_909);
    assert_eq!(report["lines"], 397_880);
    assert_eq!(report["orders"], 18_532);
    assert_eq!(report["captured"]["amount"], 891_140_790);
    assert_eq!(report["rejected"]["fraction_of_a_penny"], 4);
    let rejected: u64 =
        report["rejected"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(rejected + 397_880, 541_909);

    let verified = run_json(folder, &["verify", "-o", "json"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
}

#[test]
#[ignore = "needs the retailer's year, named by DAYBOOK_RETAIL_DATA"]
fn the_year_is_imported_to_the_penny() {
    let folder = TempDir::new().unwrap();

    let report = run_json(folder.path(), &["import", "online-retail", &file(), "-o", "json"]);

    println!("{report}");
    then_the_year_is_there(folder.path(), &report);
}

#[test]
#[ignore = "needs the retailer's year, named by DAYBOOK_RETAIL_DATA"]
fn the_year_is_imported_to_the_penny_with_kills_in_the_middle() {
    let folder = TempDir::new().unwrap();
    let file = file();
    let import = ["import", "online-retail", &file, "-o", "json"];
    let killed = [3_000, 7_000, 5_000]
        .into_iter()
        .filter(|&after| run_and_kill(folder.path(), &import, Duration::from_millis(after)))
        .count();
    assert!(killed > 0, "no run was long enough to be killed");

    let report = run_json(folder.path(), &import);

    then_the_year_is_there(folder.path(), &report);
}

#[test]
#[ignore = "needs the retailer's year, named by DAYBOOK_RETAIL_DATA"]
fn the_years_first_orders_have_the_same_totals_behind_the_protocol() {
    let (here, there, behind) =
        (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = file();
    let import = ["import", "online-retail", &file, "--limit", "2000", "-o", "json"];
    let embedded = run_json(here.path(), &import);
    let store = Server::start(behind.path(), &["store", "serve"]);

    let report = run_json(there.path(), &[&import[..], &["--store", &store.url]].concat());

    println!("{report}");
    assert_eq!(report["orders"], 2_000);
    for total in ["rows", "lines", "orders", "captured", "rejected"] {
        assert_eq!(report[total], embedded[total], "{total}");
    }
    let verified = run_json(there.path(), &["verify", "--store", &store.url, "-o", "json"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
    assert!(store.stop());
}
