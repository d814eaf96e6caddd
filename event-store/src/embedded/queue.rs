use std::mem;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::gather::Gather;
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
    /// How many of them wake the writer, if it waits.
    wanted: usize,
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
    /// What waits, for a frame that has so many bytes: up to a commit's worth.
    fn take(&mut self, mut bytes: usize) -> Vec<Waiting> {
        let least = usize::from(bytes == 0).min(self.waiting.len());
        let fits = |request: &&Waiting| {
            bytes += request.bytes;
            bytes <= COMMIT_BYTES
        };
        let count = self.waiting.iter().take_while(fits).count().max(least);
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
        let is_enough = state.waiting.len() >= state.wanted;
        // The writer must not be woken into the lock: it may be handed over to it, and then nobody has it
        // until the writer runs.
        drop(state);
        if is_enough {
            self.ready.notify_one();
        }
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
            state.wanted = 1;
            self.ready.wait(&mut state);
        }
        Some(state.take(0))
    }

    /// What has come since, for a frame that has so many bytes and lacks so many requests. If nothing
    /// has, it waits for half of these, to be staged while the others come.
    fn take_more(&self, bytes: usize, lacks: usize, until: Instant) -> Vec<Waiting> {
        if lacks == 0 {
            return Vec::new();
        }
        let mut state = self.state.lock();
        if state.waiting.is_empty() && state.stopped.is_none() {
            state.wanted = lacks.div_ceil(2);
            self.ready.wait_until(&mut state, until);
        }
        state.take(bytes)
    }

    /// How many requests wait.
    fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
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
    gather: Gather,
}

impl Committer {
    pub(crate) fn new(queue: Arc<Queue>, writer: Writer) -> Self {
        Self { queue, writer: Some(writer), gather: Gather::default() }
    }

    /// The writer's thread: commits what comes until the store is closed or has to stop.
    pub(crate) fn run(mut self) {
        while let Some(requests) = self.queue.take() {
            if !self.commit(requests, self.gather.wanted()) {
                return;
            }
        }
        self.close();
    }

    /// Commits what waits now; whether the writer goes on.
    #[cfg(feature = "simulation")]
    pub(crate) fn commit_waiting(&mut self) -> bool {
        let requests = self.queue.state.lock().take(0);
        self.commit(requests, 0)
    }

    /// Ends cleanly.
    pub(crate) fn close(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.close();
        }
    }

    /// Commits these requests with those that come meanwhile, and waits a little for as many as are
    /// wanted.
    fn commit(&mut self, mut waiting: Vec<Waiting>, wanted: usize) -> bool {
        let Some(writer) = &mut self.writer else { return false };
        let until = Instant::now() + self.gather.patience();
        let (mut replies, mut results, mut bytes) = (Vec::new(), Vec::new(), 0);
        writer.begin();
        while !waiting.is_empty() {
            for Waiting { request, bytes: more, reply } in waiting {
                results.push(writer.stage(request));
                replies.push(reply);
                bytes += more;
            }
            let lacks = wanted.saturating_sub(replies.len());
            waiting = self.queue.take_more(bytes, lacks, until);
        }
        self.gather.gathered(replies.len());
        let gathered = Instant::now();
        match writer.commit() {
            Ok(()) => {
                let under_way = replies.len() + self.queue.waiting();
                self.gather.durable(under_way, gathered.elapsed());
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

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::{Expected, NewEvent, StreamId, StreamWrite};

    fn append(n: u128, bytes: usize) -> Request {
        let event = NewEvent {
            id: uuid::Uuid::from_u128(n),
            kind: "Queued".into(),
            data: vec![b'x'; bytes].into(),
            metadata: "".into(),
            is_json: false,
        };
        let stream = StreamId::new("order", n).unwrap();
        let write = StreamWrite { stream, expected: Expected::Any, events: vec![event] };
        Request::Append(vec![write].into())
    }

    fn queue(requests: u128, bytes: usize) -> Queue {
        let queue = Queue::default();
        (0..requests).for_each(|n| drop(queue.push(append(n, bytes)).unwrap()));
        queue
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn for_ever() -> Instant {
        now() + Duration::from_hours(1)
    }

    #[test]
    fn takes_what_waits_and_what_comes_while_a_frame_is_made() {
        let queue = queue(3, 10);
        assert_eq!(queue.take().unwrap().len(), 3);
        assert!(queue.take_more(30, 0, for_ever()).is_empty(), "it lacks nothing");
        assert!(queue.take_more(30, 5, now()).is_empty(), "nobody came in time");

        drop(queue.push(append(3, 10)).unwrap());
        assert!(queue.take_more(30, 0, for_ever()).is_empty(), "it lacks nothing");
        assert_eq!(queue.take_more(30, 5, for_ever()).len(), 1, "it is there");
    }

    #[test]
    fn a_commit_is_no_larger_than_one_may_be() {
        let queue = queue(5, COMMIT_BYTES / 2 - 1_000);
        let first = queue.take().unwrap();
        assert_eq!(first.len(), 2);
        let bytes = first.iter().map(|waiting| waiting.bytes).sum();
        assert!(queue.take_more(bytes, 5, for_ever()).is_empty(), "it is full");
        assert_eq!(queue.take_more(bytes / 2, 5, for_ever()).len(), 1);
        assert_eq!(queue.take().unwrap().len(), 2);

        drop(queue.push(append(9, COMMIT_BYTES + 1)).unwrap());
        assert!(queue.take_more(1, 1, for_ever()).is_empty());
        assert_eq!(queue.take().unwrap().len(), 1, "alone it may be");
    }

    #[test]
    fn waits_for_half_of_what_a_frame_lacks() {
        let queue = queue(0, 0);
        thread::scope(|scope| {
            let waits = scope.spawn(|| queue.take_more(0, 5, for_ever()).len());
            while queue.state.lock().wanted == 0 {
                thread::yield_now();
            }
            (0..3).for_each(|n| drop(queue.push(append(n, 10)).unwrap()));
            assert_eq!(waits.join().unwrap(), 3);
        });
    }

    #[test]
    fn a_wait_ends_when_the_store_is_closed() {
        let queue = queue(0, 0);
        thread::scope(|scope| {
            let waits = scope.spawn(|| queue.take_more(0, 5, for_ever()).len());
            queue.stop("it was closed");
            assert_eq!(waits.join().unwrap(), 0);
        });
        assert!(queue.take().is_none());
    }
}
