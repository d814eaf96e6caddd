use std::mem;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::writer::Writer;
use crate::{AppendError, Appended, StreamWrite};

/// Most bytes of events in one commit, unless one append alone has more.
const COMMIT_BYTES: usize = 8 << 20;
/// Most bytes of events that wait for the disk.
const WAITING_BYTES: usize = 256 << 20;

/// The appends that wait for the writer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Request>,
    bytes: usize,
    /// Why nothing is taken any more.
    stopped: Option<String>,
}

#[derive(Debug)]
struct Request {
    writes: Vec<StreamWrite>,
    bytes: usize,
    reply: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
}

impl Queue {
    /// Appends, once the writer comes to it.
    pub(crate) async fn append(
        &self,
        writes: Vec<StreamWrite>,
    ) -> Result<Vec<Appended>, AppendError> {
        let answer = self.push(writes)?;
        let gone = |_| AppendError::Stopped { reason: "the writer ended".into() };
        answer.await.map_err(gone)?
    }

    fn push(
        &self,
        writes: Vec<StreamWrite>,
    ) -> Result<oneshot::Receiver<Result<Vec<Appended>, AppendError>>, AppendError> {
        let events = writes.iter().flat_map(|write| &write.events);
        let bytes = events.map(|event| event.data.len() + event.metadata.len() + 256).sum();
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
        state.waiting.push(Request { writes, bytes, reply });
        self.ready.notify_one();
        Ok(answer)
    }

    /// What waits, up to a commit's worth; waits for something. `None` once all is done and
    /// nothing will come.
    fn take(&self) -> Option<Vec<Request>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.stopped.is_some() {
                return None;
            }
            self.ready.wait(&mut state);
        }
        let mut bytes = 0;
        let fits = |request: &&Request| {
            bytes += request.bytes;
            bytes <= COMMIT_BYTES
        };
        let count = state.waiting.iter().take_while(fits).count().max(1);
        let rest = state.waiting.split_off(count);
        let taken = mem::replace(&mut state.waiting, rest);
        state.bytes -= taken.iter().map(|request| request.bytes).sum::<usize>();
        Some(taken)
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

/// Refuses what waits when the writer ends, however it does.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.refuse_waiting();
    }
}

/// The writer's thread: commits what waits until the store is closed or has to stop.
pub(crate) fn run(queue: Arc<Queue>, mut writer: Writer) {
    let ending = Ending(queue);
    while let Some(requests) = ending.0.take() {
        let (appends, replies): (_, Vec<_>) =
            requests.into_iter().map(|request| (request.writes, request.reply)).unzip();
        match writer.commit(appends) {
            Ok(results) => {
                for (reply, result) in replies.into_iter().zip(results) {
                    let _ = reply.send(result);
                }
            }
            Err(error) => {
                if let AppendError::Stopped { reason } = &error {
                    tracing::error!(reason, "the event store stops writing");
                    ending.0.stop(reason);
                }
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
                if matches!(error, AppendError::Stopped { .. }) {
                    return;
                }
            }
        }
    }
    writer.close();
}
