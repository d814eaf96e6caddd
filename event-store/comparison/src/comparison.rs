//! The whole comparison: which work, in which order, how often.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use daybook_event_store::EmbeddedOptions;
use futures::FutureExt;

use crate::contender::{Contender, Open, Reading};
use crate::frames::{Frames, raw_loop};
use crate::load::{Payloads, Seeds};
use crate::probe::Probe;
use crate::report::{Book, Report};
use crate::rounds::{Warmth, Writers};
use crate::stats::{Figure, Sample};
use crate::{Embedded, Ported, disk, live};

const APPENDS: [(&str, Writers); 4] = [
    ("append_1_writer", Writers { writers: 1, batch: 1 }),
    ("append_8_writers", Writers { writers: 8, batch: 1 }),
    ("append_64_writers", Writers { writers: 64, batch: 1 }),
    ("append_batches_of_100", Writers { writers: 8, batch: 100 }),
];

/// Tasks that read streams at the same time.
const READERS: usize = 2;

/// After a cold opening and cold reads of streams; each warms itself up.
const WARM_READS: [(&str, Reading); 3] = [
    ("read_all", Reading::All),
    ("read_streams_warm", Reading::Streams(Warmth::Warm, READERS)),
    ("read_category", Reading::Category),
];

/// Subscribers that wait beside the one that is measured.
const LIVE: [(&str, usize); 2] = [("live_latency", 0), ("live_latency_1000_idle", 1_000)];

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Durable appends.
    Append,
    /// Reads, cold openings, and bytes on disk.
    Read,
    /// From append to subscriber.
    Live,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Which parts.
    pub parts: Vec<Part>,
    /// How long each contender does each kind of work in each round.
    pub time: Duration,
    /// How often all of them take their turns; at least once.
    pub rounds: usize,
    /// A tenth of the events to be read.
    pub small: bool,
}

impl Comparison {
    /// How many steps [`run`](Self::run) will tell of.
    pub fn steps(&self) -> u64 {
        let turns = |part: &Part| match part {
            Part::Append => APPENDS.len() * Contender::APPENDING.len(),
            Part::Read => Contender::READING.len(),
            Part::Live => LIVE.len(),
        };
        (self.parts.iter().map(turns).sum::<usize>() * self.rounds) as u64
    }

    /// Measures, in folders of its own within `folder`; `step` hears of each turn that was taken.
    ///
    /// # Errors
    /// The folder cannot be written to, or a contender fails.
    pub async fn run(&self, folder: &Path, step: impl FnMut() + Send) -> anyhow::Result<Report> {
        let began = Instant::now();
        let folder = tempfile::Builder::new().prefix("bench-store-").tempdir_in(folder)?;
        let seeds = Seeds { streams: if self.small { 400 } else { 4_000 }, abreast: 200 };
        let mut run = Run {
            plan: self,
            folder: folder.path(),
            seeds,
            payloads: Arc::new(Payloads::new()),
            book: Book::default(),
            step,
        };
        for part in &self.parts {
            match part {
                Part::Append => run.append().await?,
                Part::Read => run.read().await?,
                Part::Live => run.live().await?,
            }
        }
        run.probe()?;
        let report = run.book.close(began.elapsed().as_secs_f64(), self.rounds);
        report.context("nothing was measured")
    }
}

/// A comparison under way.
struct Run<'a, S> {
    plan: &'a Comparison,
    folder: &'a Path,
    seeds: Seeds,
    payloads: Arc<Payloads>,
    book: Book,
    step: S,
}

