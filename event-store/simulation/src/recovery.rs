//! How a run's processes end and begin, and what must be there then.

use std::rc::Rc;
use std::sync::Arc;

use daybook_event_store::{Direction, OpenError, ReadError, Revision};

use crate::coverage::Reached;
use crate::disk::{Damage, Disk, Faults, Weather};
use crate::engine::Engine;
use crate::frames;
use crate::invariant::{Check, Invariant, Violation, ensure};
use crate::model::Wanted;
use crate::readers::{self, Progress, Reader};
use crate::world::World;
use crate::{recorder, workload};

/// So often an opening may fail for what happens to it; then the weather clears.
const STORMY_OPENINGS: u32 = 3;

impl World {
    /// The power has failed: the system comes up again.
    pub(crate) fn lose_power(&self) -> Check {
        recorder::reached(Reached::PowerFailure);
        self.drop_process();
        self.crash_disk();
        self.recover()
    }

    fn crash_disk(&self) {
        let seed = self.random.borrow_mut().u64(..);
        recorder::say(|| "power failure".into());
        self.restart(self.disk().crashed(seed));
    }

    /// The process ends at once, and the system stays.
    pub(crate) fn kill(&self) -> Check {
        recorder::reached(Reached::Kill);
        recorder::say(|| "kill".into());
        self.drop_process();
        self.restart(self.disk().killed());
        self.recover()
    }

    /// Another process begins, on a disk that is as full as it was.
    fn restart(&self, disk: Disk) {
        disk.set_space(self.disk().space());
        self.disk.replace(disk);
    }

    fn drop_process(&self) {
        self.disk().power_off_in(Some(0));
        self.drop_readers();
        self.engine.take();
    }

    /// The process ends as it should.
    pub(crate) fn close(&self) -> Check {
        recorder::reached(Reached::Close);
        recorder::say(|| "close".into());
        // What was asked for is still done.
        if self.engine.borrow().as_ref().is_some_and(|engine| engine.is_waited_for()) {
            self.commit()?;
            self.take_found()?;
        }
        self.drop_readers();
        self.close_engine();
        if self.disk().is_off() { self.lose_power() } else { self.recover() }
    }

    fn close_engine(&self) {
        let engine = self.engine.take().and_then(Rc::into_inner);
        if let Some(engine) = engine {
            self.act(|| engine.close());
        }
    }

    /// Opens the store, whatever happens meanwhile, and checks what is in it.
    pub(crate) fn recover(&self) -> Check {
        self.alone(|| self.recover_alone())
    }

    fn recover_alone(&self) -> Check {
        recorder::reached(Reached::Recovery);
        let kept = self.open()?;
        let disk = self.disk();
        disk.set_weather(Weather::default());
        disk.power_off_in(None);
        let (events, _) = self.act(|| readers::all(&self.engine()?.store));
        match events? {
            Ok(events) => {
                let head = self.engine()?.head();
                self.ledger.borrow_mut().recover(head, &events, kept)?;
            }
            Err(error) => {
                self.may_fail(&error, Faults::default())?;
                return self.restore();
            }
        }
        let settled = self.ledger.borrow().settled();
        self.tails.borrow_mut().iter_mut().for_each(|tail| tail.cut(settled));
        if let Some(error) = self.check_views()? {
            self.may_fail(&error, Faults::default())?;
            return self.restore();
        }
        disk.set_weather(self.plan.weather);
        Ok(())
    }

    fn engine(&self) -> Check<Rc<Engine>> {
        let none = || Violation::new(Invariant::D6, "there is no store");
        self.engine.borrow().clone().ok_or_else(none)
    }

    /// What was damaged is restored, and must then be as it was.
    fn restore(&self) -> Check {
        recorder::say(|| "what is damaged is restored".into());
        self.disk().repair();
        self.drop_readers();
        self.close_engine();
        self.recover_alone()
    }

