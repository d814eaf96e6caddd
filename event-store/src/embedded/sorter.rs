use std::fs::File;
use std::io::{self, Read, Seek, Write};

use super::bytes::{mix, size, u64_at};

/// So many entries are kept in memory, and go to files together.
const IN_MEMORY: usize = 1 << 20;
/// Entries are sorted in so many parts, one after another.
const PARTS: usize = 64;

/// Sorts more entries than fit into memory: those with the same first number come out together.
/// Entries go to unnamed files in the folder for temporary files. What is in memory is a
/// 64th of them, and a million.
#[derive(Debug)]
pub(crate) struct Sorter<const N: usize> {
    entries: Vec<[u64; N]>,
    files: Vec<File>,
}

impl<const N: usize> Sorter<N> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), files: Vec::new() }
    }

    pub(crate) fn push(&mut self, entry: [u64; N]) -> io::Result<()> {
        self.entries.push(entry);
        if self.entries.len() >= IN_MEMORY { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        while self.files.len() < PARTS {
            self.files.push(tempfile::tempfile()?);
        }
        self.entries.sort_unstable_by_key(part);
        for entries in self.entries.chunk_by(|a, b| part(a) == part(b)) {
            let bytes: Vec<_> = entries.iter().flatten().flat_map(|n| n.to_le_bytes()).collect();
            self.files[part(&entries[0])].write_all(&bytes)?;
        }
        self.entries.clear();
        Ok(())
    }

    /// Visits all entries in sorted stretches: entries with the same first number are in one.
    pub(crate) fn visit(
        mut self,
        mut sorted: impl FnMut(&[[u64; N]]) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.files.is_empty() {
            self.entries.sort_unstable();
            return sorted(&self.entries);
        }
        self.spill()?;
        let mut bytes = Vec::new();
        for mut file in self.files {
            bytes.clear();
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            let entry = |bytes: &[u8]| std::array::from_fn(|n| u64_at(bytes, n * 8));
            self.entries.clear();
            self.entries.extend(bytes.chunks_exact(N * 8).map(entry));
            self.entries.sort_unstable();
            sorted(&self.entries)?;
        }
        Ok(())
    }
}

/// The part that an entry belongs to.
fn part<const N: usize>(entry: &[u64; N]) -> usize {
    size(mix(entry[0])) % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_out_once_with_its_likes() {
        for count in [0, 10, IN_MEMORY as u64 * 2 + 7] {
            let mut sorter = Sorter::<2>::new();
            for n in 0..count {
                sorter.push([mix(n / 2), n]).unwrap();
            }
            let (mut seen, mut sum) = (0, 0);

            sorter
                .visit(|sorted| {
                    assert!(sorted.is_sorted());
                    for alike in sorted.chunk_by(|a, b| a[0] == b[0]) {
                        let [first, rest @ ..] = alike else { unreachable!("a chunk has entries") };
                        assert!(rest.iter().all(|entry| entry[1] == first[1] + 1));
                        assert!(alike.len() == 2 || first[1] + 1 == count);
                        seen += alike.len() as u64;
                        sum += alike.iter().map(|entry| entry[1]).sum::<u64>();
                    }
                    Ok(())
                })
                .unwrap();

            assert_eq!((seen, sum), (count, (0..count).sum()));
        }
    }
}
