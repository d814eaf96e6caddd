//! The program that the suites run as a process of its own, and how it is told what to do: a store
//! with several writers at work, which says on its standard output what it was answered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daybook_event_store::{
    AppendError, Appended, AtomicAppend, Direction, EmbeddedOptions, EmbeddedStore, EventStore,
    Expected, Revision, ScavengeOptions, ScavengeState, StreamId, StreamMetadata, StreamWrite,
};
use futures::TryStreamExt;
use uuid::Uuid;

use crate::load::{Belief, Op, OpId};
use crate::planted::{Fault, Planted};

/// What the program is to do.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) folder: PathBuf,
    pub(crate) seed: u64,
    /// Which life of the program over this folder.
    pub(crate) life: u32,
    /// How many operations each writer does; then the program closes the store and ends.
    pub(crate) steps: u32,
    pub(crate) segment_bytes: u64,
    /// What each writer had submitted last in the life before, to be submitted again.
    pub(crate) unanswered: Vec<OpId>,
    /// What is wrong with the program's files.
    pub(crate) fault: Option<Fault>,
    /// Whether a stream is bounded, closed segments are scavenged all the time, and compressed.
    pub(crate) tended: bool,
}

/// The stream that is bounded in a store that is tended, and to how many events.
pub(crate) const BOUNDED: (&str, u64) = ("order-0", 20);
/// How many writers there are.
pub(crate) const WRITERS: u32 = 4;
const VARIABLE: &str = "TORTURE_TASK";

impl Task {
    /// The environment that tells the program.
    pub(crate) fn environment(&self) -> (&'static str, String) {
        let Self { seed, life, steps, segment_bytes, fault, tended, .. } = self;
        let fault = fault.map_or("none", Fault::name);
        let mut text = format!("{seed} {life} {steps} {segment_bytes} {fault} {tended}");
        for OpId { life, writer, step } in &self.unanswered {
            write!(text, " {life}.{writer}.{step}").unwrap();
        }
        (VARIABLE, format!("{text} {}", self.folder.display()))
    }

    fn from_environment() -> Option<Self> {
        let text = std::env::var(VARIABLE).ok()?;
        let words: Vec<_> = text.split(' ').collect();
        let number = |n: usize| words[n].parse().unwrap();
        let ops = &words[6..words.len() - 1];
        Some(Self {
            folder: words[words.len() - 1].into(),
            seed: number(0),
            life: u32::try_from(number(1)).unwrap(),
            steps: u32::try_from(number(2)).unwrap(),
            segment_bytes: number(3),
            fault: Fault::named(words[4]),
            tended: words[5] == "true",
            unanswered: ops.iter().map(|op| op_id(op).unwrap()).collect(),
        })
    }
}

/// What the program says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// The store is open.
    Open,
    /// An operation was answered: where each of its shares ended up.
    Done(OpId, Vec<Appended>),
    /// An operation was refused for good: nothing of it is there.
    Refused(OpId),
    /// An operation was refused for now, and will be tried again.
    Unavailable(OpId),
    /// The store stopped under an operation.
    Stopped(OpId),
    /// The store did what no store may do.
    Wrong(String),
    /// The store was closed, and why it had stopped before if it had.
    Closed(Option<String>),
    /// The store could not be opened.
    NotOpened(String),
}

impl Said {
    fn line(&self) -> String {
        let op = |OpId { life, writer, step }: &OpId| format!("{life}.{writer}.{step}");
        match self {
            Self::Open => "@open".into(),
            Self::Done(id, places) => {
                places.iter().fold(format!("@done {}", op(id)), |line, at| {
                    format!("{line} {}:{}", at.revision, at.position)
                })
            }
            Self::Refused(id) => format!("@refused {}", op(id)),
            Self::Unavailable(id) => format!("@unavailable {}", op(id)),
            Self::Stopped(id) => format!("@stopped {}", op(id)),
            Self::Wrong(what) => format!("@wrong {what}"),
            Self::Closed(None) => "@closed".into(),
            Self::Closed(Some(reason)) => format!("@closed {reason}"),
            Self::NotOpened(why) => format!("@not-opened {why}"),
        }
    }

