//! A disk in memory that forgets what was not synced, and that tears, flips, refuses and lies.

mod damage;
mod files;
mod inode;
mod lie;
mod weather;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use crate::coverage::Reached;
use crate::recorder;
use inode::Inode;

pub use lie::{Lie, tell};

pub(crate) use damage::Damage;
use inode::SECTOR;
pub(crate) use weather::{Fault, Faults, Weather};

/// The disk, and the running system's view of it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Clone)]
struct State {
    inodes: Vec<Inode>,
    entries: BTreeMap<PathBuf, usize>,
    /// The entries that a power failure leaves for certain.
    durable_entries: BTreeMap<PathBuf, usize>,
    /// What has changed since, in order. `None` is a removed entry.
    unsynced_entries: Vec<(PathBuf, Option<usize>)>,
    locks: Vec<PathBuf>,
    clock: i64,
    /// How many writes, syncs and changes of folders there were.
    changes: usize,
    off: bool,
    power_off_at: Option<usize>,
    /// As `power_off_at`, in any I/Os from now.
    power_off_in: Option<usize>,
    failing_sync: Option<usize>,
    /// Bytes that still can be written.
    space: Option<usize>,
    weather: Weather,
    random: Rng,
    damage: Option<Damage>,
    /// The faults of each actor that is within an I/O, the innermost last.
    actors: Vec<Faults>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            inodes: Vec::new(),
            entries: BTreeMap::new(),
            durable_entries: BTreeMap::new(),
            unsynced_entries: Vec::new(),
            locks: Vec::new(),
            clock: 0,
            changes: 0,
            off: false,
            power_off_at: None,
            power_off_in: None,
            failing_sync: None,
            space: None,
            weather: Weather::default(),
            random: Rng::with_seed(0),
            damage: None,
            actors: Vec::new(),
        }
    }
}

/// What a test does to the disk by hand.
impl Disk {
    /// The disk after a power failure now: what was synced is there, and of the rest any part.
    #[must_use]
    pub fn crashed(&self, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let state = self.0.lock();
        let mut entries = state.durable_entries.clone();
        for (path, inode) in &state.unsynced_entries {
            if random.bool() {
                recorder::reached(Reached::EntryLost);
                continue;
            }
            match inode {
                Some(inode) => entries.insert(path.clone(), *inode),
                None => entries.remove(path),
            };
        }
        let crash = |inode: &Inode| {
            let (inode, torn) = inode.crashed(&mut random);
            if torn {
                recorder::reached(Reached::Torn);
            }
            inode
        };
        let inodes = state.inodes.iter().map(crash).collect();
        Self::of(State { inodes, entries, ..state.restarted() })
    }

    /// The disk after the process was killed now: the system goes on with what it has in memory.
    #[must_use]
    pub fn killed(&self) -> Self {
        let state = self.0.lock();
        let restarted = State {
            inodes: state.inodes.clone(),
            entries: state.entries.clone(),
            ..state.restarted()
        };
        let (durable_entries, unsynced_entries) =
            (state.durable_entries.clone(), state.unsynced_entries.clone());
        Self(Arc::new(Mutex::new(State { durable_entries, unsynced_entries, ..restarted })))
    }

    /// A disk of its own with the same contents, all of it durable, and nobody's lock.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut state = self.0.lock().clone();
        state.locks.clear();
        state.unsynced_entries.clear();
        for inode in &mut state.inodes {
            *inode = Inode::durable(std::mem::take(&mut inode.current));
        }
        Self::of(state)
    }

    fn of(mut state: State) -> Self {
        state.durable_entries = state.entries.clone();
        Self(Arc::new(Mutex::new(state)))
    }

    /// From this change on nothing works; changes count from 0.
    pub fn power_off_at(&self, change: usize) {
        self.0.lock().power_off_at = Some(change);
    }

    /// How many writes, syncs and changes of folders there were.
    pub fn changes(&self) -> usize {
        self.0.lock().changes
    }

    /// The sync after so many others fails, and what it should have made durable is gone although
    /// it still can be read.
    pub fn fail_sync_after(&self, others: usize) {
        self.0.lock().failing_sync = Some(others);
    }

    /// How many bytes can still be written.
    pub fn set_space(&self, bytes: Option<usize>) {
        self.0.lock().space = bytes;
    }

    /// Sets the clock, in microseconds.
    pub fn set_clock(&self, clock: i64) {
        self.0.lock().clock = clock;
    }

    /// The names of the files with an extension, in order.
    pub fn files(&self, extension: &str) -> Vec<PathBuf> {
        let state = self.0.lock();
        let with = |path: &&PathBuf| path.extension().is_some_and(|e| e == extension);
        state.entries.keys().filter(with).cloned().collect()
    }

    /// Whether there is a file.
    pub fn exists(&self, path: &Path) -> bool {
        self.0.lock().entries.contains_key(path)
    }

    /// A file's bytes, as the running system sees them.
    ///
    /// # Panics
    /// There is no such file.
    pub fn contents(&self, path: &Path) -> Vec<u8> {
        let state = self.0.lock();
        state.inodes[state.entries[path]].current.clone()
    }

    /// Makes a file with these bytes, durably, whatever was there.
    pub fn overwrite(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        let at = state.inodes.len();
        state.inodes.push(Inode::durable(bytes));
        state.entries.insert(path.to_owned(), at);
        state.durable_entries.insert(path.to_owned(), at);
    }

    /// Changes the bytes of a file, durably, also for whoever has it open.
    ///
    /// # Panics
    /// There is no such file.
    pub fn spoil(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        let at = state.entries[path];
        state.inodes[at] = Inode::durable(bytes);
    }

    /// Removes a file, durably.
    pub fn delete(&self, path: &Path) {
        let mut state = self.0.lock();
        state.entries.remove(path);
        state.durable_entries.remove(path);
    }
}

