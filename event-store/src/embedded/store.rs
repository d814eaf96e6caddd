use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use futures::{Stream, stream};
use parking_lot::Mutex;

use super::cache::{Cache, Io, blocking};
use super::committer::Committer;
use super::error::{Fault, OpenError};
use super::events::{Items, TailedEvents};
use super::layout;
use super::list_scan::ListScan;
use super::log::{Log, Scan};
use super::maintenance::{self, Bell, Maintenance};
use super::open::Folder;
use super::options::EmbeddedOptions;
use super::queue::Queue;
use super::scavenge::{Scavenge, ScavengeOptions, Scavenges};
use super::stager::Stager;
use super::tails::{Announcer, Tails};
use super::vfs::{LockGuard, RealVfs, Vfs};
use super::view::View;
use super::writer::Writer;
use crate::admission::Request;
use crate::{
    AppendError, Appended, AtomicAppend, Direction, EventStore, Expected, Filter, IndexStream,
    Limits, Listed, NewEvent, Position, ReadError, Recorded, Revision, StreamId, StreamWrite,
    Tailed, Transaction,
};

/// How many positions a backward read of all events turns around at a time.
const BACKWARD: u64 = 256;

/// Why a store that was opened so takes no appends.
const READ_ONLY: &str = "it was opened to be read only";

/// An event store in a folder, for one process.
///
/// It closes when it is told to, or when its last handle is dropped.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

/// What a store holds, at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedStats {
    /// Events.
    pub events: u64,
    /// Segments, with the one that is written to.
    pub segments: usize,
    /// Bytes of segments and indexes on disk.
    pub bytes: u64,
}

struct Inner {
    log: Arc<Log>,
    /// `None` where the store is only read.
    queue: Option<Arc<Queue>>,
    bell: Arc<Bell>,
    tails: Arc<Tails>,
    limits: Limits,
    running: Mutex<Option<Running>>,
    /// What keeps a store that is only read up to date.
    view: Option<View>,
    scavenges: Arc<Scavenges>,
}

/// What ends when the store is closed; the lock is given back last.
struct Running {
    threads: Option<Threads>,
    _lock: Box<dyn LockGuard>,
}

struct Threads {
    writer: JoinHandle<()>,
    tails: JoinHandle<()>,
    background: JoinHandle<()>,
}

/// A store that is open, and what is to be run for it.
pub(crate) struct Parts {
    pub(crate) store: EmbeddedStore,
    pub(crate) committer: Committer,
    pub(crate) maintenance: Maintenance,
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Opens the store in a folder, or makes one there. Blocks while it checks and repairs.
    ///
    /// # Errors
    /// The folder is in use, of a newer format, damaged, not a store, or cannot be accessed.
    pub fn open(path: impl AsRef<Path>, options: &EmbeddedOptions) -> Result<Self, OpenError> {
        Self::open_with(Arc::new(RealVfs), path, options)
    }