    /// What a line says; nothing where another part of the process wrote it, or only half.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.strip_prefix('@')?;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "open" => Self::Open,
            "done" => {
                let mut words = rest.split(' ');
                let id = op_id(words.next()?)?;
                Self::Done(id, words.map(appended).collect::<Option<_>>()?)
            }
            "refused" => Self::Refused(op_id(rest)?),
            "unavailable" => Self::Unavailable(op_id(rest)?),
            "stopped" => Self::Stopped(op_id(rest)?),
            "wrong" => Self::Wrong(rest.into()),
            "closed" => Self::Closed((!rest.is_empty()).then(|| rest.into())),
            "not-opened" => Self::NotOpened(rest.into()),
            _ => return None,
        })
    }

    /// Says it with one write.
    fn say(&self) {
        let mut out = std::io::stdout().lock();
        out.write_all(format!("{}\n", self.line().replace('\n', " ")).as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

fn op_id(text: &str) -> Option<OpId> {
    let mut numbers = text.split('.').map(|n| n.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(OpId { life: next()?, writer: next()?, step: next()? })
}

fn appended(text: &str) -> Option<Appended> {
    let (revision, position) = text.split_once(':')?;
    let revision = Revision(revision.parse().ok()?);
    Some(Appended { revision, position: daybook_event_store::Position(position.parse().ok()?) })
}

#[test]
#[ignore = "not a test: the program that the suites run as a process of its own"]
fn run() {
    let Some(task) = Task::from_environment() else { return };
    println!("{task:?}");
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(work(task));
}

async fn work(task: Task) {
    let options = EmbeddedOptions {
        segment_bytes: task.segment_bytes,
        cache_bytes: 256 << 10,
        compress: task.tended,
        ..Default::default()
    };
    let vfs = Planted::new(task.fault);
    let store = match EmbeddedStore::open_with(Arc::new(vfs), &task.folder, &options) {
        Ok(store) => store,
        Err(error) => return Said::NotOpened(format!("{error:?}")).say(),
    };
    Said::Open.say();
    let task = Arc::new(task);
    let writers = (0..WRITERS).map(|number| {
        let writer = Writer { store: store.clone(), task: Arc::clone(&task), number };
        tokio::spawn(writer.run())
    });
    let tending = task.tended.then(|| tokio::spawn(tend(store.clone())));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    if let Some(tending) = tending {
        tending.abort();
    }
    let stopped = store.stopped();
    store.close();
    Said::Closed(stopped).say();
}

/// Bounds a stream, and scavenges over and over.
async fn tend(store: EmbeddedStore) {
    let (stream, count) = (BOUNDED.0.parse().unwrap(), NonZeroU64::new(BOUNDED.1));
    let bound = StreamMetadata { max_count: count, ..Default::default() };
    let bounded = store.set_metadata(&stream, Expected::Any, &bound, Uuid::max()).await;
    if let Err(error) = bounded {
        Said::Wrong(format!("cannot bound {stream}: {error}")).say();
    }
    loop {
        let options = ScavengeOptions { least_percent: 0, ..Default::default() };
        let ended = store.scavenge(options).ended().await.state;
        if ended != ScavengeState::Done {
            Said::Wrong(format!("a scavenge ended as {ended:?}")).say();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Why a writer writes no more.
struct Ended;

struct Writer {
    store: EmbeddedStore,
    task: Arc<Task>,
    number: u32,
}

impl Writer {
    async fn run(self) {
        let Task { life, steps, unanswered, .. } = &*self.task;
        let before = unanswered.iter().filter(|id| id.writer == self.number).copied();
        let new = (0..*steps).map(|step| OpId { life: *life, writer: self.number, step });
        for id in before.chain(new) {
            if self.op(id).await.is_err() {
                return;
            }
        }
    }

    /// Does an operation to its end, whatever that takes.
    async fn op(&self, id: OpId) -> Result<(), Ended> {
        let op = id.op(self.task.seed);
        for attempt in 0_u32.. {
            match self.submit(id, &op).await {
                Ok(places) => {
                    Said::Done(id, places.clone()).say();
                    return if op.repeated { self.repeat(id, &op, &places).await } else { Ok(()) };
                }
                Err(AppendError::Conflict { .. }) if attempt < 5 => {}
                Err(AppendError::Conflict { .. }) => break,
                Err(AppendError::Unavailable { .. }) if attempt < 5_000 => {
                    Said::Unavailable(id).say();
                    self.read(&op).await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(AppendError::Stopped { .. }) => {
                    Said::Stopped(id).say();
                    return Err(Ended);
                }
                Err(error) => {
                    Said::Wrong(format!("{id:?} was refused: {error}")).say();
                    return Err(Ended);
                }
            }
        }
        Said::Refused(id).say();
        Ok(())
    }

    async fn submit(&self, id: OpId, op: &Op) -> Result<Vec<Appended>, AppendError> {
        let mut expected = BTreeMap::new();
        for (stream, belief, _) in &op.shares {
            expected.insert(stream.clone(), self.expected(stream, *belief).await);
        }
        self.append(id, op, |stream| expected[stream]).await
    }

    async fn expected(&self, stream: &StreamId, belief: Belief) -> Expected {
        match belief {
            Belief::Any => Expected::Any,
            Belief::New => Expected::NoStream,
            Belief::AsRead => {
                let mut last =
                    Box::pin(self.store.read(stream, Revision::END, Direction::Backward));
                match last.try_next().await {
                    Ok(Some(last)) => Expected::At(last.revision),
                    Ok(None) => Expected::NoStream,
                    Err(error) => {
                        Said::Wrong(format!("cannot read {stream}: {error}")).say();
                        Expected::Any
                    }
                }
            }
        }
    }

    async fn append(
        &self,
        id: OpId,
        op: &Op,
        expected: impl Fn(&StreamId) -> Expected,
    ) -> Result<Vec<Appended>, AppendError> {
        let shares = op.shares.iter().zip(id.events(self.task.seed, op));
        let write = |((stream, ..), events): (&(StreamId, Belief, u32), _)| StreamWrite {
            stream: stream.clone(),
            expected: expected(stream),
            events,
        };
        self.store.append_all(shares.map(write).collect()).await
    }

    /// Reads go on while nothing can be written.
    async fn read(&self, op: &Op) {
        for (stream, ..) in &op.shares {
            let events = self.store.read(stream, Revision::START, Direction::Forward);
            if let Err(error) = events.try_collect::<Vec<_>>().await {
                Said::Wrong(format!("cannot read {stream}: {error}")).say();
            }
        }
    }

    /// A retry is answered as the first time, whatever it expects.
    async fn repeat(&self, id: OpId, op: &Op, places: &[Appended]) -> Result<(), Ended> {
        match self.append(id, op, |_| Expected::NoStream).await {
            Ok(again) if again == places => Ok(()),
            Err(AppendError::Stopped { .. }) => {
                Said::Stopped(id).say();
                Err(Ended)
            }
            // A disk that is full refuses what waits beside what needs space.
            Err(AppendError::Unavailable { .. }) => Ok(()),
            other => {
                Said::Wrong(format!("{id:?} at {places:?} was answered {other:?} again")).say();
                Err(Ended)
            }
        }
    }
}
