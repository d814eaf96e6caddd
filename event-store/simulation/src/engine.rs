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
pub(crate) struct Engine {
    pub(crate) store: EmbeddedStore,
    commits: RefCell<Commits>,
    background: RefCell<Background>,
    /// What was asked for while a commit ran, for the next one.
    ahead: RefCell<Vec<Asked>>,
}

/// What an append was answered.
type Answered = Result<Vec<Appended>, AppendError>;

/// What each append of a commit was answered.
pub(crate) type Answers = Vec<Answered>;

/// An append that somebody waits for.
struct Asked {
    request: Request,
    append: BoxFuture<'static, Answered>,
    answer: Option<Answered>,
}

impl Asked {
    fn look(&mut self) {
        if self.answer.is_none() {
            self.answer = self.append.as_mut().now_or_never();
        }
    }
}

impl Engine {
    pub(crate) fn open(vfs: Arc<dyn Vfs>, plan: &Plan) -> Result<Self, OpenError> {
        let options = EmbeddedOptions {
            segment_bytes: plan.segment_bytes,
            cache_bytes: plan.cache_bytes,
            compress: plan.compress,
            ..EmbeddedOptions::default()
        };
        let (store, commits, background) = simulation::open(vfs, Path::new(DIR), &options)?;
        let (commits, background) = (RefCell::new(commits), RefCell::new(background));
        Ok(Self { store, commits, background, ahead: RefCell::default() })
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.commits.try_borrow_mut().is_err()
    }

    pub(crate) fn is_maintaining(&self) -> bool {
        self.background.try_borrow_mut().is_err()
    }

    /// Several writers append at the same time, after those who [asked ahead](Self::ask_ahead). `None`
    /// stands for no answer, which no writer must be left with.
    pub(crate) fn commit(&self, batch: &[Request]) -> Option<Answers> {
        let mut asked = self.ahead.take();
        asked.extend(batch.iter().map(|request| self.ask(request)));
        if asked.iter().any(|asked| asked.answer.is_none()) {
            self.commits.borrow_mut().commit();
        }
        asked.iter_mut().for_each(Asked::look);
        asked.into_iter().map(|asked| asked.answer).collect()
    }

    /// Writers append while a commit runs.
    pub(crate) fn ask_ahead(&self, batch: &[Request]) {
        let asked = batch.iter().map(|request| self.ask(request));
        self.ahead.borrow_mut().extend(asked);
    }

    /// What was asked for ahead of the next commit.
    pub(crate) fn ahead(&self) -> Vec<Request> {
        self.ahead.borrow().iter().map(|asked| asked.request.clone()).collect()
    }

    /// What those who asked ahead are answered at the end of the commit that ran meanwhile: that it took
    /// them with it. The others go on waiting.
    pub(crate) fn answered_ahead(&self) -> Answers {
        let mut answers = Vec::new();
        self.ahead.borrow_mut().retain_mut(|asked| {
            let waited = asked.answer.is_none();
            asked.look();
            let answered = asked.answer.take_if(|_| waited);
            let stays = answered.is_none();
            answers.extend(answered);
            stays
        });
        answers
    }

    /// Whether anybody waits for an answer.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.ahead.borrow().iter().any(|asked| asked.answer.is_none())
    }

    fn ask(&self, request: &Request) -> Asked {
        let append = self.submit(request);
        let mut asked = Asked { request: request.clone(), append, answer: None };
        asked.look();
        asked
    }

    fn submit(&self, request: &Request) -> BoxFuture<'static, Answered> {
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
