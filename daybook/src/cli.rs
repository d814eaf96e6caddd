//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use daybook_event_store_comparison::WireServer;

use crate::config::{Settings, StoreAddress};

mod dlq;
mod integration;
mod projection;
mod stream;

pub(crate) use dlq::{Dlq, DlqChoice};
pub(crate) use integration::{Analytics, By, Notifications, Wanted};
pub(crate) use projection::{Named, Projection, Rebuild, all as all_names};
pub(crate) use stream::{Age, Bound, Change, Stream, StreamArgs};

/// Daybook: an event-sourced order platform
///
/// Commands come in over REST, pure rules decide them, and what happened is written once, durably,
/// in order. Everything else is posted from those events and can be rebuilt from them.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Configuration file [default: daybook.toml, if it is there]
    #[arg(long, global = true, env = "DAYBOOK_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  daybook serve --demo                           a shop to try, on this machine alone
  daybook aggregate show order-<id> --version 2  an order as it was after its third event
  daybook verify                                 check the books

Settings: flag, then environment (DAYBOOK_…), then daybook.toml, then default.
Exit codes: 0 ok, 1 failure, 2 usage, 3 behind or unhealthy, 130 interrupted.";

/// How results are written to standard output; messages go to standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One JSON document a line
    Jsonl,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArg {
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the platform: gateway, commands, processes, projections and store in one process
    Serve(Serve),
    /// Bring somebody else's data in as live orders
    #[command(subcommand)]
    Import(Import),
    /// Look at an aggregate as it was at any time
    #[command(subcommand)]
    Aggregate(Aggregate),
    /// Look at the events themselves
    #[command(subcommand)]
    Events(Events),
    /// Look after the read models: how far they are, build them anew, compare, take over, go back
    #[command(subcommand)]
    Projection(Projection),
    /// Look after what could not be processed: events by read models, commands of process managers
    #[command(subcommand)]
    Dlq(Dlq),
    /// Serve the event store, or look after it: back up, restore, check, salvage, scavenge, streams
    #[command(subcommand)]
    Store(Store),
    /// Look after the database of the read models
    #[command(subcommand)]
    Db(Db),
    /// Check the business's invariants, and every read model against the events
    #[command(after_help = "Exit codes: 0 every check holds, 3 some do not.")]
    Verify(OutputArg),
    /// Measure this machine's figures
    #[command(subcommand)]
    Bench(Bench),
    /// Run the simulated payment provider as an HTTP server
    #[command(after_help = PSP_HELP)]
    Psp,
    /// Publish events to Kafka, in a process of its own
    ///
    /// `serve` does it by itself where --kafka is given. Of several that share a database one works
    /// at a time. It needs an event store that is served: give --store. With --listen its metrics
    /// are on that address.
    #[command(after_help = "\
Example:
  daybook relay --store 'esdb://db:2113?tls=true' --database postgres://db/daybook --kafka kafka:9092")]
    Relay,
    /// Tell customers what becomes of their orders, and look at what they were told
    #[command(subcommand)]
    Notifications(Notifications),
    /// Count orders, revenue, cancellations and products, and look at the figures
    #[command(subcommand)]
    Analytics(Analytics),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  daybook completions bash > /etc/bash_completion.d/daybook")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  daybook serve                        data in ./daybook-data, API on http://127.0.0.1:8420
  daybook serve --demo                 with a small catalogue, and what to try
  daybook serve --data-dir /srv/daybook --listen 0.0.0.0:8420
  daybook serve --store-listen 127.0.0.1:2113  its events for EventStoreDB's clients, too")]
pub(crate) struct Serve {
    /// List a small catalogue and print what to try
    #[arg(long)]
    pub(crate) demo: bool,
    #[command(flatten)]
    pub(crate) wire: Wire,
}

/// How the event store is served to EventStoreDB's clients.
#[derive(Debug, Args)]
#[command(next_help_heading = "The event store on EventStoreDB's protocol")]
pub(crate) struct Wire {
    /// The server's certificate and those that vouch for it, in the PEM format
    #[arg(long, env = "DAYBOOK_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's private key, in the PEM format
    #[arg(long, env = "DAYBOOK_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Ask callers for the name and password of a user
    #[arg(long, env = "DAYBOOK_STORE_AUTHENTICATION")]
    pub(crate) authentication: bool,
    /// Password that the user `admin` gets at the first start; or `DAYBOOK_STORE_ADMIN_PASSWORD`
    #[arg(long, env = "DAYBOOK_STORE_ADMIN_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) admin_password_file: Option<PathBuf>,
    /// Most bytes of one append, up to 16777216
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..=16 << 20))]
    pub(crate) max_append_size: u32,
    /// Let whoever can reach the address read and write everything, unencrypted
    #[arg(long)]
    pub(crate) insecure: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// The UCI "Online Retail" file: a year of a real shop's invoices
    ///
    /// Each sale invoice of a known customer becomes a live order: placed, reserved, paid through
    /// the payment provider, shipped and fulfilled. Killed at any point and started again, it goes
    /// on where it was: nothing is doubled, nothing is missing.
    OnlineRetail(OnlineRetail),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  daybook import online-retail online_retail.csv.gz --data-dir year
  daybook import online-retail online_retail.csv.gz --url http://127.0.0.1:8420 --limit 100
  daybook import online-retail online_retail.csv.gz --rejected rejected.csv -o json")]
