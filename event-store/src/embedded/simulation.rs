//! A store without threads, for whoever decides what happens when.

use std::path::Path;
use std::sync::Arc;

use super::committer::Committer;
use super::maintenance::{Bell, Maintenance, Step};
use super::store::{EmbeddedStore, Parts};
use super::{EmbeddedOptions, OpenError, Vfs};

/// A store that does nothing by itself. An append is a request that waits until
/// [`commit`](Commits::commit); the background work waits for [`step`](Background::step). Reads
/// run where they are polled, if that is outside of an async runtime.
///
/// # Errors
/// As for [`EmbeddedStore::open`].
pub fn open(
    vfs: Arc<dyn Vfs>,
    path: impl AsRef<Path>,
    options: &EmbeddedOptions,
) -> Result<(EmbeddedStore, Commits, Background), OpenError> {
    let Parts { store, committer, maintenance } =
        EmbeddedStore::assemble(vfs, path.as_ref(), options, Bell::unbounded())?;
    Ok((store, Commits(committer), Background(maintenance)))
}

/// The writer of a store without threads.
#[derive(Debug)]
pub struct Commits(Committer);

impl Commits {
    /// Commits what waits and answers it; whether the writer goes on.
    pub fn commit(&mut self) -> bool {
        self.0.commit_waiting()
    }

    /// Ends cleanly, as the writer of a closed store does.
    pub fn close(self) {
        self.0.close();
    }
}

/// The background work of a store without threads.
#[derive(Debug)]
pub struct Background(Maintenance);

impl Background {
    /// Does one piece of work; whether there was any.
    ///
    /// # Errors
    /// The disk refused it; another step tries again.
    pub fn step(&mut self) -> std::io::Result<bool> {
        self.0.step(false).map(|step| step != Step::Idle)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::{AppendError, EventStore, Expected, Filter, NewEvent, RealVfs, StreamId};

    fn event(n: u128) -> NewEvent {
        NewEvent {
            id: uuid::Uuid::from_u128(n),
            kind: "Tested".into(),
            data: vec![b'x'; 3_000].into(),
            metadata: "".into(),
            is_json: true,
        }
    }

    #[test]
    fn an_append_that_panics_stops_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let broken = Arc::new(AtomicBool::new(false));
        let clock = Arc::clone(&broken);
        let vfs = RealVfs::with_clock(move || {
            assert!(!clock.load(Ordering::Relaxed), "the clock is broken");
            RealVfs.now()
        });
        let (store, mut commits, _background) =
            open(Arc::new(vfs), dir.path(), &EmbeddedOptions::default()).unwrap();
        let stream = StreamId::new("order", 1).unwrap();
        let append = |n| Box::pin(store.append(&stream, Expected::Any, vec![event(n)]));
        let mut first = append(0);
        assert!(first.as_mut().now_or_never().is_none());
        assert!(commits.commit());

        // Its caller judges it, since no frame is being made.
        broken.store(true, Ordering::Relaxed);
        catch_unwind(AssertUnwindSafe(|| append(1).now_or_never())).unwrap_err();
        broken.store(false, Ordering::Relaxed);
        let mut later = append(2);
        assert!(later.as_mut().now_or_never().is_none());
        assert!(!commits.commit(), "what it left in the frame must not be written");

        let refused = later.now_or_never().unwrap();
        assert!(matches!(refused, Err(AppendError::Stopped { .. })), "{refused:?}");
        assert!(store.stopped().is_some());
        let read = store.read_all(None, Filter::all()).count().now_or_never();
        assert_eq!((first.now_or_never().unwrap().is_ok(), read), (true, Some(1)));
    }

    #[test]
    fn nothing_happens_until_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { segment_bytes: 4_096, ..EmbeddedOptions::default() };
        let (store, mut commits, mut background) =
            open(Arc::new(RealVfs), dir.path(), &options).unwrap();
        let stream = StreamId::new("order", 1).unwrap();
        for n in 0..3 {
            let mut append = Box::pin(store.append(&stream, Expected::Any, vec![event(n)]));
            assert!(append.as_mut().now_or_never().is_none(), "it waits for its commit");
            assert!(commits.commit());
            append.now_or_never().unwrap().unwrap();
        }

        assert!(background.step().unwrap() && background.step().unwrap(), "two are closed");
        assert!(!background.step().unwrap());
        let read = store.read_all(None, Filter::all()).count().now_or_never();
        assert_eq!(read, Some(3));
        commits.close();
    }
}