    /// Opens the store. Where damage may have passed for a torn write: how many events may be
    /// left.
    fn open(&self) -> Check<Option<usize>> {
        let mut kept = None;
        for attempt in 0.. {
            let disk = self.disk();
            disk.set_weather(self.plan.weather);
            if attempt >= STORMY_OPENINGS {
                disk.set_weather(Weather::default());
                disk.set_space(None);
            } else if self.below(6) == 0 {
                disk.power_off_in(Some(self.below(30)));
            }
            // An attempt that fails later may have cut off what is damaged.
            kept = frames::excused(&disk).or(kept);
            recorder::say(|| format!("open, attempt {attempt}"));
            let (opened, faults) = self.act(|| Engine::open(Arc::new(disk.clone()), &self.plan));
            match opened {
                Ok(engine) => {
                    self.engine.replace(Some(Rc::new(engine)));
                    if disk.is_off() {
                        self.crash_in_opening();
                        continue;
                    }
                    return Ok(kept);
                }
                Err(_) if disk.is_off() => self.crash_in_opening(),
                Err(error) => {
                    recorder::note(&[1], || format!("  cannot open: {error}"));
                    self.may_not_open(&error, faults, attempt)?;
                }
            }
        }
        Ok(None)
    }

    /// The power failed while the store was opened, or only the process was killed.
    fn crash_in_opening(&self) {
        recorder::reached(Reached::CrashInOpening);
        self.engine.take();
        if self.below(2) == 0 {
            self.crash_disk();
        } else {
            recorder::say(|| "kill".into());
            self.restart(self.disk().killed());
        }
    }

    /// The store did not open: it may not for a fault, or for damage that it names.
    fn may_not_open(&self, error: &OpenError, faults: Faults, attempt: u32) -> Check {
        let disk = self.disk();
        if attempt <= STORMY_OPENINGS && faults.failed() {
            return Ok(());
        }
        let Some(damage) = disk.damaged() else {
            let what = format!("a healthy store does not open: {error}");
            return Err(Violation::new(Invariant::D1, what));
        };
        recorder::reached(Reached::DamageAtOpening);
        ensure(names(error, &damage), Invariant::D7, || {
            let Damage { path, offset, .. } = &damage;
            format!("{} is damaged at offset {offset}, and opening says: {error}", path.display())
        })?;
        recorder::say(|| "what is damaged is restored".into());
        disk.repair();
        Ok(())
    }

    /// Checks what readers are shown against the model; an error where damage is in the way.
    fn check_views(&self) -> Check<Option<ReadError>> {
        let engine = self.engine()?;
        let ledger = self.ledger.borrow();
        let count = ledger.settled();
        ensure(engine.head() == count, Invariant::D1, || {
            format!("the head is {} and must be {count}", engine.head())
        })?;
        let stats = engine.store.stats();
        ensure(stats.events == count as u64, Invariant::D1, || format!("stats say {stats:?}"))?;
        drop(ledger);
        let streams: Vec<_> = self.ledger.borrow().model.streams().cloned().collect();
        let index = workload::index(&mut self.random.borrow_mut());
        let views = |(from, direction)| {
            let streams = streams.iter().map(move |of| Wanted::Stream(of.clone(), from, direction));
            streams.chain([Wanted::Index(index.clone(), from, direction)])
        };
        let ways = [(Revision::START, Direction::Forward), (Revision::END, Direction::Backward)];
        for wanted in ways.into_iter().flat_map(views) {
            let error = self.read_whole(&engine, wanted)?;
            if error.is_some() {
                return Ok(error);
            }
        }
        Ok(None)
    }

    /// Reads to the end; an error where damage is in the way.
    fn read_whole(&self, engine: &Engine, wanted: Wanted) -> Check<Option<ReadError>> {
        let head = engine.head();
        let mut reader =
            Reader::begin(engine, self.disk(), &self.ledger.borrow().model, wanted, head);
        loop {
            match self.act(|| reader.step(engine, &self.ledger)).0? {
                Progress::More => {}
                Progress::Done => return Ok(None),
                Progress::Failed(error) => return Ok(Some(error)),
            }
        }
    }

    /// The last check: the system comes up once more, with all its space, and is closed.
    pub(crate) fn end(&self) -> Check {
        let disk = self.disk();
        disk.set_space(None);
        disk.power_off_in(Some(0));
        self.lose_power()?;
        self.disk().set_weather(Weather::default());
        self.commit()?;
        self.take_found()?;
        self.close()?;
        self.take_found()?;
        self.drop_readers();
        self.close_engine();
        Ok(())
    }
}

/// Whether an error says which file is damaged, and not past the damage.
fn names(error: &OpenError, damage: &Damage) -> bool {
    match error {
        OpenError::Damaged { segment, offset, .. } => {
            *segment == damage.path && *offset < damage.end() as u64
        }
        _ => false,
    }
}
