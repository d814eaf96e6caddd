//! The actors of one run, and who acts when.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use daybook_event_store::{AppendError, Filter, ReadError};
use fastrand::Rng;

use crate::coverage::Reached;
use crate::disk::{Disk, Faults};
use crate::engine::{Answers, Engine};
use crate::invariant::{Check, Invariant, Violation, ensure};
use crate::ledger::{Circumstances, Ledger, unanswered};
use crate::model::{Request, Wanted};
use crate::plan::{Act, Plan};
use crate::readers::{Progress, Reader, Tail};
use crate::workload::{self, Workload};
use crate::{frames, recorder};

/// Most actors within one another's I/O.
const DEEPEST: u32 = 3;
/// Most times that others act within one step: whoever reads everything must come to an end, however
/// much is written meanwhile.
const MOST_NESTED: u32 = 100;
/// Most reads under way at a time.
const MOST_READERS: usize = 4;

/// Everything of a run. Actors borrow what they need for as long as they do no I/O.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: RefCell<Rng>,
    pub(crate) disk: RefCell<Disk>,
    pub(crate) engine: RefCell<Option<Rc<Engine>>>,
    pub(crate) ledger: RefCell<Ledger>,
    workload: RefCell<Workload>,
    readers: RefCell<Vec<Reader>>,
    pub(crate) tails: RefCell<Vec<Tail>>,
    /// The clock when somebody first asked ahead of the next commit.
    asked_at: Cell<Option<i64>>,
    depth: Cell<u32>,
    /// How often others acted within this step.
    nested: Cell<u32>,
    /// What an actor found while it acted within another's I/O.
    found: RefCell<Option<Violation>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let plan = Plan::new(&mut random);
        let clock = random.i64(0..1_000_000);
        let disk = Disk::with_faults(random.u64(..), clock);
        disk.set_weather(plan.weather);
        let tails = vec![Tail::new(Filter::all()), Tail::new(workload::filter(&mut random))];
        Self {
            plan,
            random: RefCell::new(random),
            disk: RefCell::new(disk),
            engine: RefCell::default(),
            ledger: RefCell::default(),
            workload: RefCell::default(),
            readers: RefCell::default(),
            tails: RefCell::new(tails),
            asked_at: Cell::default(),
            depth: Cell::new(0),
            nested: Cell::new(0),
            found: RefCell::default(),
        }
    }

    /// The whole run.
    pub(crate) fn run(&self) -> Check {
        recorder::say(|| format!("{:?}", self.plan));
        self.recover()?;
        for _ in 0..self.plan.steps {
            self.step()?;
            self.take_found()?;
            if self.disk().is_off() {
                self.lose_power()?;
            }
        }
        self.end()
    }

    pub(crate) fn disk(&self) -> Disk {
        self.disk.borrow().clone()
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        self.random.borrow_mut().usize(..bound)
    }

    pub(crate) fn take_found(&self) -> Check {
        self.found.take().map_or(Ok(()), Err)
    }

    /// One step of whoever's turn it is.
    fn step(&self) -> Check {
        self.nested.set(0);
        self.ledger.borrow_mut().model.tick(self.disk().clock());
        let act = self.plan.act(&mut self.random.borrow_mut());
        match act {
            Act::Commit => return self.commit(),
            Act::Maintain => self.maintain(),
            Act::Read => return self.read(),
            Act::Tail => return self.tail(),
            Act::PowerFailure => return self.power_failure(),
            Act::Kill => return self.kill(),
            Act::Close => return self.close(),
            Act::Fill => self.fill(),
            Act::Damage => return self.damage(),
            Act::MoveClock => self.move_clock(),
            Act::Scavenge => self.scavenge(),
            Act::BackUp => return self.back_up(),
            Act::Look => return self.look(),
        }
        Ok(())
    }

    /// Lets another actor act within an I/O, by chance.
    pub(crate) fn interleave(&self) {
        let nesting = self.plan.nesting;
        let (depth, nested) = (self.depth.get(), self.nested.get());
        if nesting == 0 || depth >= DEEPEST || nested >= MOST_NESTED || self.disk().is_off() {
            return;
        }
        let Some(engine) = self.engine.borrow().clone() else { return };
        if self.below(nesting) != 0 {
            return;
        }
        self.nested.set(nested + 1);
        self.depth.set(self.depth.get() + 1);
        recorder::say(|| format!("  within it, at depth {}:", self.depth.get()));
        let done = match self.below(4) {
            0 if !engine.is_committing() => {
                recorder::reached(Reached::NestedCommit);
                self.commit()
            }
            0 => {
                self.ask_ahead(&engine);
                Ok(())
            }
            1 if !engine.is_maintaining() => {
                recorder::reached(Reached::NestedMaintenance);
                self.maintain();
                Ok(())
            }
            2 => {
                recorder::reached(Reached::NestedRead);
                self.tail()
            }
            _ => {
                recorder::reached(Reached::NestedRead);
                self.read()
            }
        };
        recorder::say(|| "  and goes on:".into());
        self.depth.set(self.depth.get() - 1);
        if let Err(violation) = done {
            self.found.borrow_mut().get_or_insert(violation);
        }
    }

    /// Lets nobody else act meanwhile.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let depth = self.depth.replace(DEEPEST);
        let result = work();
        self.depth.set(depth);
        result
    }

    /// Runs an actor, and gives what happened to its I/O.
    pub(crate) fn act<T>(&self, work: impl FnOnce() -> T) -> (T, Faults) {
        let disk = self.disk();
        disk.enter();
        let result = work();
        (result, disk.leave())
    }

    pub(crate) fn commit(&self) -> Check {
        let Some(engine) = self.engine.borrow().clone() else { return Ok(()) };
        let fresh = self.requests();
        let ahead = engine.ahead();
        let asked_at = self.asked_at.take().filter(|_| !ahead.is_empty());
        let batch = [ahead, fresh.clone()].concat();
        recorder::reached(Reached::Commit);
        recorder::say(|| {
            let requests: Vec<_> = batch.iter().map(Request::summary).collect();
            format!("commit {}", requests.join("; "))
        });
        let began = asked_at.unwrap_or_else(|| self.disk().clock());
        let expected = self.ledger.borrow_mut().begin(&batch, began);
        let was_off = self.disk().is_off();
        let (answers, faults) = self.act(|| engine.commit(&fresh));
        let off = self.disk().is_off();
        if off && !was_off {
            recorder::reached(Reached::CrashInCommit);
        }
        let answers = answers.ok_or_else(unanswered)?;
        recorder::note(&[answers.iter().filter(|answer| answer.is_ok()).count() as u64], || {
            format!("  answered {answers:?}")
        });
        end_ahead(&engine, &answers)?;
        let damaged = self.disk().damaged().is_some();
        let around = Circumstances { faults, damaged, off };
        self.ledger.borrow_mut().end(batch, &expected, &answers, around)
    }

    fn requests(&self) -> Vec<Request> {
        let (ledger, mut random) = (self.ledger.borrow(), self.random.borrow_mut());
        self.workload.borrow_mut().batch(&ledger.model, &self.plan, &mut random)
    }

    /// Asks for more while a commit runs.
    fn ask_ahead(&self, engine: &Engine) {
        recorder::reached(Reached::AskedAhead);
        let batch = self.requests();
        recorder::say(|| {
            let requests: Vec<_> = batch.iter().map(Request::summary).collect();
            format!("asked ahead {}", requests.join("; "))
        });
        if self.asked_at.get().is_none() {
            self.asked_at.set(Some(self.disk().clock()));
        }
        engine.ask_ahead(&batch);
    }

    /// Some background steps, until there is nothing to do.
    fn maintain(&self) {
        let steps = if self.depth.get() == 0 { self.below(12) } else { 0 };
        for _ in 0..=steps {
            if !self.maintain_once() {
                return;
            }
        }
    }

    fn maintain_once(&self) -> bool {
        let Some(engine) = self.engine.borrow().clone() else { return false };
        recorder::say(|| "background step".into());
        let was_off = self.disk().is_off();
        let (worked, _) = self.act(|| engine.maintain());
        if self.disk().is_off() && !was_off {
            recorder::reached(Reached::CrashInMaintenance);
        }
        recorder::note(&[worked.into()], || format!("  worked: {worked}"));
        worked
    }

    /// Begins a read, or goes on with one.
    fn read(&self) -> Check {
        let Some(engine) = self.engine.borrow().clone() else { return Ok(()) };
        let waiting = self.readers.borrow().len();
        let old = self.below(MOST_READERS);
        let mut reader = if old < waiting {
            self.readers.borrow_mut().swap_remove(old)
        } else {
            self.begin_read(&engine)?
        };
        for _ in 0..=self.below(12) {
            let (progress, faults) = self.act(|| reader.step(&engine, &self.ledger));
            match progress? {
                Progress::More => {}
                Progress::Done => return Ok(()),
                Progress::Failed(error) => return self.may_fail(&error, faults),
            }
        }
        let mut readers = self.readers.borrow_mut();
        if readers.len() < MOST_READERS {
            readers.push(reader);
        }
        Ok(())
    }

    fn begin_read(&self, engine: &Engine) -> Check<Reader> {
        let head = engine.head();
        let mut ledger = self.ledger.borrow_mut();
        ledger.see(head)?;
        let random = &mut self.random.borrow_mut();
        let wanted = match random.u8(..6) {
            0..3 => {
                recorder::reached(Reached::StreamRead);
                workload::read(&self.plan, random)
            }
            3 => {
                recorder::reached(Reached::IndexRead);
                workload::read_index(random)
            }
            _ => {
                recorder::reached(Reached::AllRead);
                let from = if random.bool() { 0 } else { random.usize(..=head) };
                Wanted::All(from, workload::filter(random))
            }
        };
        recorder::say(|| format!("{wanted:?}"));
        Ok(Reader::begin(engine, self.disk(), &ledger.model, wanted, head))
    }

    fn tail(&self) -> Check {
        let Some(engine) = self.engine.borrow().clone() else { return Ok(()) };
        let tail = self.tails.borrow_mut().pop();
        // It may be at work already, further out.
        let Some(mut tail) = tail else { return Ok(()) };
        recorder::say(|| "tail".into());
        let mut done = Ok(());
        for _ in 0..=self.below(8) {
            let (progress, faults) = self.act(|| tail.step(&engine, &self.ledger));
            done = match progress {
                Ok(Progress::More) => continue,
                Ok(Progress::Done) => Ok(()),
                Ok(Progress::Failed(error)) => self.may_fail(&error, faults),
                Err(violation) => Err(violation),
            };
            break;
        }
        self.tails.borrow_mut().insert(0, tail);
        done
    }

    /// A read failed: it may if it met a fault, or what it wanted is damaged and it says where.
    pub(crate) fn may_fail(&self, error: &ReadError, faults: Faults) -> Check {
        recorder::say(|| format!("  failed: {error}"));
        let disk = self.disk();
        if disk.is_off() || faults.misread() {
            return Ok(());
        }
        let damage = disk.damaged().ok_or_else(|| {
            Violation::new(Invariant::D6, format!("a read failed on a healthy disk: {error}"))
        })?;
        recorder::reached(Reached::DamageAtRead);
        let name = damage.path.file_name().unwrap_or_default().to_string_lossy();
        let told = matches!(error, ReadError::Damaged { place, .. } if place.contains(&*name));
        ensure(told, Invariant::D7, || {
            format!("{name} is damaged at offset {}, and a read says: {error}", damage.offset)
        })
    }

    fn power_failure(&self) -> Check {
        let within = if self.below(3) == 0 { 0 } else { self.below(25) };
        recorder::say(|| format!("the power fails in {within} I/Os"));
        self.disk().power_off_in(Some(within));
        // Most often within the next commit.
        if self.below(4) > 0 { self.commit() } else { Ok(()) }
    }

    fn fill(&self) {
        let disk = self.disk();
        let space = if disk.space().is_some() { None } else { Some(self.below(1_500)) };
        recorder::say(|| format!("space left: {space:?}"));
        disk.set_space(space);
    }

    fn damage(&self) -> Check {
        // Of a commit that may not be there one could not tell what damage did.
        if !self.ledger.borrow().stopped {
            let disk = self.disk();
            disk.damage();
            // What a scavenge dropped by the word of a last frame does not come back with the loss
            // of that frame: the model does not follow it there.
            if self.ledger.borrow().model.is_scavenged() && frames::excused(&disk).is_some() {
                recorder::say(|| "which is taken back".into());
                disk.repair();
            }
        }
        match self.below(3) {
            0 => self.kill(),
            1 => self.close(),
            _ => Ok(()),
        }
    }

    fn move_clock(&self) {
        // By little, or by as much as events may become old.
        let most = if self.below(2) == 0 { 10_000 } else { 4_000_000 };
        let by = self.random.borrow_mut().i64(-most / 2..most);
        recorder::say(|| format!("the clock moves by {by} µs"));
        let disk = self.disk();
        disk.move_clock(by);
        let model = &mut self.ledger.borrow_mut().model;
        model.tick(disk.clock());
        model.settle();
    }

    fn scavenge(&self) {
        let Some(engine) = self.engine.borrow().clone() else { return };
        recorder::reached(Reached::Scavenge);
        let (least_percent, stop) = (if self.below(2) == 0 { 0 } else { 20 }, self.below(8) == 0);
        recorder::say(|| format!("scavenge from {least_percent} % on, stopped: {stop}"));
        self.ledger.borrow_mut().model.scavenge();
        engine.scavenge(least_percent, stop);
    }

    /// Nobody reads any more: the process is gone.
    pub(crate) fn drop_readers(&self) {
        self.readers.borrow_mut().clear();
        self.tails.borrow_mut().iter_mut().for_each(Tail::stop);
    }
}

/// Who asked while a commit ran is answered with it only if it failed, and as those were whose commit it
/// was; of a store that stopped, all are.
fn end_ahead(engine: &Engine, answers: &Answers) -> Check {
    let failed = |answer: &&_| {
        matches!(answer, Err(AppendError::Unavailable { .. } | AppendError::Stopped { .. }))
    };
    let failures: Vec<_> = answers.iter().filter(failed).collect();
    for answer in engine.answered_ahead() {
        recorder::reached(Reached::RefusedAhead);
        ensure(failures.contains(&&answer), Invariant::D6, || {
            format!("an append was answered before its commit: {answer:?}")
        })?;
    }
    let stopped = answers.iter().any(|answer| matches!(answer, Err(AppendError::Stopped { .. })));
    if stopped && engine.is_waited_for() { Err(unanswered()) } else { Ok(()) }
}
