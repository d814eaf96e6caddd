//! What files take on disk, and how to read them as if for the first time.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that a folder's files take on disk.
pub(crate) fn usage(dir: &Path) -> io::Result<u64> {
    files(dir)?.map(|file| Ok(file?.metadata()?.blocks() * 512)).sum()
}

/// Drops a folder's files from the system's cache, where the system can be asked to
/// (`posix_fadvise`). Files that are open and mapped stay: close the store first.
pub(crate) fn drop_cached(dir: &Path) -> io::Result<()> {
    for file in files(dir)? {
        let file = File::open(file?.path())?;
        // Only what is on disk can be dropped.
        file.sync_all()?;
        #[cfg(any(target_os = "linux", target_os = "freebsd"))]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

/// Bytes that this process had to have fetched from the disk so far; `None` where the system does
/// not tell.
pub(crate) fn bytes_read() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.parse().ok()
}

fn files(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
    Ok(fs::read_dir(dir)?.filter(move |entry| entry.as_ref().map_or(true, is_file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_counts_what_files_take() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join("file"), [7; 10_000]).unwrap();
        drop_cached(dir.path()).unwrap();

        let usage = usage(dir.path()).unwrap();

        assert!((8_192..100_000).contains(&usage), "{usage}");
    }
}
