//! Runs the program as a user would.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// The program, to be run in `folder` with its data in `folder/data`.
pub(crate) fn daybook(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command
        .current_dir(folder)
        .env_clear()
        .env("DAYBOOK_DATA_DIR", folder.join("data"))
        .env("DAYBOOK_LOG", "warn")
        .args(args);
    command
}

/// Runs the program to its end.
#[track_caller]
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    daybook(folder, args).output().unwrap()
}

/// Runs the program, which must succeed, and reads the JSON on the last line of its output.
#[track_caller]
pub(crate) fn run_json(folder: &Path, args: &[&str]) -> Value {
    let output = run(folder, args);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{args:?}: {}\n{said}", told(&output));
    last_json(&output)
}

#[track_caller]
pub(crate) fn last_json(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {text:?}, {}", told(output)))
}

/// What the program said on standard error.
pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts the program, kills it after `after`, and says whether it was still running.
pub(crate) fn run_and_kill(folder: &Path, args: &[&str], after: Duration) -> bool {
    let mut child =
        daybook(folder, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while began.elapsed() < after {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    /// What it said until it listened.
    pub(crate) told: Vec<String>,
}

impl Server {
    /// Starts `daybook <args>` on a free port and waits until it says where it listens.
    #[track_caller]
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = daybook(folder, args)
            .env("DAYBOOK_LISTEN", "127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let told = line.strip_prefix("daybook ").and_then(|told| told.split_once("serves on "));
            let url = told.and_then(|(_, told)| told.split(',').next()).map(str::to_owned);
            seen.push(line);
            url
        });
        std::thread::spawn(move || lines.for_each(drop));
        let url = url.unwrap_or_else(|| panic!("never listened: {seen:?}"));
        Self { child, url, told: seen }
    }

    /// Asks it to stop, and waits until it has.
    #[cfg(unix)]
    pub(crate) fn stop(mut self) -> bool {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fetches a JSON document.
#[track_caller]
pub(crate) fn get(url: &str) -> Value {
    let output = Command::new("curl").args(["-sS", "--fail-with-body", url]).output().unwrap();
    assert!(output.status.success(), "{url}: {}", told(&output));
    last_json(&output)
}

/// Waits until a document is as it should be.
#[track_caller]
pub(crate) fn until(url: &str, so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let read = get(url);
        if so(&read) {
            return read;
        }
        assert!(began.elapsed() < PATIENCE, "{url}: {read}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The HTTP status that a page is answered with.
#[track_caller]
pub(crate) fn status(url: &str) -> String {
    answered(&[url])
}

/// Waits until a page is answered with this status.
#[track_caller]
pub(crate) fn then_it_becomes(url: &str, expected: &str) {
    let began = Instant::now();
    while status(url) != expected {
        assert!(began.elapsed() < PATIENCE, "{url}: never {expected}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lists a product; the HTTP status of the answer.
#[track_caller]
pub(crate) fn list_product(server: &str, sku: &str) -> String {
    let product = serde_json::json!({
        "sku": sku, "seller": "acme", "name": sku, "category": "Office",
        "price": { "amount": 100, "currency": "GBP" },
    });
    let (body, json) = (product.to_string(), "Content-Type: application/json");
    answered(&["-H", json, "-d", &body, &format!("{server}/v1/products")])
}

#[track_caller]
fn answered(args: &[&str]) -> String {
    let curl = ["-sS", "-o", "/dev/null", "-w", "%{http_code}"];
    let output = Command::new("curl").args(curl).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A made-up file in the form of the real one: `invoices` invoices of several lines, and rows that
/// are not to be imported between them.
pub(crate) struct MadeUp {
    pub(crate) folder: TempDir,
    pub(crate) file: PathBuf,
    pub(crate) rows: u64,
    pub(crate) lines: u64,
    pub(crate) orders: u64,
    pub(crate) pence: i64,
    pub(crate) cancellations: u64,
}

impl MadeUp {
    pub(crate) fn new(invoices: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("made-up.csv");
        let mut made =
            Self { folder, file, rows: 0, lines: 0, orders: 0, pence: 0, cancellations: 0 };
        let mut text = String::from(
            "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n",
        );
        for n in 0..invoices {
            made.invoice(n, &mut text);
        }
        std::fs::write(&made.file, text).unwrap();
        made
    }

    fn invoice(&mut self, n: u64, text: &mut String) {
        let day = n % 28 + 1;
        let mut row = |invoice: &str, sku: u64, quantity: i64, pence: i64| {
            let (customer, price) = (n % 17 + 100, format!("{}.{:02}", pence / 100, pence % 100));
            text.extend([format!(
                "{invoice},SKU {sku},THING {sku},{quantity}.0,2011-03-{day:02} 10:00:00,{price},\
                 {customer}.0,France\n"
            )]);
        };
        let number = (500_000 + n).to_string();
        for line in 0..=n % 7 {
            // Every third invoice names a stock code twice.
            let sku = if n.is_multiple_of(3) && line > 0 { line - 1 } else { n * 5 + line } % 40;
            let quantity = i64::try_from(n % 4 + line + 1).unwrap();
            let pence = i64::try_from(sku * 13 + 5).unwrap();
            row(&number, sku, quantity, pence);
            self.lines += 1;
            self.pence += quantity * pence;
        }
        self.orders += 1;
        if n.is_multiple_of(5) {
            row(&format!("C{number}"), 1, -1, 18);
            self.cancellations += 1;
        }
        self.rows = self.lines + self.cancellations;
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Checks an import's report against what was made up.
    #[track_caller]
    pub(crate) fn then_all_imported(&self, report: &Value) {
        assert_eq!(report["rows"], self.rows);
        assert_eq!(report["lines"], self.lines);
        assert_eq!(report["orders"], self.orders);
        assert_eq!(report["captured"]["amount"], self.pence);
        assert_eq!(report["captured"]["currency"], "GBP");
        assert_eq!(report["rejected"]["cancellation"], self.cancellations);
    }
}
