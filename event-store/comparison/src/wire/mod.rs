//! The store on EventStoreDB's protocol, through the official client: beside that client with a
//! server that does no work and a bare call, as ceilings, and UmaDB where one is run. Each server
//! is a process of its own.

mod apart;
mod echo;
mod official;
mod peers;
mod repeater;
mod umadb;

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use daybook_event_store::{Expected, Store};

pub use self::apart::WireServer;
use self::apart::{Apart, Remote};
use self::echo::Echoes;
use self::official::Official;
use self::umadb::UmaDb;
use crate::contender::Reading;
use crate::engine::{Appends, Engine};
use crate::live;
use crate::load::{Payloads, Seeds};
use crate::ported::Ported;
use crate::probe::Probe;
use crate::report::{Book, Report};
use crate::rounds::{self, Warmth, Writers};

const DAYBOOK: &str = "daybook";
const ADAPTER: &str = "adapter";
const CLIENT: &str = "client_alone";
const UMADB: &str = "umadb";

const APPENDS: [(&str, Writers); 4] = [
    ("wire_append_1_caller", Writers { writers: 1, batch: 1 }),
    ("wire_append_8_callers", Writers { writers: 8, batch: 1 }),
    ("wire_append_64_callers", Writers { writers: 64, batch: 1 }),
    ("wire_append_batches_of_100", Writers { writers: 8, batch: 100 }),
];

const READS: [(&str, Reading); 4] = [
    ("wire_read_streams_1_caller", Reading::Streams(Warmth::Warm, 1)),
    ("wire_read_streams_2_callers", Reading::Streams(Warmth::Warm, 2)),
    ("wire_read_all", Reading::All),
    ("wire_read_category", Reading::Category),
];

const LIVE: &str = "wire_live_latency";

/// How much is measured.
#[derive(Debug, Clone)]
pub struct WireComparison {
    /// How long each does each kind of work in each round.
    pub time: Duration,
    /// How often all of them take their turns; at least once.
    pub rounds: usize,
    /// A tenth of the events to be read.
    pub small: bool,
    /// The address of a UmaDB to be measured beside it, with an empty data folder.
    pub umadb: Option<String>,
    /// The command line of servers, which two arguments follow: a program that
    /// [serves](WireServer::serve) what the first one names, in the folder that the second one names.
    pub servers: Vec<OsString>,
}

impl WireComparison {
    /// How many steps [`run`](Self::run) will tell of.
    pub fn steps(&self) -> u64 {
        (self.rounds * (APPENDS.len() + READS.len() + 1)) as u64
    }

    /// Measures, in a folder of its own within `folder`; `step` hears of each turn that was taken.
    /// Clients are in this process.
    ///
    /// # Errors
    /// The folder cannot be written to, a server does not start, or a contender fails.
    pub async fn run(
        &self,
        folder: &Path,
        mut step: impl FnMut() + Send,
    ) -> anyhow::Result<Report> {
        let began = Instant::now();
        let folder = tempfile::Builder::new().prefix("bench-wire-").tempdir_in(folder)?;
        let seeds = Seeds { streams: if self.small { 400 } else { 4_000 }, abreast: 200 };
        let peer = match &self.umadb {
            Some(address) => {
                let peer = UmaDb::connect(address).await;
                Some(Arc::new(peer.with_context(|| format!("cannot reach {address}"))?))
            }
            None => None,
        };
        let (command, place) = (self.servers.clone(), folder.path().join("store"));
        let servers = tokio::task::spawn_blocking(move || Servers::start(&command, &place));
        let servers = servers.await??;
        let (store, address) = (&servers.store, servers.store.address);
        let adapter = Store::eventstoredb(&format!("kurrentdb://{address}?tls=false"))?;
        let mut run = Run {
            plan: self,
            folder: folder.path(),
            seeds,
            payloads: Arc::new(Payloads::new()),
            book: Book::default(),
            daybook: Arc::new(store.client(Official::connect(address)?)),
            adapter: Arc::new(store.client(Ported(adapter))),
            client: servers.repeater.client(Official::connect(servers.repeater.address)?).into(),
            echo: servers.echo.client(Echoes::connect(servers.echo.address).await?).into(),
            peer,
        };
        run.sow().await?;
        // First, while the stores have what was sown and nothing else.
        for round in 0..self.rounds {
            run.read(round, &mut step).await?;
        }
        run.append_first().await?;
        for round in 0..self.rounds {
            run.append(round, &mut step).await?;
            run.live().await?;
            step();
        }
        run.probe()?;
        run.book.close(began.elapsed().as_secs_f64(), self.rounds).context("nothing was measured")
    }
}

/// The servers of a comparison.
struct Servers {
    store: Apart,
    repeater: Apart,
    echo: Apart,
}

