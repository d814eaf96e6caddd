use std::sync::Arc;
use std::time::Instant;

use parking_lot::MutexGuard;

use super::gather::Gather;
use super::queue::{Queue, Staged, Staging};
use super::writer::Writer;
use crate::AppendError;
use crate::planted::{self, Bug};

/// The writer with its queue: commits what waits, and refuses it once the writer has ended,
/// however it did.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Arc<Queue>,
    writer: Option<Writer>,
    gather: Gather,
}

impl Committer {
    pub(crate) fn new(queue: Arc<Queue>, writer: Writer) -> Self {
        Self { queue, writer: Some(writer), gather: Gather::default() }
    }

    /// The writer's thread: commits what comes until the store is closed or has to stop.
    pub(crate) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        {
            let mut staging = queue.staging.lock();
            while staging.count() > 0 || queue.wait() {
                if !self.commit(&mut staging, self.gather.wanted()) {
                    return;
                }
            }
        }
        self.close();
    }

    /// Commits what waits now; whether the writer goes on.
    #[cfg(feature = "simulation")]
    pub(crate) fn commit_waiting(&mut self) -> bool {
        let queue = Arc::clone(&self.queue);
        let goes_on = self.commit(&mut queue.staging.lock(), 0);
        if !goes_on {
            queue.refuse_waiting();
        }
        goes_on
    }

    /// Ends cleanly.
    pub(crate) fn close(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.close();
        }
    }

    /// Commits what is staged with what waits and what comes meanwhile, and waits a little for as many
    /// requests as are wanted. What comes later can be staged while the frame is written.
    fn commit(&mut self, staging: &mut MutexGuard<'_, Staging>, wanted: usize) -> bool {
        let Some(writer) = &mut self.writer else { return false };
        if staging.is_torn() {
            self.stop("an append panicked while it was judged");
            return false;
        }
        let until = Instant::now() + self.gather.patience();
        let mut waiting = self.queue.take(staging.bytes());
        loop {
            for request in waiting {
                staging.stage(request);
            }
            let lacks = wanted.saturating_sub(staging.count());
            waiting = self.queue.take_more(staging.bytes(), lacks, until);
            if waiting.is_empty() {
                break;
            }
        }
        self.gather.gathered(staging.count());
        let gathered = Instant::now();
        let (frame, staged) = staging.take();
        match MutexGuard::unlocked(staging, || writer.commit(frame)) {
            Ok(()) => {
                staging.stager.landed();
                let under_way = staged.len() + staging.count() + self.queue.waiting();
                self.gather.durable(under_way, gathered.elapsed());
                staged.into_iter().for_each(Staged::answer);
            }
            Err(error) => {
                let behind = if planted::is(Bug::BehindKept) {
                    Vec::new()
                } else {
                    staging.undo(writer.head())
                };
                if let AppendError::Stopped { reason } = &error
                    && !planted::is(Bug::StopNotSticky)
                {
                    self.stop(reason);
                }
                staged.into_iter().chain(behind).for_each(|staged| staged.refuse(error.clone()));
            }
        }
        self.writer.is_some()
    }

    fn stop(&mut self, reason: &str) {
        tracing::error!(reason, "the event store stops writing");
        self.queue.stop(reason);
        self.writer = None;
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.refuse_waiting();
    }
}
