//! 64 writers that all reserve the same SKU, against 64 writers with a SKU each, and against
//! writers that do not share their mailbox. Prints commands per second and what they are of the
//! figure for 64 SKUs, after a probe of what the disk can do.
//!
//! `cargo bench -p daybook-command-side --bench hot_sku [-- COMMANDS]`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails and prints")]

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use daybook_command_side::{CommandContext, CommandOptions, Commands};
use daybook_domain::stock::{Stock, StockCommand};
use daybook_domain::values::{OrderId, Quantity, Timestamp};
use daybook_event_schemas::Actor;
use daybook_event_store::{EmbeddedOptions, Store};
use futures::future::join_all;
use uuid::Uuid;

const WRITERS: usize = 64;
const AT: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// One arrangement of writers.
struct Case {
    name: &'static str,
    skus: usize,
    /// Commands for one append.
    batch: usize,
    /// Whether the writers share mailboxes and cache, as in one program.
    shared: bool,
    /// How much less it is given to do than the others.
    less: usize,
}

const CASES: [Case; 4] = [
    Case { name: "64 writers, 64 SKUs", skus: 64, batch: 256, shared: true, less: 1 },
    Case { name: "64 writers, one SKU", skus: 1, batch: 256, shared: true, less: 1 },
    Case { name: "the same, one append each", skus: 1, batch: 1, shared: true, less: 16 },
    Case { name: "the same, in 64 programs", skus: 1, batch: 1, shared: false, less: 32 },
];

fn main() {
    let given = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let each = given.unwrap_or(64_000_usize) / WRITERS;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    println!("1 KiB write + fdatasync: p50 {:?}", probe(folder.path()));
    println!("{:10} {:28} {:>10} {:>7}", "store", "case", "commands/s", "ratio");
    for kind in ["memory", "embedded"] {
        let mut first = None;
        for (n, case) in CASES.iter().enumerate() {
            let store = match kind {
                "memory" => Store::memory(),
                _ => {
                    Store::embedded(folder.path().join(n.to_string()), &EmbeddedOptions::default())
                        .unwrap()
                }
            };
            let rate = runtime.block_on(run(&store, case, (each / case.less).max(1)));
            store.close();
            let ratio = rate / *first.get_or_insert(rate);
            println!("{kind:10} {:28} {rate:>10.0} {ratio:>7.2}", case.name);
        }
    }
}

/// The median of what the disk takes for a durable write, which all durable appends wait for.
fn probe(folder: &std::path::Path) -> Duration {
    let mut file = File::create(folder.join("probe")).unwrap();
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[7; 1_024]).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// Commands per second.
async fn run(store: &Store, case: &Case, each: usize) -> f64 {
    let options = || CommandOptions {
        batch_commands: case.batch,
        attempts: u32::MAX,
        ..CommandOptions::default()
    };
    let shared = Commands::with_options(store.clone(), options());
    for sku in 0..case.skus {
        let quantity = Quantity::try_from(1_000_000).unwrap();
        let receive = StockCommand::Receive { quantity, receipt: "first".into(), at: AT };
        shared.handle::<Stock>(format!("sku{sku}"), receive, &context()).await.unwrap();
    }
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let separate = Commands::with_options(store.clone(), options());
        let commands = if case.shared { shared.clone() } else { separate };
        let sku = format!("sku{}", writer % case.skus);
        tokio::spawn(async move {
            for _ in 0..each {
                commands.handle::<Stock>(&sku, reserve(), &context()).await.unwrap();
            }
        })
    });
    join_all(writers).await.into_iter().for_each(Result::unwrap);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let commands = (WRITERS * each) as f64;
    commands / begun.elapsed().as_secs_f64()
}

fn reserve() -> StockCommand {
    let (order, quantity) = (OrderId(Uuid::now_v7()), Quantity::try_from(1).unwrap());
    let expires_at = AT.plus(Duration::from_mins(30));
    StockCommand::Reserve { order, quantity, expires_at, at: AT }
}

fn context() -> CommandContext {
    CommandContext::new(Actor("bench:writer".into()))
}
