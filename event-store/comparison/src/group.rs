//! Group commit for what has none of its own: one thread writes, and what comes while it does
//! becomes its next group.

use std::mem;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use daybook_event_store::{AppendError, Appended, Expected, NewEvent, StreamId};
use tokio::sync::oneshot;

use crate::engine::Appends;

/// Most bytes of payload in one group, unless one append alone has more; as the engine has it.
const GROUP_BYTES: usize = 8 << 20;
/// Most requests that are waited for; as the engine has it.
const MOST_WANTED: usize = 16;

/// An append that waits for its group.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) stream: StreamId,
    pub(crate) expected: Expected,
    pub(crate) events: Vec<NewEvent>,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Request {
    fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.data.len() + event.metadata.len()).sum()
    }
}

/// Makes groups durable.
pub(crate) trait Commit: Send + 'static {
    /// Makes a group durable with one sync, and answers each request.
    fn commit(&mut self, group: &[Request]) -> anyhow::Result<Vec<Result<Appended, AppendError>>>;
}

/// The writing thread. It ends, and gives its files free, when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    sender: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Group {
    pub(crate) fn start(name: &str, commit: impl Commit) -> anyhow::Result<Self> {
        let (sender, receiver) = channel();
        let thread = thread::Builder::new().name(format!("{name}-writer"));
        let thread = thread.spawn(move || write(&receiver, commit))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.sender = None;
        // A thread that panicked has said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Appends for Group {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { stream: stream.clone(), expected, events, reply };
        let gone = || AppendError::Stopped { reason: "the writer ended".into() };
        self.sender.as_ref().ok_or_else(gone)?.send(request).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Waits for as many requests as the engine would, while a commit takes at most. Unlike the engine it
/// minds no wait in vain: these callers ask again at once.
fn write(requests: &Receiver<Request>, mut commit: impl Commit) {
    let (mut waiting, mut wanted, mut took) = (Vec::new(), 0, Duration::ZERO);
    loop {
        if waiting.is_empty() {
            let Ok(first) = requests.recv() else { return };
            waiting.push(first);
        }
        let until = Instant::now() + took;
        let mut bytes: usize = waiting.iter().map(Request::bytes).sum();
        while bytes < GROUP_BYTES {
            let left = if waiting.len() < wanted { until - Instant::now() } else { Duration::ZERO };
            let Ok(request) = requests.recv_timeout(left) else { break };
            bytes += request.bytes();
            waiting.push(request);
        }
        let (began, group) = (Instant::now(), mem::take(&mut waiting));
        let answers = commit.commit(&group).unwrap_or_else(|error| {
            let stopped = AppendError::Stopped { reason: format!("{error:#}") };
            vec![Err(stopped); group.len()]
        });
        took = began.elapsed();
        waiting.extend(requests.try_iter());
        wanted = ((group.len() + waiting.len()) * 3 / 4).min(MOST_WANTED);
        for (request, answer) in group.into_iter().zip(answers) {
            // The caller may have gone.
            let _ = request.reply.send(answer);
        }
    }
}
