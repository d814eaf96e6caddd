use std::fmt;
use std::time::Duration;

use eventstore::{Client, ClientSettings, Error};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::failure::Failure;

/// The first pause before another attempt; each is twice as long as the last …
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A server that has to search for what is asked for may take so many times as long to answer.
const SEARCH: u32 = 10;

/// One connection through the official client. That client is of no more use once it could not
/// connect, and stays with a node of a cluster that is gone: after a failure, another is made.
pub(super) struct Connection {
    settings: ClientSettings,
    patience: Duration,
    answer: Duration,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    client: Option<Client>,
    /// How many clients were given up before.
    generation: u64,
}

impl Connection {
    pub(super) fn new(settings: ClientSettings, patience: Duration, answer: Duration) -> Self {
        Self { settings, patience, answer, current: Mutex::default() }
    }

    /// Another connection to the same store.
    pub(super) fn another(&self) -> Self {
        Self::new(self.settings.clone(), self.patience, self.answer)
    }

    /// Calls once.
    pub(super) async fn once<T, F>(&self, call: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.within(self.answer, call).await
    }

    /// Calls once, and takes the call for lost after so long: the client forgets one now and then
    /// that it had begun when its connection was closed.
    async fn within<T, F>(
        &self,
        most: Duration,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (client, generation) = self.client()?;
        answer(most, Box::pin(call(client))).await.map_err(|error| {
            let failure = Failure::from(error);
            // After the answer of a follower the client itself goes to the leader.
            if matches!(failure, Failure::Unsent(_) | Failure::Lost(_)) {
                self.give_up(generation);
            }
            failure
        })
    }

    /// Calls again until there is an answer, for a while. For calls that change nothing.
    pub(super) async fn repeat<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.repeat_within(self.answer, call).await
    }

    /// The same, for calls that make the server search.
    pub(super) async fn search<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.repeat_within(self.answer.saturating_mul(SEARCH), call).await
    }

    async fn repeat_within<T, F>(
        &self,
        most: Duration,
        call: impl Fn(Client) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut attempts = self.attempts();
        loop {
            match self.within(most, &call).await {
                Err(failure) if failure.may_pass() => {
                    if !attempts.again(&failure).await {
                        return Err(failure);
                    }
                }
                answer => return answer,
            }
        }
    }

    /// Attempts at something, of which there are only so many.
    pub(super) fn attempts(&self) -> Attempts {
        Attempts { since: Instant::now(), patience: self.patience, pause: FIRST_PAUSE }
    }

    /// How long a call may take.
    pub(super) fn answer(&self) -> Duration {
        self.answer
    }

    fn client(&self) -> Result<(Client, u64), Failure> {
        let mut current = self.current.lock();
        let client = if let Some(client) = current.client.take() {
            client
        } else {
            let made = Client::new(self.settings.clone());
            made.map_err(|error| Failure::Refused(format!("{error:#}")))?
        };
        current.client = Some(client.clone());
        Ok((client, current.generation))
    }

    fn give_up(&self, generation: u64) {
        let mut current = self.current.lock();
        if current.generation == generation {
            *current = Current { client: None, generation: generation + 1 };
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.settings.hosts().iter().map(|at| format!("{}:{}", at.host, at.port));
        f.write_str(&hosts.collect::<Vec<_>>().join(","))
    }
}

/// What is answered within a time.
pub(super) async fn answer<T>(
    most: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(most, call).await.unwrap_or(Err(Error::DeadlineExceeded))
}

/// Tries something again, later and later, until patience runs out.
#[derive(Debug)]
pub(super) struct Attempts {
    since: Instant,
    patience: Duration,
    pause: Duration,
}

impl Attempts {
    /// Waits for the next attempt; `false` where there is none.
    pub(super) async fn again(&mut self, failure: &Failure) -> bool {
        if self.since.elapsed() + self.pause > self.patience {
            return false;
        }
        tracing::debug!(?failure, pause = ?self.pause, "the event store does not answer");
        tokio::time::sleep(self.pause).await;
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        true
    }

    /// Begins anew, after a success.
    pub(super) fn succeeded(&mut self) {
        (self.since, self.pause) = (Instant::now(), FIRST_PAUSE);
    }
}
