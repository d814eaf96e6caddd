//! The model and what is not decided yet: the commit that runs, and the one that was never
//! answered.

use daybook_event_store::{AppendError, Appended, Recorded};

use crate::coverage::Reached;
use crate::disk::{Fault, Faults};
use crate::engine::Answers;
use crate::invariant::{Check, Invariant, Violation, ensure};
use crate::model::{Answer, Model, Request};
use crate::recorder;

/// What the world knows of the store's contents.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// With the events of the commit that runs, if one does.
    pub(crate) model: Model,
    /// How many of the model's events were acknowledged.
    settled: usize,
    /// Somebody has read events of the commit that runs: they must be durable.
    observed: bool,
    /// The commit that was not answered: it may have taken place or not.
    uncertain: Option<Uncertain>,
    /// The store has stopped.
    pub(crate) stopped: bool,
    /// The last commit was refused since the disk was full.
    refused: bool,
}

#[derive(Debug)]
struct Uncertain {
    batch: Vec<Request>,
    /// Somebody has read it, so it must be there.
    observed: bool,
    /// A read failed while it was judged: some of its appends may have been refused.
    misread: bool,
}

/// What happened around a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    pub(crate) faults: Faults,
    /// Something on the disk is damaged.
    pub(crate) damaged: bool,
    /// The power failed.
    pub(crate) off: bool,
}

impl Circumstances {
    fn may_misread(self) -> bool {
        self.damaged || self.off || self.faults.misread()
    }
}

impl Ledger {
    pub(crate) fn settled(&self) -> usize {
        self.settled
    }

    /// A commit begins: from now on its events may be read, once they are durable.
    pub(crate) fn begin(&mut self, batch: &[Request], clock: i64) -> Vec<Answer> {
        self.model.begin(clock);
        let judge = |request| {
            let answer = self.model.judge(request);
            self.model.apply(&answer);
            answer
        };
        batch.iter().map(judge).collect()
    }

    /// How many events a reader may see that finds so many.
    pub(crate) fn see(&mut self, head: usize) -> Check {
        self.observed |= head > self.settled;
        ensure(head == self.settled || head == self.model.len(), Invariant::D2, || {
            format!("readers see {head} events, and {} were acknowledged", self.settled)
        })
    }

    /// Checks an event that was read.
    pub(crate) fn check(&mut self, read: &Recorded) -> Check {
        self.observed |= read.position.0 >= self.settled as u64;
        self.model.check(read)
    }

    /// A commit was answered.
    pub(crate) fn end(
        &mut self,
        batch: Vec<Request>,
        expected: &[Answer],
        answers: &Answers,
        around: Circumstances,
    ) -> Check {
        let stopped = |answer: &&_| matches!(answer, Err(AppendError::Stopped { .. }));
        let count = answers.iter().filter(stopped).count();
        ensure(count == 0 || count == answers.len(), Invariant::D6, || {
            "a store stopped for some appends of a commit, and not for others".into()
        })?;
        if count > 0 {
            return self.end_stopped(batch, answers, around);
        }
        ensure(!self.stopped, Invariant::D6, || "a stopped store answered".into())?;
        let full = around.faults.any(&[Fault::Full]);
        let unavailable = |answer: &_| matches!(answer, Err(AppendError::Unavailable { .. }));
        if full && answers.iter().all(unavailable) {
            recorder::reached(Reached::Refused);
            self.refused = true;
            return self.take_back(Invariant::D2);
        }
        ensure(!around.faults.any(&[Fault::SyncError]), Invariant::D6, || {
            format!("a commit was answered after a sync failed: {answers:?}")
        })?;
        self.settle(&batch, expected, answers, around)
    }

    /// The store says that it stopped, and that it does not know what became of the commit.
    fn end_stopped(
        &mut self,
        batch: Vec<Request>,
        answers: &Answers,
        around: Circumstances,
    ) -> Check {
        use Fault::{ReadError, SyncError, WriteError};
        let reason = around.off || around.faults.any(&[WriteError, SyncError, ReadError]);
        ensure(self.stopped || reason, Invariant::D6, || {
            format!("the store stopped without a reason: {answers:?}")
        })?;
        if !self.stopped {
            recorder::reached(Reached::Stopped);
            self.stopped = true;
            let (observed, misread) = (self.observed, around.may_misread());
            if self.model.len() > self.settled || misread {
                self.uncertain = Some(Uncertain { batch, observed, misread });
            }
        }
        self.observed = false;
        self.model.cut(self.settled);
        Ok(())
    }

    /// Each append got an answer of its own.
    fn settle(
        &mut self,
        batch: &[Request],
        expected: &[Answer],
        answers: &Answers,
        around: Circumstances,
    ) -> Check {
        if !expected.iter().zip(answers).all(|(expected, answer)| expected.is(answer)) {
            self.model.cut(self.settled);
            for (request, answer) in batch.iter().zip(answers) {
                self.settle_one(request, answer, around)?;
            }
        }
        for (answer, expected) in answers.iter().zip(expected) {
            reach(answer, expected);
        }
        if self.refused && self.model.len() > self.settled {
            self.refused = false;
            recorder::reached(Reached::Healed);
        }
        self.settled = self.model.len();
        self.observed = false;
        self.model.settle();
        Ok(())
    }

