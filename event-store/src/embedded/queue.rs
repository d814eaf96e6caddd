use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::stager::{Frame, Stager};
use crate::admission::Request;
use crate::{AppendError, Appended};

/// Most bytes of events in one commit, unless one append alone has more.
const COMMIT_BYTES: usize = 8 << 20;
/// Most bytes of events that wait for the disk.
const WAITING_BYTES: usize = 256 << 20;
/// Most bytes of events that somebody else than the writer stages at a time: they keep a thread of an
/// async runtime for a tenth of a millisecond.
const SMALL_BYTES: usize = 128 << 10;

/// The requests that wait for the writer, and the frame that comes next. While the writer writes one,
/// whoever brings a request stages what waits for the next.
#[derive(Debug)]
pub(crate) struct Queue {
    /// The writer has it, except while it is busy with a frame. Who has the state must not wait for
    /// it.
    pub(crate) staging: Mutex<Staging>,
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// How many of them wake the writer, if it waits.
    wanted: usize,
    /// Why nothing is taken any more.
    stopped: Option<String>,
}

/// What a request is answered.
pub(crate) type Answer = Result<Vec<Appended>, AppendError>;

#[derive(Debug)]
pub(crate) struct Waiting {
    request: Request,
    bytes: usize,
    reply: oneshot::Sender<Answer>,
}

/// A request that was judged: its answer, once the frame is durable.
#[derive(Debug)]
pub(crate) struct Staged {
    answer: Answer,
    reply: oneshot::Sender<Answer>,
}

impl Staged {
    /// Gives the answer. The caller may have gone.
    pub(crate) fn answer(self) {
        let _ = self.reply.send(self.answer);
    }

    pub(crate) fn refuse(self, error: AppendError) {
        let _ = self.reply.send(Err(error));
    }
}

/// The next frame, with the requests whose events it has.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) stager: Stager,
    staged: Vec<Staged>,
    bytes: usize,
    /// The request that has waited longest is the writer's to stage.
    blocked: bool,
    /// Somebody is staging, or panicked there: then the frame may have a part of an append.
    torn: bool,
}

impl Staging {
    /// How many requests are staged.
    pub(crate) fn count(&self) -> usize {
        self.staged.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the frame must not be written.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Stages a request, after all those before it.
    pub(crate) fn stage(&mut self, waiting: Waiting) {
        let Waiting { request, bytes, reply } = waiting;
        let answer = self.stager.stage(request);
        self.staged.push(Staged { answer, reply });
        self.bytes += bytes;
    }

    /// Stages a request if that can be done at once; gives it back if not.
    fn stage_at_once(&mut self, mut waiting: Waiting) -> Option<Waiting> {
        self.torn = true;
        let answer = self.stager.stage_at_once(&mut waiting.request);
        self.torn = false;
        let Some(answer) = answer else { return Some(waiting) };
        self.staged.push(Staged { answer, reply: waiting.reply });
        self.bytes += waiting.bytes;
        None
    }

    /// The frame, for the writer, with its requests. What can be staged after it is.
    pub(crate) fn take(&mut self) -> (Frame, Vec<Staged>) {
        (self.bytes, self.blocked) = (0, false);
        (self.stager.take(), mem::take(&mut self.staged))
    }

    /// The frame that was taken is not in the log. The requests that were judged as if it were.
    pub(crate) fn undo(&mut self, head: u64) -> Vec<Staged> {
        self.stager.undo(head);
        self.bytes = 0;
        mem::take(&mut self.staged)
    }
}

impl State {
    /// What waits, for a frame that has so many bytes: up to a commit's worth.
    fn take(&mut self, mut bytes: usize) -> VecDeque<Waiting> {
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
    pub(crate) fn new(stager: Stager) -> Self {
        let staging = Staging { stager, staged: Vec::new(), bytes: 0, blocked: false, torn: false };
        let (state, ready) = (Mutex::default(), Condvar::new());
        Self { state, staging: Mutex::new(staging), ready }
    }

    /// Has a request done, once the writer comes to it.
    pub(crate) async fn submit(&self, request: Request) -> Answer {
        let answer = self.push(request)?;
        let gone = |_| AppendError::Stopped { reason: "the writer ended".into() };
        answer.await.map_err(gone)?
    }

    fn push(&self, request: Request) -> Result<oneshot::Receiver<Answer>, AppendError> {
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
        state.waiting.push_back(Waiting { request, bytes, reply });
        let is_enough = state.waiting.len() >= state.wanted;
        // The writer must not be woken into the lock: it may be handed over to it, and then nobody has it
        // until the writer runs.
        drop(state);
        if is_enough {
            self.ready.notify_one();
        }
        self.stage_at_once();
        Ok(answer)
    }

    /// Stages what waits, in its order, as far as that can be done at once and nobody else does it.
    fn stage_at_once(&self) {
        let Some(mut staging) = self.staging.try_lock() else { return };
        let mut room = SMALL_BYTES.min(COMMIT_BYTES.saturating_sub(staging.bytes));
        while !staging.blocked && !staging.torn {
            let mut state = self.state.lock();
            let Some(next) = state.waiting.pop_front_if(|next| next.bytes <= room) else { return };
            state.bytes -= next.bytes;
            drop(state);
            room -= next.bytes;
            if let Some(unstaged) = staging.stage_at_once(next) {
                staging.blocked = true;
                let mut state = self.state.lock();
                state.bytes += unstaged.bytes;
                state.waiting.push_front(unstaged);
            }
        }
    }

    /// Waits until something waits. `false` once all is done and nothing will come.
    pub(crate) fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.stopped.is_some() {
                return false;
            }
            state.wanted = 1;
            self.ready.wait(&mut state);
        }
        true
    }