    /// [`open`](Self::open) with files and a clock other than the operating system's.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(
        vfs: Arc<dyn Vfs>,
        path: impl AsRef<Path>,
        options: &EmbeddedOptions,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let Parts { store, committer, maintenance } =
            Self::assemble(vfs, path, options, Bell::new())?;
        let bell = Arc::clone(&store.inner.bell);
        let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.into()).spawn(work);
            thread.map_err(OpenError::io("start the threads of", path))
        };
        let writer = start("event-store-writer", Box::new(|| committer.run()))?;
        let tails = Arc::clone(&store.inner.tails);
        let tails = start("event-store-tails", Box::new(move || tails.run()))?;
        let background = start(
            "event-store-background",
            Box::new(move || maintenance::run(&bell, maintenance)),
        )?;
        if let Some(running) = &mut *store.inner.running.lock() {
            running.threads = Some(Threads { writer, tails, background });
        }
        Ok(store)
    }

    /// The parts of a store that is open and does nothing yet.
    pub(crate) fn assemble(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: &EmbeddedOptions,
        bell: Bell,
    ) -> Result<Parts, OpenError> {
        options.check()?;
        let lock = layout::lock(&*vfs, dir)?;
        let folder = Folder::new(vfs, dir.to_owned(), Cache::new(options.cache_bytes));
        let segments = folder.open()?;
        let active = segments.in_order.last().map(Arc::clone).ok_or_else(|| {
            OpenError::NotAStore { path: dir.to_owned(), reason: "it has no segment".into() }
        })?;
        let announcer = Announcer::new(active.end());
        let tails = announcer.tails();
        let bell = Arc::new(bell);
        let log = Arc::new(Log::new(segments, &folder, Arc::clone(&bell)));
        let stager = Stager::new(Arc::clone(&log), Arc::clone(&folder.vfs), active.end());
        let queue = Arc::new(Queue::new(stager));
        let background =
            Maintenance::new(folder.clone(), Arc::clone(&log), Arc::clone(&queue), &bell, options);
        let maintenance = background.map_err(OpenError::io("read the scavenge of", dir))?;
        let scavenges = Arc::clone(maintenance.scavenges());
        let writer = Writer::new(
            folder,
            Arc::clone(&log),
            Arc::clone(&bell),
            options.segment_bytes,
            announcer,
            active,
        );
        let committer = Committer::new(Arc::clone(&queue), writer);
        let running = Mutex::new(Some(Running { threads: None, _lock: lock }));
        let inner = Inner {
            log,
            queue: Some(queue),
            bell,
            tails,
            limits: options.limits,
            running,
            view: None,
            scavenges,
        };
        Ok(Parts { store: Self { inner: Arc::new(inner) }, committer, maintenance })
    }

    /// Opens the store in a folder to read it only, as it stands now: without its lock and without
    /// a write, so that it may be open elsewhere, and written to, at the same time.
    ///
    /// [`refresh`](Self::refresh) takes in what has been written since. Appends get
    /// [`AppendError::Stopped`]. An event may be seen that is written and not synced yet: if the
    /// power fails then, it may never have been.
    ///
    /// # Errors
    /// The folder is of another format, damaged, not a store, or cannot be accessed.
    pub fn open_read_only(
        path: impl AsRef<Path>,
        options: &EmbeddedOptions,
    ) -> Result<Self, OpenError> {
        Self::open_read_only_with(Arc::new(RealVfs), path, options)
    }

    /// [`open_read_only`](Self::open_read_only) with other files than the operating system's.
    ///
    /// # Errors
    /// As for [`open_read_only`](Self::open_read_only).
    pub fn open_read_only_with(
        vfs: Arc<dyn Vfs>,
        path: impl AsRef<Path>,
        options: &EmbeddedOptions,
    ) -> Result<Self, OpenError> {
        options.check()?;
        let dir = path.as_ref().to_owned();
        let (log, view, tails) =
            View::open(Folder::new(vfs, dir, Cache::new(options.cache_bytes)))?;
        let bell = Arc::new(Bell::new());
        let scavenges = Arc::new(Scavenges::new(Arc::clone(&bell)));
        let inner = Inner {
            log,
            queue: None,
            bell,
            tails,
            limits: options.limits,
            running: Mutex::new(None),
            view: Some(view),
            scavenges,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Takes in what somebody else has written since a store was
    /// [opened to be read](Self::open_read_only). Blocks while it reads. Does nothing to a store
    /// that is open as usual.
    ///
    /// # Errors
    /// What is new is damaged or cannot be read; what came before that is taken in.
    pub fn refresh(&self) -> Result<(), ReadError> {
        let refreshed = self.inner.view.as_ref().map_or(Ok(()), View::refresh);
        refreshed.map_err(OpenError::into_read_error)
    }

    /// Ends the store for all its handles: waits until what was asked for is durable, and gives
    /// the folder free. Appends get [`AppendError::Stopped`] from then on, and tails end. Again,
    /// it does nothing.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Why the store takes no appends any more; `None` while it does.
    pub fn stopped(&self) -> Option<String> {
        self.inner.queue.as_ref().map_or_else(|| Some(READ_ONLY.into()), |queue| queue.stopped())
    }

    /// Drops for good, from closed segments, the events that are not live now: those that a
    /// stream's metadata, its deletion or its tombstone excludes. It runs in the background and
    /// tells how far it has come; where one runs already, it is that one. One that the closing of
    /// the store interrupts goes on when the store is opened again.
    pub fn scavenge(&self, options: ScavengeOptions) -> Scavenge {
        if let Some(reason) = self.stopped() {
            self.inner.scavenges.refuse(&reason);
        }
        self.inner.scavenges.request(options)
    }

    /// The scavenge that runs, or else the last one since the store was opened.
    pub fn last_scavenge(&self) -> Option<Scavenge> {
        self.inner.scavenges.last()
    }

    /// What the store holds. Cheap enough to be asked often.
    pub fn stats(&self) -> EmbeddedStats {
        let snapshot = self.inner.log.snapshot();
        let segments = &snapshot.segments;
        let bytes = segments.iter().map(|segment| segment.bytes()).sum::<u64>()
            + snapshot.runs.iter().map(|run| run.bytes()).sum::<u64>();
        EmbeddedStats { events: self.inner.tails.head(), segments: segments.len(), bytes }
    }

    async fn submit(&self, request: Request) -> Result<Vec<Appended>, AppendError> {
        request.check(&self.inner.limits)?;
        let read_only = || AppendError::Stopped { reason: READ_ONLY.into() };
        self.inner.queue.as_ref().ok_or_else(read_only)?.submit(request).await
    }

    async fn submit_one(&self, request: Request) -> Result<Appended, AppendError> {
        Ok(self.submit(request).await?[0])
    }

    /// How many events are durable; the next position.
    fn events(&self) -> u64 {
        self.inner.tails.head()
    }
}

impl Inner {
    fn close(&self) {
        if let Some(queue) = &self.queue {
            queue.stop("it was closed");
        }
        let Some(running) = self.running.lock().take() else { return };
        let Some(Threads { writer, tails, background }) = running.threads else { return };
        if writer.join().is_err() {
            tracing::error!("the event store's writer panicked");
        }
        if tails.join().is_err() {
            tracing::error!("the thread that wakes the event store's tails panicked");
        }
        self.bell.close();
        if background.join().is_err() {
            tracing::error!("the event store's background work panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn next_position(after: Option<Position>) -> u64 {
    after.map_or(0, |position| position.0.saturating_add(1))
}

/// One step of a read: from memory where it can be, else where it may wait for the disk.
async fn step<C: Send + 'static, T: Send + 'static>(
    log: &Arc<Log>,
    mut cursor: C,
    read: fn(&Log, &mut C, Io) -> Result<T, Fault>,
) -> Result<(T, C), ReadError> {
    let result = match read(log, &mut cursor, Io::Never) {
        Err(Fault::NotCached) => {
            let log = Arc::clone(log);
            blocking(move || read(&log, &mut cursor, Io::Allowed).map(|events| (events, cursor)))
                .await
        }
        result => result.map(|events| (events, cursor)),
    };
    result.map_err(|fault| log.report(fault))
}

impl EventStore for EmbeddedStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let write = StreamWrite { stream: stream.clone(), expected, events };
        self.submit_one(Request::Append(vec![write].into())).await
    }

    fn read(
        &self,
        stream: &StreamId,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let log = Arc::clone(&self.inner.log);
        let scan = log.begin(stream, from, direction, || self.events());
        Items::of(stream::try_unfold((log, scan), async |(log, scan)| {
            if scan.at.window.is_empty() {
                return Ok(None);
            }
            let (events, scan) = step(&log, scan, Log::read).await?;
            let events = events.map(|Listed { event, .. }| event);
            Ok(Some((events, (log, scan))))
        }))
    }

    fn read_index(
        &self,
        index: &IndexStream,
        from: Revision,
        direction: Direction,
    ) -> impl Stream<Item = Result<Listed, ReadError>> + Send + 'static {
        let scan = ListScan::new(index.clone().into(), from, direction, 0..self.events());
        Items::of(stream::try_unfold((Arc::clone(&self.inner.log), scan), async |(log, scan)| {
            if scan.window.is_empty() {
                return Ok(None);
            }
            let (events, scan) = step(&log, scan, Log::read_index).await?;
            Ok(Some((events, (log, scan))))
        }))
    }

    fn read_all(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let window = next_position(after)..self.events();
        let scan = Scan { window, filter: Arc::new(filter) };
        let state = (Arc::clone(&self.inner.log), scan);
        Items::of(stream::try_unfold(state, async |(log, scan)| {
            if scan.window.is_empty() {
                return Ok(None);
            }
            let (events, scan) = step(&log, scan, Log::scan).await?;
            Ok(Some((events, (log, scan))))
        }))
    }

    fn read_all_backward(
        &self,
        before: Option<Position>,
    ) -> impl Stream<Item = Result<Recorded, ReadError>> + Send + 'static {
        let (end, filter) = (self.events(), Arc::new(Filter::all()));
        let end = before.map_or(end, |position| position.0.min(end));
        let state = (Arc::clone(&self.inner.log), end);
        Items::of(stream::try_unfold(state, move |(log, end)| {
            let window = end.saturating_sub(BACKWARD)..end;
            let (first, filter) = (window.start, Arc::clone(&filter));
            async move {
                if window.is_empty() {
                    return Ok(None);
                }
                let (mut scan, mut chunk) = (Scan { window, filter }, Vec::new());
                while !scan.window.is_empty() {
                    let (events, rest) = step(&log, scan, Log::scan).await?;
                    chunk.extend(events);
                    scan = rest;
                }
                chunk.reverse();
                Ok(Some((chunk.into_iter(), (log, first))))
            }
        }))
    }

    fn tail(
        &self,
        after: Option<Position>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Tailed, ReadError>> + Send + 'static {
        // Without a handle of the store: the tail ends when the store does.
        let (log, follower) = (Arc::clone(&self.inner.log), self.inner.tails.follow(filter));
        let next = next_position(after);
        let scan = Scan { window: next..next, filter: follower.filter() };
        Items::of(stream::try_unfold(
            (log, follower, scan, false),
            async |(log, tail, scan, told)| {
                let mut scan = scan;
                let next = scan.window.start;
                // The first time, a tail that starts at the head says so at once.
                let Some(end) = tail.end(next, !told && next > 0).await else { return Ok(None) };
                scan.window.end = end;
                if !tail.may_have(next) {
                    scan.window.start = end;
                }
                let (events, scan) = step(&log, scan, Log::scan).await?;
                let items = TailedEvents {
                    events,
                    caught_up: Some(Position(scan.window.start - 1)),
                    only_if_none: !scan.window.is_empty(),
                };
                Ok(Some((items, (log, tail, scan, true))))
            },
        ))
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        Ok(self.events().checked_sub(1).map(Position))
    }

    async fn delete(&self, stream: &StreamId, expected: Expected) -> Result<Appended, AppendError> {
        self.submit_one(Request::Delete { stream: stream.clone(), expected }).await
    }

    async fn tombstone(
        &self,
        stream: &StreamId,
        expected: Expected,
    ) -> Result<Appended, AppendError> {
        self.submit_one(Request::Tombstone { stream: stream.clone(), expected }).await
    }
}

impl AtomicAppend for EmbeddedStore {
    async fn commit(&self, transaction: Transaction) -> Result<Vec<Appended>, AppendError> {
        self.submit(Request::Append(transaction)).await
    }
}