    fn settle_one(
        &mut self,
        request: &Request,
        answer: &Result<Vec<Appended>, AppendError>,
        around: Circumstances,
    ) -> Check {
        let expected = self.model.judge(request);
        if matches!(answer, Err(AppendError::Unavailable { .. })) {
            recorder::reached(Reached::DamageAtCommit);
            return ensure(around.may_misread(), Invariant::D6, || {
                format!("a healthy store refused an append: {answer:?}")
            });
        }
        ensure(expected.is(answer), expected.invariant(), || {
            format!("{} was answered {answer:?}, not {expected:?}", request.summary())
        })?;
        self.model.apply(&expected);
        Ok(())
    }

    /// The commit that runs did not take place.
    fn take_back(&mut self, invariant: Invariant) -> Check {
        self.model.cut(self.settled);
        ensure(!self.observed, invariant, || {
            "events were read of a commit that was then refused".into()
        })
    }

    /// The store was opened again: it holds so many events, of which these can be read; `kept`
    /// where damage excuses it from holding more than so many.
    pub(crate) fn recover(
        &mut self,
        head: usize,
        events: &[Recorded],
        kept: Option<usize>,
    ) -> Check {
        self.stopped = false;
        self.model.reopened();
        let uncertain = self.uncertain.take();
        if head < self.settled {
            let broken = if kept.is_some() { Invariant::D7 } else { Invariant::D1 };
            ensure(kept == Some(head), broken, || {
                format!("{head} events are there, and {} must be", self.settled)
            })?;
            recorder::reached(Reached::TailCut);
            self.model.cut(head);
        } else if let Some(uncertain) = uncertain {
            let from = events.partition_point(|event| event.position.0 < self.settled as u64);
            self.recover_uncertain(uncertain, &events[from..])?;
        }
        self.settled = self.model.len();
        ensure(head == self.settled, Invariant::D2, || {
            format!("{head} events are there, and {} were submitted", self.settled)
        })?;
        self.model.settle();
        self.check_all(events)
    }

    /// Checks all events that can be read.
    fn check_all(&mut self, events: &[Recorded]) -> Check {
        self.check_events(events, self.settled)
    }

    /// Checks what somebody took from the files. After the last event of the model there may be
    /// those of a commit that was never answered.
    pub(crate) fn check_copy(&mut self, events: &[Recorded], count: usize) -> Check {
        let known = if self.uncertain.is_some() { count.min(self.model.len()) } else { count };
        let end = events.partition_point(|event| event.position.0 < known as u64);
        self.check_events(&events[..end], known)
    }

    /// Checks all events of so many that can be read, and that the others may have been dropped.
    fn check_events(&mut self, events: &[Recorded], count: usize) -> Check {
        let mut read = events.iter().peekable();
        for at in 0..count {
            match read.next_if(|event| event.position.0 == at as u64) {
                Some(event) => self.model.check(event)?,
                None => ensure(self.model.may_be_dropped(at), Invariant::D1, || {
                    format!("position {at} is not there")
                })?,
            }
        }
        let stray = read.next().map(|event| event.position);
        ensure(stray.is_none(), Invariant::D3, || format!("position {stray:?} is out of order"))
    }

    /// Takes the requests of an unanswered commit in if they are there, all or none.
    fn recover_uncertain(&mut self, uncertain: Uncertain, survivors: &[Recorded]) -> Check {
        let Uncertain { batch, observed, misread } = uncertain;
        if survivors.is_empty() {
            recorder::reached(Reached::Vanished);
            return ensure(!observed, Invariant::D1, || "events that were read are gone".into());
        }
        recorder::reached(Reached::Survived);
        let whole = if misread {
            self.take_in(&batch, survivors)
        } else {
            for request in batch {
                let answer = self.model.judge(&request);
                self.model.apply(&answer);
            }
            self.model.len() - self.settled == survivors.len()
        };
        ensure(whole, Invariant::D2, || {
            format!("{} events of an unanswered commit are there, not all or none", survivors.len())
        })
    }

    /// Takes those of these requests in whose events are there; whether these are all events. A request
    /// may have been refused whose events are there all the same, as part of a later one.
    fn take_in(&mut self, batch: &[Request], survivors: &[Recorded]) -> bool {
        let before = self.model.len();
        let Some((request, rest)) = batch.split_first() else {
            return before - self.settled == survivors.len();
        };
        let answer = self.model.judge(request);
        let next = survivors.get(before - self.settled);
        if next.is_some_and(|event| answer.begins_with(event)) {
            self.model.apply(&answer);
            if self.take_in(rest, survivors) {
                return true;
            }
            self.model.cut(before);
        }
        self.take_in(rest, survivors)
    }
}

fn reach(answer: &Result<Vec<Appended>, AppendError>, expected: &Answer) {
    recorder::reached(match (answer, expected) {
        (Ok(_), Answer::Repeated(_)) => Reached::Repeated,
        (Ok(places), _) if places.len() > 1 => Reached::SeveralStreams,
        (Ok(_), _) => Reached::Acknowledged,
        (Err(_), Answer::Conflict(..)) => Reached::Conflict,
        (Err(_), Answer::IdReused) => Reached::IdReused,
        (Err(_), Answer::Deleted(_)) => Reached::Ended,
        _ => return,
    });
}

/// No answer at all.
pub(crate) fn unanswered() -> Violation {
    Violation::new(Invariant::D6, "an append was left without an answer")
}
