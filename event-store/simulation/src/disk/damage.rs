//! Damage at rest: what is on the disk is not what was written, and no I/O said so.

use std::path::{Path, PathBuf};

use super::{Disk, SECTOR, State};
use crate::copies::BACKUP;
use crate::coverage::Reached;
use crate::recorder;

/// Bytes of a file that are not what was written.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    inode: usize,
    pub(crate) path: PathBuf,
    pub(crate) offset: usize,
    /// What was written there.
    original: Vec<u8>,
}

impl Damage {
    pub(crate) fn end(&self) -> usize {
        self.offset + self.original.len()
    }
}

impl Disk {
    /// Damages a file somewhere, unless one is damaged: a bit flips, a sector gets the bytes of
    /// another place, or a sector is lost.
    pub(crate) fn damage(&self) {
        let mut state = self.0.lock();
        let files: Vec<_> = state.entries.iter().filter(|(path, _)| is_data(path)).collect();
        let files: Vec<_> = files.into_iter().map(|(path, inode)| (path.clone(), *inode)).collect();
        if state.damage.is_some() || files.is_empty() {
            return;
        }
        let (path, inode) = files[state.random.usize(..files.len())].clone();
        let length = state.inodes[inode].current.len();
        if length == 0 || state.inodes[inode].durable.len() != length {
            return;
        }
        let at = state.random.usize(..length);
        let sector = at / SECTOR * SECTOR..(at / SECTOR * SECTOR + SECTOR).min(length);
        let (what, offset, bytes) = match state.random.u8(..4) {
            0 => {
                let bytes = state.other_bytes(inode, sector.start, sector.len());
                (Reached::Misplaced, sector.start, bytes)
            }
            1 => (Reached::Zeroed, sector.start, vec![0; sector.len()]),
            _ => {
                let bit = 1 << state.random.u8(..8);
                (Reached::Flip, at, vec![state.inodes[inode].current[at] ^ bit])
            }
        };
        let Some((offset, bytes)) = state.changed(inode, offset, &bytes) else { return };
        recorder::reached(what);
        let name = path.display().to_string();
        recorder::note(&[offset as u64, bytes.len() as u64], || {
            format!("{what:?} in {name}: {} bytes at {offset}", bytes.len())
        });
        let original = state.inodes[inode].current[offset..offset + bytes.len()].to_vec();
        state.put(inode, offset, &bytes);
        state.damage = Some(Damage { inode, path, offset, original });
    }

    /// What is damaged now.
    pub(crate) fn damaged(&self) -> Option<Damage> {
        self.0.lock().damage.clone()
    }

    /// Makes the damaged bytes what they were, as a restored backup would.
    pub(crate) fn repair(&self) {
        let mut state = self.0.lock();
        if let Some(Damage { inode, offset, original, .. }) = state.damage.take() {
            state.put(inode, offset, &original);
        }
    }

    /// The last file with an extension as it would be without the damage.
    pub(crate) fn last_undamaged(&self, extension: &str) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.files(extension).pop()?;
        let state = self.0.lock();
        let inode = state.entries[&path];
        let mut bytes = state.inodes[inode].current.clone();
        if let Some(damage) = state.damage.as_ref().filter(|damage| damage.inode == inode) {
            bytes[damage.offset..damage.end()].copy_from_slice(&damage.original);
        }
        Some((path, bytes))
    }
}

impl State {
    /// From the first byte that differs from the file's to the last.
    fn changed(&self, inode: usize, offset: usize, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        let there = &self.inodes[inode].current[offset..offset + bytes.len()];
        let differs = |at: &usize| there[*at] != bytes[*at];
        let first = (0..bytes.len()).find(differs)?;
        let last = (0..bytes.len()).rfind(differs)?;
        Some((offset + first, bytes[first..=last].to_vec()))
    }

    fn put(&mut self, inode: usize, offset: usize, bytes: &[u8]) {
        let inode = &mut self.inodes[inode];
        for image in [&mut inode.current, &mut inode.durable] {
            let end = image.len().min(offset + bytes.len());
            if offset < end {
                image[offset..end].copy_from_slice(&bytes[..end - offset]);
            }
        }
    }

    /// Another place, in this file or another, at the same place within a sector.
    pub(super) fn elsewhere(&mut self, inode: usize, start: usize) -> (usize, usize) {
        let data = self.entries.iter().filter(|(path, _)| is_data(path)).map(|(_, inode)| *inode);
        let inodes: Vec<_> = data.chain([inode]).collect();
        let other = inodes[self.random.usize(..inodes.len())];
        let sectors = self.inodes[other].current.len() / SECTOR + 1;
        (other, self.random.usize(..sectors) * SECTOR + start % SECTOR)
    }

    fn other_bytes(&mut self, inode: usize, start: usize, count: usize) -> Vec<u8> {
        let (inode, start) = self.elsewhere(inode, start);
        let bytes = &self.inodes[inode].current;
        let from = start.min(bytes.len());
        let mut bytes = bytes[from..bytes.len().min(from + count)].to_vec();
        bytes.resize(count, 0);
        bytes
    }

    /// What is written over damage is not damaged any more.
    pub(super) fn forget_damage(&mut self, inode: usize, offset: usize, written: &[u8]) {
        let Some(damage) = self.damage.as_mut().filter(|damage| damage.inode == inode) else {
            return;
        };
        let (from, to) = (offset.max(damage.offset), damage.end().min(offset + written.len()));
        if from < to {
            let bytes = &written[from - offset..to - offset];
            damage.original[from - damage.offset..to - damage.offset].copy_from_slice(bytes);
        }
    }

    /// What is cut off is not damaged any more.
    pub(super) fn cut_damage(&mut self, inode: usize, length: usize) {
        if let Some(damage) = self.damage.as_mut().filter(|damage| damage.inode == inode) {
            damage.original.truncate(length.saturating_sub(damage.offset));
            if damage.original.is_empty() {
                self.damage = None;
            }
        }
    }
}

/// Whether a file of the store holds events or what is made of them.
fn is_data(path: &Path) -> bool {
    !path.starts_with(BACKUP) && path.extension().is_some_and(|extension| extension != "tmp")
}