impl Servers {
    fn start(command: &[OsString], place: &Path) -> anyhow::Result<Self> {
        let start = |server| Apart::start(command, place, server);
        let store = start(WireServer::Store)?;
        let repeater = start(WireServer::Repeater(store.address))?;
        Ok(Self { store, repeater, echo: start(WireServer::Echo)? })
    }
}

/// A comparison under way.
struct Run<'a> {
    plan: &'a WireComparison,
    folder: &'a Path,
    seeds: Seeds,
    payloads: Arc<Payloads>,
    book: Book,
    daybook: Arc<Remote<Official>>,
    adapter: Arc<Remote<Ported<Store>>>,
    client: Arc<Remote<Official>>,
    echo: Arc<Remote<Echoes>>,
    peer: Option<Arc<UmaDb>>,
}

impl Run<'_> {
    fn probe(&mut self) -> anyhow::Result<()> {
        let probe = Probe::run(self.folder, self.plan.time.min(Duration::from_millis(500)))?;
        self.book.enter("wire_append_1_caller", "probe", probe.sample());
        self.book.probe(probe);
        Ok(())
    }

    /// Fills the stores that are to be read.
    async fn sow(&mut self) -> anyhow::Result<()> {
        self.seeds.sow(&*self.daybook, &self.payloads).await.context(DAYBOOK)?;
        if let Some(peer) = &self.peer {
            self.seeds.sow(&**peer, &self.payloads).await.context(UMADB)?;
        }
        Ok(())
    }

    /// What all other appends of the client alone will be answered.
    async fn append_first(&self) -> anyhow::Result<()> {
        let events = self.payloads.events(0, 1);
        self.client.append(&"client-alone".parse()?, Expected::Any, events).await?;
        Ok(())
    }

    async fn append(&mut self, round: usize, step: &mut impl FnMut()) -> anyhow::Result<()> {
        self.probe()?;
        // All are of one store: each measure has streams of its own, too, and so has the adapter.
        for (round, (measure, load)) in (round * APPENDS.len()..).map(|n| 2 * n).zip(APPENDS) {
            let daybook = Arc::clone(&self.daybook);
            self.append_turn((measure, DAYBOOK), &daybook, load, round).await?;
            let adapter = Arc::clone(&self.adapter);
            self.append_turn((measure, ADAPTER), &adapter, load, round + 1).await?;
            let client = Arc::clone(&self.client);
            self.append_turn((measure, CLIENT), &client, load, round).await?;
            if load.batch == 1 {
                let echo = Arc::clone(&self.echo);
                self.append_turn((measure, "echo"), &echo, load, round).await?;
            }
            if let Some(peer) = self.peer.clone() {
                self.append_turn((measure, UMADB), &peer, load, round).await?;
            }
            step();
        }
        Ok(())
    }

    async fn append_turn(
        &mut self,
        (measure, contender): (&'static str, &'static str),
        engine: &Arc<impl Appends>,
        load: Writers,
        round: usize,
    ) -> anyhow::Result<()> {
        let turn = rounds::append(engine, load, &self.payloads, (round, self.plan.time));
        let (_, sample) = turn.await.with_context(|| format!("{measure} of {contender}"))?;
        self.book.enter(measure, contender, sample);
        Ok(())
    }

    async fn read(&mut self, round: usize, step: &mut impl FnMut()) -> anyhow::Result<()> {
        for (measure, reading) in READS {
            let daybook = Arc::clone(&self.daybook);
            self.read_turn((measure, DAYBOOK), &daybook, reading, round).await?;
            let adapter = Arc::clone(&self.adapter);
            self.read_turn((measure, ADAPTER), &adapter, reading, round).await?;
            let client = Arc::clone(&self.client);
            self.read_turn((measure, CLIENT), &client, reading, round).await?;
            if let Some(peer) = self.peer.clone() {
                self.read_turn((measure, UMADB), &peer, reading, round).await?;
            }
            step();
        }
        Ok(())
    }

    async fn read_turn(
        &mut self,
        (measure, contender): (&'static str, &'static str),
        engine: &Arc<impl Engine>,
        reading: Reading,
        round: usize,
    ) -> anyhow::Result<()> {
        let turn = rounds::read(engine, reading, self.seeds, (round, self.plan.time));
        let sample = turn.await.with_context(|| format!("{measure} of {contender}"))?;
        self.book.enter(measure, contender, sample);
        Ok(())
    }

    async fn live(&mut self) -> anyhow::Result<()> {
        let store = (&self.adapter.client.0, self.adapter.server());
        let turn = live::latency(store, &self.payloads, 0, self.plan.time);
        self.book.enter(LIVE, DAYBOOK, turn.await?);
        Ok(())
    }
}
