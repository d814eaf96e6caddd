//! Who takes the store's files beside the process that writes them: backups, and those who only
//! look. Where a read lied to them, or the last frame is damaged, the end of the log may pass for an
//! unfinished write.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use daybook_event_store::{
    BackupError, EmbeddedOptions, EmbeddedStore, OpenError, ReadError, Recorded, StoreFolder,
};
use thiserror::Error;

use crate::coverage::Reached;
use crate::disk::{Disk, Faults, Weather};
use crate::engine::DIR;
use crate::invariant::{Check, Invariant, Violation, ensure};
use crate::world::World;
use crate::{frames, readers, recorder};

/// The folder of the backup. Nothing there is damaged at rest.
pub(crate) const BACKUP: &str = "/backup";

/// What came of looking into a folder: its events, and how many there ever were.
type Looked = Result<(Vec<Recorded>, usize), Failed>;

#[derive(Debug, Error)]
enum Failed {
    #[error(transparent)]
    Open(OpenError),
    #[error(transparent)]
    Read(ReadError),
}

impl World {
    /// Takes a backup, or brings it up to date, while others go on. It has what was acknowledged
    /// before it began, and stays when the power fails as soon as it was taken.
    pub(crate) fn back_up(&self) -> Check {
        let certain = self.certain();
        recorder::say(|| "back up".into());
        let disk = self.disk();
        let folder = StoreFolder::with(Arc::new(disk.clone()), DIR);
        let (taken, faults) = self.act(|| folder.backup(BACKUP, &mut |_, _| ()));
        match taken {
            Ok(copied) => {
                recorder::reached(Reached::BackedUp);
                let count = usize::try_from(copied.backup.events).unwrap_or(usize::MAX);
                let certain = if faults.misread() { 0 } else { certain };
                self.alone(|| self.check_backup(&disk, certain, count))
            }
            // It has events of a commit that did not survive.
            Err(BackupError::Foreign { .. }) => {
                recorder::say(|| "the backup is thrown away".into());
                disk.delete_folder(Path::new(BACKUP));
                Ok(())
            }
            Err(error) => {
                recorder::say(|| format!("  failed: {error}"));
                self.may_fail_to_copy(faults, &error)
            }
        }
    }

    fn check_backup(&self, disk: &Disk, certain: usize, count: usize) -> Check {
        let seed = self.random.borrow_mut().u64(..);
        let crashed = disk.crashed(seed);
        crashed.set_weather(Weather::default());
        let (events, head) = look(&crashed, BACKUP)?.map_err(|error| {
            Violation::new(Invariant::D1, format!("a backup cannot be read: {error}"))
        })?;
        ensure(head == count, Invariant::D1, || {
            format!("a backup of {count} events has {head} after a power failure")
        })?;
        self.check_copy(&events, certain, head)
    }

    /// Looks into the store without its lock, while others go on.
    pub(crate) fn look(&self) -> Check {
        let certain = self.certain();
        recorder::say(|| "look".into());
        let disk = self.disk();
        let (looked, faults) = self.act(|| look(&disk, DIR));
        match looked? {
            Ok((events, head)) => {
                recorder::reached(Reached::Looked);
                let certain = if faults.misread() { 0 } else { certain };
                self.check_copy(&events, certain, head)
            }
            Err(error) => {
                recorder::say(|| format!("  failed: {error}"));
                self.may_fail_to_copy(faults, &error)
            }
        }
    }

    /// How many events every copy must have that begins now.
    fn certain(&self) -> usize {
        let settled = self.ledger.borrow().settled();
        frames::excused(&self.disk()).map_or(settled, |kept| settled.min(kept))
    }

    fn check_copy(&self, events: &[Recorded], certain: usize, head: usize) -> Check {
        ensure(head >= certain, Invariant::D1, || {
            format!("a copy has {head} events, and {certain} were acknowledged before it began")
        })?;
        self.ledger.borrow_mut().check_copy(events, head)
    }

    fn may_fail_to_copy(&self, faults: Faults, error: &impl fmt::Display) -> Check {
        let disk = self.disk();
        let may = disk.is_off() || faults.failed() || disk.damaged().is_some();
        ensure(may, Invariant::D6, || format!("a copy failed on a healthy disk: {error}"))
    }
}

/// All that is seen without the lock.
fn look(disk: &Disk, folder: &str) -> Check<Looked> {
    let options = EmbeddedOptions { cache_bytes: 0, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open_read_only_with(Arc::new(disk.clone()), folder, &options);
    let store = match store {
        Ok(store) => store,
        Err(error) => return Ok(Err(Failed::Open(error))),
    };
    let head = usize::try_from(store.stats().events).unwrap_or(usize::MAX);
    let events = readers::all(&store)?;
    Ok(events.map(|events| (events, head)).map_err(Failed::Read))
}