/// What a simulation does to the disk by chance.
impl Disk {
    /// A disk whose faults come from a seed.
    pub(crate) fn with_faults(seed: u64, clock: i64) -> Self {
        let random = Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(State { clock, random, ..State::default() })))
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.0.lock().weather = weather;
    }

    /// The power fails at the I/O after so many others; `None` takes it back.
    pub(crate) fn power_off_in(&self, others: Option<usize>) {
        self.0.lock().power_off_in = others;
    }

    pub(crate) fn is_off(&self) -> bool {
        self.0.lock().off
    }

    pub(crate) fn space(&self) -> Option<usize> {
        self.0.lock().space
    }

    /// Removes all files of a folder, durably.
    pub(crate) fn delete_folder(&self, folder: &Path) {
        let mut state = self.0.lock();
        let State { entries, durable_entries, unsynced_entries, .. } = &mut *state;
        entries.retain(|path, _| !path.starts_with(folder));
        durable_entries.retain(|path, _| !path.starts_with(folder));
        unsynced_entries.retain(|(path, _)| !path.starts_with(folder));
    }

    /// What the clock says.
    pub(crate) fn clock(&self) -> i64 {
        self.0.lock().clock
    }

    /// Moves the clock, forwards or back.
    pub(crate) fn move_clock(&self, by: i64) {
        self.0.lock().clock += by;
    }

    /// From now until [`leave`](Self::leave) faults are another actor's.
    pub(crate) fn enter(&self) {
        self.0.lock().actors.push(Faults::default());
    }

    /// The faults since [`enter`](Self::enter), without those of actors in between.
    pub(crate) fn leave(&self) -> Faults {
        self.0.lock().actors.pop().unwrap_or_default()
    }
}

impl State {
    /// What a restart does not touch.
    fn restarted(&self) -> Self {
        Self {
            clock: self.clock,
            weather: self.weather,
            random: self.random.clone(),
            damage: self.damage.clone(),
            ..Self::default()
        }
    }

    /// Begins an I/O; an error once the power is off.
    fn begin(&mut self) -> io::Result<()> {
        match &mut self.power_off_in {
            Some(0) => self.off = true,
            Some(others) => *others -= 1,
            None => {}
        }
        if self.off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Begins an I/O that changes something.
    fn change(&mut self) -> io::Result<()> {
        self.begin()?;
        if self.power_off_at.is_some_and(|at| self.changes >= at) {
            self.off = true;
            return self.begin();
        }
        self.changes += 1;
        Ok(())
    }

    /// Whether this fault happens now.
    fn happens(&mut self, fault: Fault) -> bool {
        let once_in = self.weather.once_in(fault);
        let happens = once_in != 0
            && !(fault == Fault::Misdirected && self.has_lied())
            && self.random.u32(..once_in) == 0;
        if happens {
            self.happened(fault);
        }
        happens
    }

    /// Whether the disk gives something else than what is there already: no engine can tell two
    /// lies that agree from the truth.
    fn has_lied(&self) -> bool {
        self.damage.is_some() || self.actors.iter().any(|actor| actor.any(&[Fault::Misdirected]))
    }

    fn happened(&mut self, fault: Fault) {
        recorder::say(|| format!("    {fault:?}:"));
        recorder::reached(match fault {
            Fault::ShortRead => Reached::ShortRead,
            Fault::ShortWrite => Reached::ShortWrite,
            Fault::Interrupt => Reached::Interrupt,
            Fault::ReadError => Reached::ReadError,
            Fault::WriteError => Reached::WriteError,
            Fault::SyncError => Reached::SyncError,
            Fault::Misdirected => Reached::Misdirected,
            Fault::Full => Reached::Full,
        });
        if let Some(actor) = self.actors.last_mut() {
            actor.add(fault);
        }
    }

    /// An error where this fault happens now.
    fn may_fail(&mut self, fault: Fault) -> io::Result<()> {
        if self.happens(fault) { Err(io::Error::other("the device failed")) } else { Ok(()) }
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.entries.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
