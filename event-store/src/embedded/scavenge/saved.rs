//! The file `SCAVENGE`: how far a scavenge has come, for the next opening to go on.

use std::io;
use std::num::NonZeroU64;

use crc32c::crc32c;

use super::ScavengeOptions;
use crate::embedded::bytes::{array, size, u32_at, u64_at};
use crate::embedded::layout::{self, SCAVENGE_FILE};
use crate::embedded::open::Folder;
use crate::embedded::vfs::OpenMode;

const MAGIC: &[u8; 8] = b"DAYBOOKG";
const LENGTH: usize = 72;

/// What must be known for a scavenge to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) options: ScavengeOptions,
    /// When it began: what was live then stays, also where it goes on later.
    pub(super) began: i64,
    /// The position after the last segment to look at.
    pub(super) until: u64,
    /// The position from which on segments are still to be looked at.
    pub(super) next: u64,
    pub(super) dropped: u64,
    pub(super) reclaimed: u64,
}

impl Saved {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &[0; 8]].concat();
        let numbers = [
            self.began.cast_unsigned(),
            self.until,
            self.next,
            self.dropped,
            self.reclaimed,
            self.options.bytes_per_second.get(),
            self.options.least_percent.into(),
        ];
        bytes.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        let crc = crc32c(&bytes[16..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != LENGTH || bytes[..8] != *MAGIC || u32_at(bytes, 8) != crc32c(&bytes[16..])
        {
            return None;
        }
        let [least_percent, ..] = array::<8>(bytes, 64);
        Some(Self {
            options: ScavengeOptions {
                bytes_per_second: NonZeroU64::new(u64_at(bytes, 56))?,
                least_percent,
            },
            began: u64_at(bytes, 16).cast_signed(),
            until: u64_at(bytes, 24),
            next: u64_at(bytes, 32),
            dropped: u64_at(bytes, 40),
            reclaimed: u64_at(bytes, 48),
        })
    }

    /// The scavenge that is to go on in a folder. One whose file is damaged does not.
    pub(super) fn load(folder: &Folder) -> io::Result<Option<Self>> {
        let file = match folder.vfs.open(&folder.dir.join(SCAVENGE_FILE), OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = size(file.length()?).min(LENGTH + 1);
        let saved = Self::decode(&file.read_vec_at(length, 0)?);
        if saved.is_none() {
            tracing::warn!(
                "the file {SCAVENGE_FILE} is damaged: the scavenge that it is of does not go on"
            );
        }
        Ok(saved)
    }

    pub(super) fn store(&self, folder: &Folder) -> io::Result<()> {
        let replace = || layout::replace(&*folder.vfs, &folder.dir, SCAVENGE_FILE, &self.encode());
        folder.alone(replace).map(drop)
    }

    /// Forgets the scavenge.
    pub(super) fn remove(folder: &Folder) -> io::Result<()> {
        folder.alone(|| match folder.vfs.remove(&folder.dir.join(SCAVENGE_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| folder.vfs.sync_dir(&folder.dir)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_not() {
        let options = ScavengeOptions { least_percent: 7, ..ScavengeOptions::default() };
        let saved =
            Saved { options, began: -5, until: 9, next: 3, dropped: 2, reclaimed: u64::MAX };

        let bytes = saved.encode();

        assert_eq!(Saved::decode(&bytes), Some(saved));
        assert_eq!(Saved::decode(&bytes[..LENGTH - 1]), None);
        for bit in (0..bytes.len() * 8).filter(|bit| !(96..128).contains(bit)) {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Saved::decode(&bytes), None, "bit {bit}");
        }
    }
}