pub(crate) struct OnlineRetail {
    /// The file, `.csv` or `.csv.gz`
    pub(crate) file: PathBuf,
    /// Drive a running server through its API instead of working in process
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Stop after this many orders
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Orders under way at a time
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) concurrency: u32,
    /// Write the rows that are not imported, with their reasons, to this CSV file
    #[arg(long, value_name = "FILE")]
    pub(crate) rejected: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Aggregate {
    /// Show an aggregate's state and the events that led to it
    #[command(after_help = "\
Examples:
  daybook aggregate show stock-WIDGET
  daybook aggregate show order-0198c1f6-5a3e-7c55-9d9e-0d6f2b1c7e11 --version 2
  daybook aggregate show stock-WIDGET --at 2026-01-31T12:00:00Z -o json")]
    Show {
        /// The stream: `product-<sku>`, `stock-<sku>`, `order-<id>`, `payment-<id>`,
        /// `customer-<id>`, `checkout-<order id>` or `fulfilment-<order id>`
        stream: String,
        /// As it was after the event of this revision; the first is 0
        #[arg(long, value_name = "N", conflicts_with = "at")]
        version: Option<u64>,
        /// As it was recorded at this instant (RFC 3339)
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        #[command(flatten)]
        output: OutputArg,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Print events in the order in which they were recorded
    #[command(after_help = "\
Examples:
  daybook events tail                                the last 20 events
  daybook events tail --follow --category order      orders as they happen
  daybook events tail --all --kind OrderPlaced -o jsonl")]
    Tail {
        /// Go on as events come, until interrupted
        #[arg(short, long)]
        follow: bool,
        /// Start after this position instead of near the end
        #[arg(long, value_name = "POSITION")]
        after: Option<u64>,
        /// Start with the first event of all
        #[arg(long, conflicts_with_all = ["after", "last"])]
        all: bool,
        /// How many of the last events to start with
        #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
        last: u64,
        /// Only streams of this category; may be repeated
        #[arg(long, value_name = "CATEGORY")]
        category: Vec<String>,
        /// Only events of this type; may be repeated
        #[arg(long, value_name = "TYPE")]
        kind: Vec<String>,
        #[command(flatten)]
        output: OutputArg,
    },
}

/// The store that a command is about.
#[derive(Debug, Args)]
pub(crate) struct StoreArg {
    /// Folder of the store [default: `events` in the data folder]
    // In place of the setting of the same name, so of the same type.
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<StoreAddress>,
}

/// The store that a command is about, also where it is served elsewhere.
#[derive(Debug, Args)]
pub(crate) struct AnyStoreArg {
    /// Folder of the store, or the address that it is served on [default: `events` in the data
    /// folder]
    #[arg(long, value_name = "DIR|URL", env = "DAYBOOK_STORE", hide_env_values = true)]
    pub(crate) store: Option<StoreAddress>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Copy the store as it is now, while the server runs or not
    ///
    /// Every byte is checked while it is copied. What the folder has of an earlier backup of this
    /// store is not copied again. A backup that was interrupted is finished by the next one.
    #[command(after_help = "\
Examples:
  daybook store backup /backups/events
  daybook store backup /backups/events -o json
  daybook store backup /backups/payments --store daybook-data/simulated-provider")]
    Backup {
        /// Folder of the backup: new, empty, or with an earlier one
        dir: PathBuf,
        #[command(flatten)]
        store: StoreArg,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Check every byte, every index, and what holds of all events
    ///
    /// Every checksum of every segment; each index against its segment; that positions are dense,
    /// revisions contiguous and ids unique, and that times never decrease. Everything that is wrong
    /// is told with its file, offset, positions and stream. It may be done while the server runs.
    #[command(after_help = "\
Examples:
  daybook store check
  daybook store check --store /backups/events
  daybook store check -o jsonl                  a line for each finding, then the summary

Exit codes: 0 the store is sound, 1 it is damaged or cannot be read.")]
    Check {
        #[command(flatten)]
        store: StoreArg,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Give back the space of events that are not live any more
    ///
    /// Events of streams that were deleted, or that are past their streams' bounds, are dropped from
    /// closed segments. No other event changes its position or revision. The server must be stopped.
    #[command(after_help = "\
Examples:
  daybook store scavenge
  daybook store scavenge --least-percent 0     drop everything that is not live, however little")]
    Scavenge {
        /// Write a segment anew where that gives back at least so many percent of it
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=100))]
        least_percent: u8,
        #[command(flatten)]
        store: StoreArg,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Serve the store to EventStoreDB's clients, of any language
    ///
    /// Clients append, read, subscribe and operate as with EventStoreDB and KurrentDB. On another
    /// address than this machine's own, connections have to be encrypted and callers to be users,
    /// unless --insecure says that neither is needed.
    #[command(after_help = "\
Examples:
  daybook store serve                          then connect to kurrentdb://127.0.0.1:2113?tls=false
  daybook store serve --listen 0.0.0.0:2113 --tls-certificate server.crt --tls-key server.key \\
      --authentication --admin-password-file admin.password
  daybook store serve --data-dir /srv/events --max-append-size 16777216

The last line on standard error before it serves tells what to connect with.")]
    Serve {
        #[command(flatten)]
        store: StoreArg,
        #[command(flatten)]
        wire: Wire,
    },
    /// Say what the store holds: events, streams, categories, bytes
    ///
    /// It reads the indexes, not the events, and may be done while the server runs.
    #[command(after_help = "\
Examples:
  daybook store stats
  daybook store stats --store /backups/events -o json")]
    Stats {
        #[command(flatten)]
        store: StoreArg,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Copy a store's events into another store, here or on a cluster
    ///
    /// A store is a folder, or the address of an EventStoreDB, a KurrentDB or a `daybook store
    /// serve`. Events keep their order, ids, streams, revisions, payloads and metadata; streams keep
    /// their metadata, deletions and tombstones. Streams whose names begin with $ are left out. Times
    /// of recording are the target's. Positions are kept from one empty folder to another. Where the
    /// source has dropped a stream's first events, placeholders of the type $gap take their revisions.
    ///
    /// Interrupted, it goes on where it was when it is run again; what came to the source meanwhile
    /// is copied, too. In the end both stores are compared, event by event. A folder to read from may
    /// be in use; one to write to must not be.
    #[command(after_help = "\
Examples:
  daybook store copy daybook-data/events 'esdb://admin:changeit@db1:2113?tls=true'
  daybook store copy 'kurrentdb://127.0.0.1:2113?tls=false' copy/events -o json")]
    Copy {
        /// Where the events are: a folder, or an address
        from: StoreAddress,
        /// Where they are to be: a folder, or an address
        to: StoreAddress,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Write everything that can be read of a damaged store to a file
    ///
    /// One line of JSON for each event, in order, with its position and revision, and one for each
    /// stretch that is lost. Payloads that are not JSON are in Base64. The store is left as it is.
    #[command(after_help = "\
Examples:
  daybook store salvage --to salvaged.jsonl
  daybook store salvage --to salvaged.jsonl --store damaged/events -o json
  grep '^{\"lost\"' salvaged.jsonl             what is lost")]
    Salvage {
        /// The file to make
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        store: StoreArg,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Append salvaged events to a store: a new one, or a restored backup
    ///
    /// Events keep their order, streams, ids and revisions; an event that is there already is not
    /// appended again, so that the command can be repeated, and what a backup has need not have been
    /// salvaged. Times of recording are the store's. Events that scavenging had dropped become
    /// placeholders of the type $gap, which are known by their ids.
    ///
    /// The file must be as it was salvaged: a line that is malformed, oversized, double or out of
    /// order ends the command with its number.
    #[command(after_help = "\
Examples:
  daybook store restore /backups/events new/events
  daybook store load salvaged.jsonl --store new/events
  daybook store load salvaged.jsonl --store new/events --gaps fill -o json
  daybook store load salvaged.jsonl --store 'kurrentdb://127.0.0.1:2113?tls=false'")]
    Load {
        /// The file that `daybook store salvage` made
        file: PathBuf,
        /// What to do where events of a stream are missing before the next one
        #[arg(long, value_enum, default_value_t, value_name = "HOW")]
        gaps: Gaps,
        #[command(flatten)]
        store: AnyStoreArg,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Look at a stream, bound it, delete it, or end it for good
    #[command(subcommand)]
    Stream(Stream),
    /// Make a store of a backup, in a new folder
    ///
    /// Every byte is checked while it is copied. The store is there once all of it is.
    #[command(after_help = "\
Examples:
  daybook store restore /backups/events restored/events
  daybook serve --data-dir restored")]
    Restore {
        /// Folder of the backup
        backup: PathBuf,
        /// Folder of the store to make: new or empty
        dir: PathBuf,
        #[command(flatten)]
        output: OutputArg,
    },
}

/// What to do where a stream lacks events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gaps {
    /// Stop there
    #[default]
    Refuse,
    /// Let placeholders of the type $gap take their revisions
    Fill,
    /// Leave out what comes after them in the stream
    LeaveOut,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Bring the tables of all databases up to date, as a server does when it starts
    ///
    /// One process at a time takes the steps; others wait for it. The database of a later release
    /// is refused.
    #[command(after_help = "\
Example:
  daybook db migrate --database postgres://daybook@db/daybook")]
    Migrate(OutputArg),
    /// Say which steps each database has taken, and how far read models are
    #[command(after_help = "\
Exit codes: 0 up to date, 1 a database cannot be used, 3 steps are missing or of a later release.")]
    Status(OutputArg),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// An import of the retailer's year, and the same events straight into the store
    #[command(after_help = "\
Works in a temporary folder inside the data folder.

Example:
  daybook bench import online_retail.csv.gz -o json")]
    Import(OnlineRetail),
    /// All read models built anew from the store, and the same rows loaded by the engine alone
    ///
    /// Into a SQLite file, and with --database also into a schema of that PostgreSQL server. Events
    /// count as often as they concern a read model. The engine's own load is COPY into PostgreSQL, and
    /// statements of many rows in one transaction into SQLite. Nothing of either is left behind.
    #[command(after_help = "\
Examples:
  daybook bench rebuild --data-dir year
  daybook bench rebuild --data-dir year --database postgres://daybook@db/daybook -o json

Exit codes: 0 measured, 3 measured, but the machine was not quiet.")]
    Rebuild(OutputArg),
    /// The catalog's search over made-up products: indexing, answers, and what is remembered
    ///
    /// Writes products and their stock as events into a store of its own, has the catalog's worker
    /// index them, and asks as a shopper would: in an index in a folder, and with --search also on
    /// that Elasticsearch or OpenSearch. Nothing of either is left behind.
    #[command(after_help = BENCH_SEARCH_HELP)]
    Search(BenchSearch),
    /// The embedded event store beside SQLite, redb and the bare disk, doing the same work
    ///
    /// All take turns, several rounds of each kind of work: durable appends of 1 KiB by 1, 8 and
    /// 64 writers and in batches, reads of everything, of streams and of a category, warm and
    /// cold, the time from an append to its subscriber, opening, and bytes on disk.
    #[command(after_help = BENCH_STORE_HELP)]
    Store(BenchStore),
    /// What `store --wire` starts for itself
    #[command(hide = true)]
    Serve {
        /// Which server
        server: WireServer,
        /// Where its files go
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BenchSearch {
    /// How many products; each number is measured by itself
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [100_000, 1_000_000],
          value_parser = clap::value_parser!(u32).range(100..=9_999_999))]
    pub(crate) products: Vec<u32>,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

const BENCH_SEARCH_HELP: &str = "\
The products are the same every time. Their names have 3 to 6 words and their descriptions 8 to 20,
of a vocabulary of 20,000 in which the n-th word is used 1/n as often as the first; they are of 200
categories, 500 brands and 300 sellers, and four of five are in stock.

The figures:
  indexed         from the worker's start until a search finds everything
  word, two words, typo, filtered, category page, by price, suggest
                  up to 500 different questions of each kind, one after the other, so that none is
                  answered from memory; every answer but a suggestion has its facets. Typos lack a
                  letter. Half of the answers took at most p50, 99 of 100 at most p99
  from memory     of up to 50,000 searches among 1,000 different ones, the n-th asked 1/n as often as
                  the first, while the price of a product changes ten times. A change makes all that
                  is remembered void, so the share is that of this load, and not of another

Aims, in the report met or MISSED: p99 of all at most 10 ms in a folder and 50 ms on a cluster, with
100,000 products; 0.8 from memory. They are judged only on a machine that does nothing else: with the
disk probe's median above 0.25 ms at any time nothing is, and the exit code is 3.

On the cluster it makes indices named daybook-bench-… and drops them afterwards. The user needs the
rights that `serve` needs, for those names.

Examples:
  daybook bench search --products 10000
  daybook bench search --search http://127.0.0.1:9200 -o json

Exit codes: 0 measured, 3 measured, but the machine was not quiet, 130 interrupted.";

#[derive(Debug, Args)]
pub(crate) struct BenchStore {
    /// A glance of some seconds: fewer events, short turns, two rounds
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure only this part; may be repeated
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Vec<BenchPart>,
    /// How long each takes its turn at each kind of work [default: 1, quick: 0.1]
    #[arg(long, value_name = "SECONDS", value_parser = turn)]
    pub(crate) seconds: Option<f64>,
    /// How many turns each takes [default: 5, quick: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: Option<u16>,
    /// On which disk: a temporary folder is made here [default: the data folder]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// Measure it as a client sees it: on EventStoreDB's protocol, beside what the client can do
    #[arg(long, conflicts_with = "only")]
    pub(crate) wire: bool,
    /// The address of a UmaDB with an empty data folder, to be measured beside it
    #[arg(long, value_name = "URL", requires = "wire")]
    pub(crate) umadb: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

/// What of the store can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchPart {
    /// Durable appends
    Append,
    /// Reads, cold openings, and bytes on disk
    Read,
    /// From an append to its subscriber
    Live,
}

/// The length of a turn in seconds.
fn turn(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.01..=60.0).contains(&seconds) { Ok(seconds) } else { Err("must be 0.01 to 60".into()) }
}

const BENCH_STORE_HELP: &str = "\
All engines check expected revisions and that event ids are unique, keep one order over all
streams, read by stream, and answer an append when it is durable. Each has one writing thread that
commits together what waits:
  daybook      the embedded event store with default settings; for reads also with 100 segments,
               and with 100 compressed segments
  sqlite       one table, unique (stream, revision) and unique id; WAL, synchronous=FULL, pages of
               8 KiB, a checkpoint every 32 MiB
  redb         a table by position, indexes by stream and by id; one durable transaction a group
  raw writers  a bare file in place of an engine: as many bytes, one fdatasync a group
  raw loop     one thread that writes and syncs the frames that daybook wrote, without writers
  probe        one write of 1 KiB and fdatasync after another
On the wire daybook is the official client with a server in a process of its own, and beside it:
  adapter       Daybook's own adapter on that client, as the platform uses it
  client alone  the client with a server that does no work: it sends the bytes of answers that it
                keeps, each as it was given the first time
  echo          a bare gRPC call of 1 KiB there and back
Read caches hold everything. Cold means: the store was opened again after its files were dropped
from the system's cache (posix_fadvise).

It needs some 4 GiB of disk for a while, and a machine that does nothing else: with the probe's
median above 0.25 ms at any time the figures are marked as not to be quoted, and the exit code is 3.

Examples:
  daybook bench store                            everything, some 4 minutes
  daybook bench store --quick                    a glance
  daybook bench store --only append --dir /mnt/nvme -o json

Exit codes: 0 measured, 3 measured, but the machine was not quiet.";

const PSP_HELP: &str = "\
Payment methods it knows: tok_approve, tok_decline, tok_insufficient_funds, tok_timeout,
tok_lost_answer. Its ledger is at /v1/ledger.

Example:
  daybook psp --data-dir psp-data &
  daybook serve --payment-provider http://127.0.0.1:8421";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
