//! The model and what is not decided yet: the commit that runs, and the one that was never
//! answered.

use daybook_event_store::{AppendError, Recorded, StreamWrite};

use crate::coverage::Reached;
use crate::disk::{Fault, Faults};
use crate::engine::Answers;
use crate::invariant::{Check, Invariant, Violation, ensure};
use crate::model::{Answer, Model};
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
    batch: Vec<Vec<StreamWrite>>,
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
    pub(crate) fn begin(&mut self, batch: &[Vec<StreamWrite>]) -> Vec<Answer> {
        let mut judge = |writes: &Vec<StreamWrite>| {
            let answer = self.model.judge(writes);
            if matches!(answer, Answer::Fresh(_)) {
                self.model.apply(writes);
            }
            answer
        };
        batch.iter().map(&mut judge).collect()
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
        batch: Vec<Vec<StreamWrite>>,
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
        batch: Vec<Vec<StreamWrite>>,
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
        batch: &[Vec<StreamWrite>],
        expected: &[Answer],
        answers: &Answers,
        around: Circumstances,
    ) -> Check {
        if !expected.iter().zip(answers).all(|(expected, answer)| expected.is(answer)) {
            self.model.cut(self.settled);
            for (writes, answer) in batch.iter().zip(answers) {
                self.settle_one(writes, answer, around)?;
            }
        }
        for (writes, answer) in batch.iter().zip(answers) {
            reach(writes, answer, expected);
        }
        if self.refused && self.model.len() > self.settled {
            self.refused = false;
            recorder::reached(Reached::Healed);
        }
        self.settled = self.model.len();
        self.observed = false;
        Ok(())
    }

    fn settle_one(
        &mut self,
        writes: &[StreamWrite],
        answer: &Result<Vec<daybook_event_store::Appended>, AppendError>,
        around: Circumstances,
    ) -> Check {
        let expected = self.model.judge(writes);
        if matches!(answer, Err(AppendError::Unavailable { .. })) {
            recorder::reached(Reached::DamageAtCommit);
            return ensure(around.may_misread(), Invariant::D6, || {
                format!("a healthy store refused an append: {answer:?}")
            });
        }
        ensure(expected.is(answer), expected.invariant(), || {
            format!("an append was answered {answer:?}, not {expected:?}: {}", summary(writes))
        })?;
        if matches!(expected, Answer::Fresh(_)) {
            self.model.apply(writes);
        }
        Ok(())
    }

    /// The commit that runs did not take place.
    fn take_back(&mut self, invariant: Invariant) -> Check {
        self.model.cut(self.settled);
        ensure(!self.observed, invariant, || {
            "events were read of a commit that was then refused".into()
        })
    }

    /// The store was opened again and holds these events; `kept` where damage excuses it from
    /// holding more than so many.
    pub(crate) fn recover(&mut self, events: &[Recorded], kept: Option<usize>) -> Check {
        self.stopped = false;
        let uncertain = self.uncertain.take();
        if events.len() < self.settled {
            let broken = if kept.is_some() { Invariant::D7 } else { Invariant::D1 };
            ensure(kept == Some(events.len()), broken, || {
                format!("{} events are there, and {} must be", events.len(), self.settled)
            })?;
            recorder::reached(Reached::TailCut);
            self.model.cut(events.len());
        } else if let Some(uncertain) = uncertain {
            self.recover_uncertain(uncertain, &events[self.settled..])?;
        }
        self.settled = self.model.len();
        ensure(events.len() == self.settled, Invariant::D2, || {
            format!("{} events are there, and {} were submitted", events.len(), self.settled)
        })?;
        for (event, at) in events.iter().zip(0..) {
            ensure(event.position.0 == at, Invariant::D3, || {
                format!("position {} comes where {at} must", event.position)
            })?;
            self.model.check(event)?;
        }
        Ok(())
    }

    /// Takes the appends of an unanswered commit in if they are there, all or none.
    fn recover_uncertain(&mut self, uncertain: Uncertain, survivors: &[Recorded]) -> Check {
        let Uncertain { batch, observed, misread } = uncertain;
        if survivors.is_empty() {
            recorder::reached(Reached::Vanished);
            return ensure(!observed, Invariant::D1, || "events that were read are gone".into());
        }
        recorder::reached(Reached::Survived);
        for writes in batch {
            if !matches!(self.model.judge(&writes), Answer::Fresh(_)) {
                continue;
            }
            let from = self.model.len() - self.settled;
            let first = survivors.get(from).map(|event| event.id);
            if misread && first != Some(writes[0].events[0].id) {
                continue;
            }
            self.model.apply(&writes);
        }
        ensure(self.model.len() - self.settled == survivors.len(), Invariant::D2, || {
            let whole = self.model.len() - self.settled;
            format!("{} events of an unanswered commit of {whole} are there", survivors.len())
        })
    }
}

fn reach(
    writes: &[StreamWrite],
    answer: &Result<Vec<daybook_event_store::Appended>, AppendError>,
    expected: &[Answer],
) {
    match answer {
        Ok(answer) => {
            let repeated = |e: &Answer| matches!(e, Answer::Repeated(known) if known == answer);
            let repeated = expected.iter().any(repeated);
            recorder::reached(if repeated { Reached::Repeated } else { Reached::Acknowledged });
            if writes.len() > 1 {
                recorder::reached(Reached::SeveralStreams);
            }
        }
        Err(AppendError::Conflict { .. }) => recorder::reached(Reached::Conflict),
        Err(AppendError::IdReused { .. }) => recorder::reached(Reached::IdReused),
        Err(_) => {}
    }
}

fn summary(writes: &[StreamWrite]) -> String {
    let write = |write: &StreamWrite| {
        let ids: Vec<_> = write.events.iter().map(|event| event.id.as_u64_pair().1).collect();
        format!("{} {:?} {ids:?}", write.stream, write.expected)
    };
    writes.iter().map(write).collect::<Vec<_>>().join(", ")
}

/// No answer at all.
pub(crate) fn unanswered() -> Violation {
    Violation::new(Invariant::D6, "an append was left without an answer")
}
