use std::time::Duration;

use tokio::time::Instant;

/// Stops asking a provider that is not there: a state machine without I/O or clock.
///
/// Closed: everybody may ask. After `threshold` consecutive failures it opens: nobody may for a
/// cooldown. Then it is half-open: one probe may ask, and its outcome closes or reopens the
/// breaker. A probe that is never heard of again is given up after another cooldown.
#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
    cooldown: Duration,
    state: State,
    /// Counts the changes of state, so that outcomes of requests begun before one are ignored.
    generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { until: Instant },
}

/// Leave to ask the provider once; the outcome is to be reported with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permit {
    generation: u64,
}

impl Breaker {
    pub(super) fn new(threshold: u32, cooldown: Duration) -> Self {
        Self { threshold, cooldown, state: State::Closed { failures: 0 }, generation: 0 }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Leave to ask now; otherwise how long nobody may.
    pub(super) fn permit(&mut self, now: Instant) -> Result<Permit, Duration> {
        match self.state {
            State::Closed { .. } => {}
            State::Open { until } | State::HalfOpen { until } if now < until => {
                return Err(until - now);
            }
            State::Open { .. } | State::HalfOpen { .. } => {
                self.enter(State::HalfOpen { until: now + self.cooldown });
            }
        }
        Ok(Permit { generation: self.generation })
    }

    /// Learns whether what was permitted got an answer from the provider. Says whether that
    /// opened the breaker.
    pub(super) fn report(&mut self, permit: Permit, answered: bool, now: Instant) -> bool {
        if permit.generation != self.generation {
            return false;
        }
        match self.state {
            State::Closed { .. } if answered => self.state = State::Closed { failures: 0 },
            State::Closed { failures } if failures + 1 < self.threshold => {
                self.state = State::Closed { failures: failures + 1 };
            }
            _ if answered => self.enter(State::Closed { failures: 0 }),
            _ => self.enter(State::Open { until: now + self.cooldown }),
        }
        matches!(self.state, State::Open { .. })
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const COOLDOWN: Duration = Duration::from_mins(1);

    fn fail(breaker: &mut Breaker, times: u32) {
        for _ in 0..times {
            let permit = breaker.permit(Instant::now()).unwrap();
            breaker.report(permit, false, Instant::now());
        }
    }

    #[track_caller]
    fn opened() -> Breaker {
        let mut breaker = Breaker::new(5, COOLDOWN);
        fail(&mut breaker, 5);
        assert_eq!(breaker.permit(Instant::now()), Err(COOLDOWN));
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_five_consecutive_failures_only() {
        let mut breaker = Breaker::new(5, COOLDOWN);
        fail(&mut breaker, 4);
        let permit = breaker.permit(Instant::now()).unwrap();
        breaker.report(permit, true, Instant::now());
        fail(&mut breaker, 4);
        assert!(breaker.permit(Instant::now()).is_ok());
        fail(&mut breaker, 1);
        assert_eq!(breaker.permit(Instant::now()), Err(COOLDOWN));
    }

    #[tokio::test(start_paused = true)]
    async fn stays_open_for_the_whole_cooldown() {
        let mut breaker = opened();
        advance(Duration::from_millis(59_999)).await;
        assert_eq!(breaker.permit(Instant::now()), Err(Duration::from_millis(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_when_half_open() {
        let mut breaker = opened();
        advance(COOLDOWN).await;
        assert!(breaker.permit(Instant::now()).is_ok());
        assert_eq!(breaker.permit(Instant::now()), Err(COOLDOWN));
    }

    #[tokio::test(start_paused = true)]
    async fn closes_when_the_probe_is_answered() {
        let mut breaker = opened();
        advance(COOLDOWN).await;
        let probe = breaker.permit(Instant::now()).unwrap();
        breaker.report(probe, true, Instant::now());
        assert_eq!(breaker.state(), State::Closed { failures: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn opens_again_when_the_probe_fails() {
        let mut breaker = opened();
        advance(COOLDOWN).await;
        fail(&mut breaker, 1);
        assert_eq!(breaker.permit(Instant::now()), Err(COOLDOWN));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_a_vanished_probe_up_after_another_cooldown() {
        let mut breaker = opened();
        advance(COOLDOWN).await;
        let vanished = breaker.permit(Instant::now()).unwrap();
        advance(COOLDOWN).await;
        assert_ne!(breaker.permit(Instant::now()).unwrap(), vanished);
    }

    #[tokio::test(start_paused = true)]
    async fn ignores_outcomes_of_requests_begun_before_it_opened() {
        let mut breaker = Breaker::new(5, COOLDOWN);
        let slow = breaker.permit(Instant::now()).unwrap();
        fail(&mut breaker, 5);
        advance(COOLDOWN).await;
        breaker.permit(Instant::now()).unwrap();
        breaker.report(slow, true, Instant::now());
        assert!(breaker.permit(Instant::now()).is_err());
    }
}