    /// What waits, for a frame that has so many bytes.
    pub(crate) fn take(&self, bytes: usize) -> VecDeque<Waiting> {
        self.state.lock().take(bytes)
    }

    /// What has come since, for a frame that has so many bytes and lacks so many requests. If nothing
    /// has, it waits for half of these, to be staged while the others come.
    pub(crate) fn take_more(
        &self,
        bytes: usize,
        lacks: usize,
        until: Instant,
    ) -> VecDeque<Waiting> {
        if lacks == 0 {
            return VecDeque::new();
        }
        let mut state = self.state.lock();
        if state.waiting.is_empty() && state.stopped.is_none() {
            state.wanted = lacks.div_ceil(2);
            self.ready.wait_until(&mut state, until);
        }
        state.take(bytes)
    }

    /// How many requests wait and are not staged.
    pub(crate) fn waiting(&self) -> usize {
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
    pub(crate) fn refuse_waiting(&self) {
        let mut staging = self.staging.lock();
        let mut state = self.state.lock();
        let reason = state.stopped.get_or_insert_with(|| "the writer failed".into()).clone();
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        let staged = mem::take(&mut staging.staged);
        let replies = staged.into_iter().map(|staged| staged.reply);
        for reply in replies.chain(waiting.into_iter().map(|waiting| waiting.reply)) {
            // The caller may have gone.
            let _ = reply.send(Err(AppendError::Stopped { reason: reason.clone() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::embedded::cache::Cache;
    use crate::embedded::log::Log;
    use crate::embedded::maintenance::Bell;
    use crate::embedded::open::Folder;
    use crate::embedded::vfs::RealVfs;
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

    /// A queue before which the writer is not busy, and the folder of its store.
    fn queue() -> (Queue, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(Arc::new(RealVfs), dir.path().to_owned(), Cache::new(1 << 20));
        let log = Log::new(folder.open().unwrap(), &folder, Arc::new(Bell::new()));
        (Queue::new(Stager::new(Arc::new(log), Arc::new(RealVfs), 0)), dir)
    }

    fn push(queue: &Queue, ids: Range<u128>, bytes: usize) {
        ids.for_each(|n| drop(queue.push(append(n, bytes)).unwrap()));
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn for_ever() -> Instant {
        now() + Duration::from_hours(1)
    }

    #[test]
    fn takes_what_waits_and_what_comes_while_a_frame_is_made() {
        let (queue, _dir) = queue();
        let _writer = queue.staging.lock();
        push(&queue, 0..3, 10);
        assert!(queue.wait());
        assert_eq!(queue.take(0).len(), 3);
        assert!(queue.take_more(30, 0, for_ever()).is_empty(), "it lacks nothing");
        assert!(queue.take_more(30, 5, now()).is_empty(), "nobody came in time");

        push(&queue, 3..4, 10);
        assert!(queue.take_more(30, 0, for_ever()).is_empty(), "it lacks nothing");
        assert_eq!(queue.take_more(30, 5, for_ever()).len(), 1, "it is there");
    }

    #[test]
    fn a_commit_is_no_larger_than_one_may_be() {
        let (queue, _dir) = queue();
        let _writer = queue.staging.lock();
        push(&queue, 0..5, COMMIT_BYTES / 2 - 1_000);
        let first = queue.take(0);
        assert_eq!(first.len(), 2);
        let bytes = first.iter().map(|waiting| waiting.bytes).sum();
        assert!(queue.take_more(bytes, 5, for_ever()).is_empty(), "it is full");
        assert_eq!(queue.take_more(bytes / 2, 5, for_ever()).len(), 1);
        assert_eq!(queue.take(0).len(), 2);

        push(&queue, 9..10, COMMIT_BYTES + 1);
        assert!(queue.take_more(1, 1, for_ever()).is_empty());
        assert_eq!(queue.take(0).len(), 1, "alone it may be");
    }

    #[test]
    fn waits_for_half_of_what_a_frame_lacks() {
        let (queue, _dir) = queue();
        let _writer = queue.staging.lock();
        thread::scope(|scope| {
            let waits = scope.spawn(|| queue.take_more(0, 5, for_ever()).len());
            while queue.state.lock().wanted == 0 {
                thread::yield_now();
            }
            push(&queue, 0..3, 10);
            assert_eq!(waits.join().unwrap(), 3);
        });
    }

    #[test]
    fn a_wait_ends_when_the_store_is_closed() {
        let (queue, _dir) = queue();
        let _writer = queue.staging.lock();
        thread::scope(|scope| {
            let waits = scope.spawn(|| queue.take_more(0, 5, for_ever()).len());
            queue.stop("it was closed");
            assert_eq!(waits.join().unwrap(), 0);
        });
        assert!(!queue.wait());
    }

    #[test]
    fn whoever_comes_stages_while_the_writer_is_busy() {
        let (queue, _dir) = queue();
        let writer = queue.staging.lock();
        push(&queue, 0..2, 10);
        drop(writer);
        push(&queue, 2..3, 10);
        assert_eq!((queue.staging.lock().count(), queue.waiting()), (3, 0), "in their order");

        push(&queue, 3..4, SMALL_BYTES);
        push(&queue, 4..5, 10);
        let mut staging = queue.staging.lock();
        assert_eq!((staging.count(), queue.waiting()), (3, 2), "a large one is the writer's");
        assert_eq!(staging.take().1.len(), 3);
        queue.take(0).into_iter().for_each(|waiting| staging.stage(waiting));
        assert_eq!((staging.count(), queue.waiting()), (2, 0));
        // Their streams are in flight, so what comes for them is not judged yet, nor what comes later.
        staging.take();
        drop(staging);
        push(&queue, 4..6, 10);
        assert_eq!((queue.staging.lock().count(), queue.waiting()), (0, 2));
    }

    #[test]
    fn what_is_staged_for_a_frame_is_no_more_than_one_may_have() {
        let (queue, _dir) = queue();
        push(&queue, 0..100, SMALL_BYTES - 1_000);
        let (staged, waiting) = (queue.staging.lock().count(), queue.waiting());
        assert_eq!((staged, waiting), (COMMIT_BYTES / (SMALL_BYTES - 744), 100 - staged));
    }

    #[test]
    fn who_waits_is_refused_once_the_writer_has_ended() {
        let (queue, _dir) = queue();
        let staged = queue.push(append(0, 10)).unwrap();
        let waiting = queue.push(append(1, SMALL_BYTES)).unwrap();
        queue.refuse_waiting();
        for answer in [staged, waiting] {
            let answer = answer.blocking_recv().unwrap();
            assert!(matches!(answer, Err(AppendError::Stopped { .. })), "{answer:?}");
        }
        assert!(matches!(queue.push(append(2, 10)), Err(AppendError::Stopped { .. })));
    }
}
