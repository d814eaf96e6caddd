//! A disk that is really full: a file system of two megabytes in memory, filled under load.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::order;
use crate::program::Said;
use crate::trace::{Call, is_segment};
use crate::traced::{Life, Traced};

const PAGE: u64 = 4_096;

/// A small file system, unmounted when dropped.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mount =
            ["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", dir.path().to_str().unwrap()];
        let status = Command::new("mount").args(mount).status().unwrap();
        assert!(status.success(), "mounting a tmpfs takes a privileged user");
        Self(dir)
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("events")
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Fills all but so many pages.
    fn leave(&self, pages: u64) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[7; 4_096]).is_ok() {}
        let length = ballast.metadata().unwrap().len() / PAGE * PAGE;
        ballast.set_len(length.saturating_sub(pages * PAGE)).unwrap();
    }

    fn free(&self) {
        if self.ballast().exists() {
            fs::remove_file(self.ballast()).unwrap();
        }
    }

    /// Runs the program, and frees the disk when the program has been refused so often.
    fn fill(&self, traced: &mut Traced, refusals: usize) -> Life {
        let mut refused = 0;
        traced.live_and(&[], |said| {
            refused += usize::from(matches!(said, Said::Unavailable(_)));
            if refused >= refusals {
                self.free();
            }
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

/// What the disk had no space for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refused {
    Frame,
    /// Some of it was written.
    FrameInPart,
    /// Those that are prepared for frames to come.
    Zeros,
    SegmentHeader,
    Index,
}

impl Refused {
    const ALL: [Self; 5] =
        [Self::Frame, Self::FrameInPart, Self::Zeros, Self::SegmentHeader, Self::Index];
}

fn refused(call: &Call) -> Option<Refused> {
    let write = call.write().filter(|_| call.was_refused_space())?;
    Some(match (is_segment(&call.file()), write.offset, write.done) {
        (false, ..) => Refused::Index,
        (true, 0, _) => Refused::SegmentHeader,
        _ if call.prepares() => Refused::Zeros,
        (true, _, 0) => Refused::Frame,
        _ => Refused::FrameInPart,
    })
}

#[test]
#[ignore = "needs strace, and to be privileged to mount a tmpfs"]
fn a_full_disk_refuses_appends_and_heals() {
    let mut seen = BTreeSet::new();
    // Every page of a few segments and their indexes, so that it is full at each of them.
    for pages in 4..28 {
        let disk = Disk::mount();
        let mut traced = Traced::at(disk.folder(), pages);
        disk.leave(pages);

        let life = disk.fill(&mut traced, 30);

        assert!(life.ended_well(), "{pages} pages: {:?}", life.said.last());
        assert!(life.count(|said| matches!(said, Said::Unavailable(_))) >= 30, "{pages} pages");
        assert_eq!(order::broken(&life.calls), [""; 0], "{pages} pages");
        seen.extend(life.calls.iter().filter_map(refused));
        traced.check().unwrap_or_else(|broken| panic!("{pages} pages: {broken}"));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), Refused::ALL);
}

#[test]
#[ignore = "needs strace, and to be privileged to mount a tmpfs"]
fn a_store_is_opened_on_a_full_disk_or_says_why_not() {
    for pages in 0..8 {
        let disk = Disk::mount();
        let mut traced = Traced::at(disk.folder(), pages);
        traced.live_untraced(80);
        // As if the process had died before it could write its indexes.
        for index in indexes(&disk.folder()) {
            fs::remove_file(index).unwrap();
        }
        disk.leave(pages);

        let life = disk.fill(&mut traced, 1);

        match life.said.last() {
            Some(Said::NotOpened(why)) => assert!(why.starts_with("Io {"), "{why}"),
            _ => assert!(life.ended_well(), "{pages} pages: {:?}", life.said.last()),
        }
        disk.free();
        traced.check().unwrap_or_else(|broken| panic!("{pages} pages: {broken}"));
        traced.live_untraced(usize::MAX);
        traced.check().unwrap();
    }
}

fn indexes(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| !is_segment(path) && path.extension().is_some()).collect()
}

#[test]
#[ignore = "needs strace, and to be privileged to mount a tmpfs"]
fn a_store_is_not_made_on_a_full_disk() {
    for pages in 0..3 {
        let disk = Disk::mount();
        disk.leave(pages);
        let mut traced = Traced::at(disk.folder(), 1);

        let life = disk.fill(&mut traced, 1);

        let last = life.said.last();
        let refused = matches!(last, Some(Said::NotOpened(why)) if why.contains("StorageFull"));
        assert!(refused || life.ended_well(), "{pages} pages: {last:?}");
        disk.free();
        traced.live_untraced(usize::MAX);
        traced.check().unwrap();
    }
}
