use std::mem;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::writer::Writer;
use crate::admission::Request;
use crate::planted::{self, Bug};
use crate::{AppendError, Appended};

/// Most bytes of events in one commit, unless one append alone has more.
const COMMIT_BYTES: usize = 8 << 20;
/// Most bytes of events that wait for the disk.
const WAITING_BYTES: usize = 256 << 20;

/// The requests that wait for the writer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    bytes: usize,
    /// Why nothing is taken any more.
    stopped: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    bytes: usize,
    reply: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
}

impl State {
    /// What waits, up to a commit's worth.
    fn take(&mut self) -> Vec<Waiting> {
        let mut bytes = 0;
        let fits = |request: &&Waiting| {
            bytes += request.bytes;
            bytes <= COMMIT_BYTES
        };
        let count = self.waiting.iter().take_while(fits).count().max(1).min(self.waiting.len());
        let rest = self.waiting.split_off(count);
        let taken = mem::replace(&mut self.waiting, rest);
        self.bytes -= taken.iter().map(|request| request.bytes).sum::<usize>();
        taken
    }
}

impl Queue {
    /// Has a request done, once the writer comes to it.
    pub(crate) async fn submit(&self, request: Request) -> Result<Vec<Appended>, AppendError> {
        let answer = self.push(request)?;
        let gone = |_| AppendError::Stopped { reason: "the writer ended".into() };
        answer.await.map_err(gone)?
    }

    fn push(
        &self,
        request: Request,
    ) -> Result<oneshot::Receiver<Result<Vec<Appended>, AppendError>>, AppendError> {
        let bytes = request.bytes();
        let (reply, answer) = oneshot::channel();
        let mut state = self.state.lock();
        if let Some(reason) = state.stopped.clone() {
            return Err(AppendError::Stopped { reason });
        }
        if state.bytes + bytes > WAITING_BYTES {
            let reason = "too much is waiting to be written; try again later".into();
            return Err(AppendError::Unavailable { reason });
        }
        state.bytes += bytes;
        state.waiting.push(Waiting { request, bytes, reply });
        self.ready.notify_one();
        Ok(answer)
    }

    /// What waits, up to a commit's worth; waits for something. `None` once all is done and
    /// nothing will come.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.stopped.is_some() {
                return None;
            }
            self.ready.wait(&mut state);
        }
        Some(state.take())
    }

    /// Takes nothing any more; what waits is still done.
    pub(crate) fn stop(&self, reason: &str) {
        self.state.lock().stopped.get_or_insert_with(|| reason.into());
        self.ready.notify_all();
    }

    /// Why nothing is taken any more.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.state.lock().stopped.clone()
    }

    /// Answers what waits, after the writer has ended.
    fn refuse_waiting(&self) {
        let mut state = self.state.lock();
        let reason = state.stopped.get_or_insert_with(|| "the writer failed".into()).clone();
        for request in state.waiting.drain(..) {
            // The caller may have gone.
            let _ = request.reply.send(Err(AppendError::Stopped { reason: reason.clone() }));
        }
    }
}

/// The writer with its queue: commits what waits, and refuses it once the writer has ended,
/// however it did.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Arc<Queue>,
    writer: Option<Writer>,
}

impl Committer {
    pub(crate) fn new(queue: Arc<Queue>, writer: Writer) -> Self {
        Self { queue, writer: Some(writer) }
    }

    /// The writer's thread: commits what comes until the store is closed or has to stop.
    pub(crate) fn run(mut self) {
        while let Some(requests) = self.queue.take() {
            if !self.commit(requests) {
                return;
            }
        }
        self.close();
    }

    /// Commits what waits now; whether the writer goes on.
    #[cfg(feature = "simulation")]
    pub(crate) fn commit_waiting(&mut self) -> bool {
        let requests = self.queue.state.lock().take();
        self.commit(requests)
    }

    /// Ends cleanly.
    pub(crate) fn close(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.close();
        }
    }

    fn commit(&mut self, waiting: Vec<Waiting>) -> bool {
        let Some(writer) = &mut self.writer else { return false };
        let (requests, replies): (_, Vec<_>) =
            waiting.into_iter().map(|waiting| (waiting.request, waiting.reply)).unzip();
        match writer.commit(requests) {
            Ok(results) => {
                for (reply, result) in replies.into_iter().zip(results) {
                    // The caller may have gone.
                    let _ = reply.send(result);
                }
            }
            Err(error) => {
                if let AppendError::Stopped { reason } = &error
                    && !planted::is(Bug::StopNotSticky)
                {
                    tracing::error!(reason, "the event store stops writing");
                    self.queue.stop(reason);
                    self.writer = None;
                }
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
        self.writer.is_some()
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.refuse_waiting();
    }
}