impl<S: FnMut() + Send> Run<'_, S> {
    fn probe(&mut self) -> anyhow::Result<Sample> {
        let probe = Probe::run(self.folder, self.plan.time.min(Duration::from_millis(500)))?;
        let sample = probe.sample();
        self.book.probe(probe);
        Ok(sample)
    }

    fn folder(&self, measure: &str, contender: Contender) -> PathBuf {
        self.folder.join(format!("{measure}-{}", contender.name()))
    }

    /// All contenders of a measure side by side, each in an empty folder.
    fn open(
        &self,
        measure: &str,
        contenders: &[Contender],
    ) -> anyhow::Result<Vec<(Contender, Open)>> {
        let open = |contender: &Contender| {
            let folder = self.folder(measure, *contender);
            anyhow::Ok((*contender, contender.open(&folder, self.seeds)?))
        };
        contenders.iter().map(open).collect()
    }

    fn remove(&self, measure: &str, contenders: &[Contender]) -> anyhow::Result<()> {
        let folders = contenders.iter().map(|contender| self.folder(measure, *contender));
        Ok(folders.into_iter().try_for_each(fs::remove_dir_all)?)
    }

    async fn append(&mut self) -> anyhow::Result<()> {
        for (measure, load) in APPENDS {
            let contenders = self.open(measure, &Contender::APPENDING)?;
            let mut frames = Frames::new(&self.folder(measure, Contender::Daybook));
            for round in 0..self.plan.rounds {
                let probe = self.probe()?;
                if load.writers == 1 {
                    self.book.enter(measure, "probe", probe);
                }
                for (contender, open) in &contenders {
                    let turn = open.append(load, &self.payloads, (round, self.plan.time));
                    let (events, sample) = turn.await.with_context(|| contender.name())?;
                    self.book.enter(measure, contender.name(), sample);
                    if *contender == Contender::Daybook {
                        let sample =
                            raw_loop(&self.folder.join("raw-loop"), &frames.next(events)?)?;
                        self.book.enter(measure, "raw_loop", sample);
                    }
                    (self.step)();
                }
            }
            drop(contenders);
            self.remove(measure, &Contender::APPENDING)?;
        }
        Ok(())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let contenders = Contender::READING;
        for (contender, open) in self.open("read", &contenders)? {
            open.sow(self.seeds, &self.payloads).await.with_context(|| contender.name())?;
            settle(&self.folder("read", contender)).await;
            drop(open);
            let usage = disk::usage(&self.folder("read", contender))?;
            #[expect(clippy::cast_precision_loss, reason = "a ratio")]
            let ratio = usage as f64 / self.seeds.bytes() as f64;
            let sample = [(Figure::BytesPerPayloadByte, ratio)].into();
            self.book.enter("disk", contender.name(), sample);
        }
        for round in 0..self.plan.rounds {
            self.probe()?;
            for contender in contenders {
                self.read_turn(contender, round).await.with_context(|| contender.name())?;
                (self.step)();
            }
        }
        self.remove("read", &contenders)
    }

    /// Opens a contender as if for the first time, and reads from it, first cold, then warm.
    async fn read_turn(&mut self, contender: Contender, round: usize) -> anyhow::Result<()> {
        let folder = self.folder("read", contender);
        let (at, seeds) = ((round, self.plan.time), self.seeds);
        disk::drop_cached(&folder)?;
        let opening = async {
            let began = Instant::now();
            let open = contender.open(&folder, seeds)?;
            open.read(Reading::First, seeds, at).await?;
            let millis = began.elapsed().as_secs_f64() * 1e3;
            anyhow::Ok((open, Sample::from([(Figure::Millis, millis)])))
        };
        let (open, sample) = from_disk(opening).await?;
        self.book.enter("cold_open", contender.name(), sample);
        let cold = Reading::Streams(Warmth::Cold, READERS);
        let cold = open.read(cold, seeds, at).map(|sample| anyhow::Ok(((), sample?)));
        let ((), sample) = from_disk(cold).await?;
        self.book.enter("read_streams_cold", contender.name(), sample);
        for (measure, reading) in WARM_READS {
            let sample = open.read(reading, seeds, at).await?;
            self.book.enter(measure, contender.name(), sample);
        }
        Ok(())
    }

    /// The peers have nothing like it: they would have to be asked again and again.
    async fn live(&mut self) -> anyhow::Result<()> {
        let folder = self.folder("live", Contender::Daybook);
        let Ported(store) = Embedded::open(&folder, &EmbeddedOptions::default())?;
        for _ in 0..self.plan.rounds {
            self.probe()?;
            for (measure, idle) in LIVE {
                let turn = live::latency((&store, None), &self.payloads, idle, self.plan.time);
                self.book.enter(measure, Contender::Daybook.name(), turn.await?);
                (self.step)();
            }
        }
        drop(store);
        Ok(fs::remove_dir_all(folder)?)
    }
}

/// Waits until what is done in the background has not changed a store's files for a while; where
/// that does not come to be, not for ever.
async fn settle(folder: &Path) {
    let (mut before, mut same) = (None, 0);
    for _ in 0..600 {
        // A file may go while they are counted.
        let now = disk::usage(folder).ok();
        same = if now.is_some() && now == before { same + 1 } else { 0 };
        if same == 5 {
            break;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Adds what the work had to have fetched from the disk, where that is known.
async fn from_disk<T>(
    work: impl Future<Output = anyhow::Result<(T, Sample)>>,
) -> anyhow::Result<(T, Sample)> {
    let before = disk::bytes_read();
    let (done, mut sample) = work.await?;
    if let (Some(before), Some(after)) = (before, disk::bytes_read()) {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        sample.insert(Figure::DiskBytesRead, after.saturating_sub(before) as f64);
    }
    Ok((done, sample))
}
