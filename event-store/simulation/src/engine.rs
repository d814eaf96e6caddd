use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use daybook_event_store::simulation::{self, Background, Commits};
use daybook_event_store::{
    AppendError, Appended, AtomicAppend, EmbeddedOptions, EmbeddedStore, EventStore, OpenError,
    ScavengeOptions, Vfs,
};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::coverage::Reached;
use crate::model::Request;
use crate::plan::Plan;
use crate::recorder;

/// The folder of the store.
pub(crate) const DIR: &str = "/events";

/// An open store without threads. Each part acts by itself, also within an I/O of another.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) store: EmbeddedStore,
    commits: RefCell<Commits>,
    background: RefCell<Background>,
}

/// What each append of a commit was answered.
pub(crate) type Answers = Vec<Result<Vec<Appended>, AppendError>>;

impl Engine {
    pub(crate) fn open(vfs: Arc<dyn Vfs>, plan: &Plan) -> Result<Self, OpenError> {
        let options = EmbeddedOptions {
            segment_bytes: plan.segment_bytes,
            cache_bytes: plan.cache_bytes,
            compress: plan.compress,
            ..EmbeddedOptions::default()
        };
        let (store, commits, background) = simulation::open(vfs, Path::new(DIR), &options)?;
        Ok(Self { store, commits: RefCell::new(commits), background: RefCell::new(background) })
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.commits.try_borrow_mut().is_err()
    }

    pub(crate) fn is_maintaining(&self) -> bool {
        self.background.try_borrow_mut().is_err()
    }

    /// Several writers append at the same time. `None` stands for no answer, which no writer must
    /// be left with.
    pub(crate) fn commit(&self, batch: &[Request]) -> Option<Answers> {
        let mut appends: Vec<_> = batch.iter().map(|request| self.submit(request)).collect();
        let mut answers: Vec<_> =
            appends.iter_mut().map(|append| append.as_mut().now_or_never()).collect();
        if answers.iter().any(Option::is_none) {
            self.commits.borrow_mut().commit();
        }
        for (answer, append) in answers.iter_mut().zip(&mut appends) {
            if answer.is_none() {
                *answer = append.as_mut().now_or_never();
            }
        }
        answers.into_iter().collect()
    }

    fn submit(&self, request: &Request) -> BoxFuture<'static, Result<Vec<Appended>, AppendError>> {
        let (store, one) = (self.store.clone(), |place| vec![place]);
        match request.clone() {
            Request::Append(transaction) => async move { store.commit(transaction).await }.boxed(),
            Request::Delete(stream, expected) => {
                async move { store.delete(&stream, expected).await.map(one) }.boxed()
            }
            Request::Tombstone(stream, expected) => {
                async move { store.tombstone(&stream, expected).await.map(one) }.boxed()
            }
        }
    }

    /// Asks for a scavenge, and perhaps tells the one that runs to stop.
    pub(crate) fn scavenge(&self, least_percent: u8, stop: bool) {
        let options = ScavengeOptions { least_percent, ..ScavengeOptions::default() };
        let scavenge = self.store.scavenge(options);
        if stop {
            scavenge.stop();
        }
    }

    /// One step in the background; whether there was something to do.
    pub(crate) fn maintain(&self) -> bool {
        recorder::reached(Reached::Maintained);
        // What it could not do now it does another time.
        self.background.borrow_mut().step().unwrap_or(false)
    }

    /// The number of events that readers see.
    pub(crate) fn head(&self) -> usize {
        let head = self.store.head().now_or_never().and_then(Result::ok).flatten();
        head.map_or(0, |head| usize::try_from(head.0 + 1).unwrap_or(usize::MAX))
    }

    /// Closes the store, as a process that ends does.
    pub(crate) fn close(self) {
        self.commits.into_inner().close();
        self.store.close();
    }
}
