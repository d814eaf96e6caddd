//! What a process asked of the system, call by call, as `strace` saw it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::program::Said;

/// The calls that matter.
pub(crate) const CALLS: &str =
    "openat,write,pwrite64,fdatasync,fsync,rename,renameat,renameat2,ftruncate,unlink,mkdir";

/// A system call. Its beginning and its end are lines of the trace: one call happened before
/// another where its end is before the other's beginning.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) thread: u32,
    pub(crate) name: String,
    arguments: String,
    result: String,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// A write to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) offset: u64,
    pub(crate) wanted: u64,
    pub(crate) done: u64,
}

/// The frame of a segment that a call wrote, as its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u64,
    pub(crate) count: u64,
}

impl Call {
    pub(crate) fn succeeded(&self) -> bool {
        !self.result.starts_with('-')
    }

    /// Whether `strace` made it fail.
    pub(crate) fn injected(&self) -> bool {
        self.result.contains("INJECTED")
    }

    /// The file or folder that its descriptor is of.
    pub(crate) fn file(&self) -> PathBuf {
        let path = self.arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        path.map(|(path, _)| path.into()).unwrap_or_default()
    }

    /// The paths that it names.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.arguments.split('"').skip(1).step_by(2).map(PathBuf::from).collect()
    }

    /// Whether it may have made a file.
    pub(crate) fn creates(&self, path: &Path) -> bool {
        let creates = self.name == "openat" && self.arguments.contains("O_CREAT");
        creates && self.succeeded() && self.paths() == [path]
    }

    pub(crate) fn syncs(&self, path: &Path) -> bool {
        ["fdatasync", "fsync"].contains(&&*self.name) && self.file() == path
    }

    /// The bytes that it wrote, as many as the trace shows.
    fn written(&self) -> Vec<u8> {
        let text = self.arguments.split_once('"').map_or("", |(_, rest)| rest);
        unescape(text)
    }

    /// What the program said with it.
    pub(crate) fn said(&self) -> Option<Said> {
        let is_output = self.name == "write" && self.arguments.starts_with("1<");
        let text = is_output.then(|| String::from_utf8(self.written()).ok()).flatten()?;
        Said::parse(text.trim_end())
    }

    /// The frame that it began to write to a segment.
    pub(crate) fn frame(&self) -> Option<Frame> {
        let bytes = self.written();
        let is_frame = bytes.starts_with(&0xDAB0_0F4E_u32.to_le_bytes()) && bytes.len() >= 24;
        if !(is_frame && self.name == "pwrite64" && is_segment(&self.file())) {
            return None;
        }
        let count = u32::from_le_bytes(bytes[12..16].try_into().unwrap()).into();
        Some(Frame { first: u64::from_le_bytes(bytes[16..24].try_into().unwrap()), count })
    }

    /// Whether it wrote, or was to write, the zeros that are prepared for frames to come.
    pub(crate) fn prepares(&self) -> bool {
        let is_write = self.name == "pwrite64" && is_segment(&self.file());
        is_write && self.written().iter().all(|&byte| byte == 0)
    }

    /// Of a write: the offset in the file, how much was to be written, and how much was.
    pub(crate) fn write(&self) -> Option<Write> {
        if self.name != "pwrite64" {
            return None;
        }
        let mut numbers = self.arguments.rsplit(", ").map(|n| n.parse().unwrap());
        let (offset, wanted) = (numbers.next()?, numbers.next()?);
        Some(Write { offset, wanted, done: self.result.parse().unwrap_or(0) })
    }

    /// Whether there was no space for what it was to write, or only for some of it.
    pub(crate) fn was_refused_space(&self) -> bool {
        let short = self.write().is_some_and(|write| write.done < write.wanted);
        short && (self.succeeded() || self.result.contains("ENOSPC"))
    }

    /// Whether it changes the bytes of a file.
    pub(crate) fn changes(&self, path: &Path) -> bool {
        ["pwrite64", "ftruncate"].contains(&&*self.name) && self.file() == path
    }
}

pub(crate) fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

/// Undoes how `strace -x` shows a string, up to its end.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] | [b'"', ..] => return bytes,
            [b'\\', b'x', high, low, rest @ ..] => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest
            }
            [b'\\', b'n', rest @ ..] => {
                bytes.push(b'\n');
                rest
            }
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

/// Reads a trace, in the order in which the calls began. Calls that never ended are left out.
pub(crate) fn parse(trace: &str) -> Vec<Call> {
    let mut open: HashMap<u32, Call> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let (thread, text) = (thread.parse().unwrap(), text.trim_start());
        let (mut call, text) = if let Some(resumed) = text.strip_prefix("<... ") {
            let Some(call) = open.remove(&thread) else { continue };
            (call, resumed.split_once("resumed>").map_or("", |(_, rest)| rest))
        } else {
            let Some((name, rest)) = text.split_once('(') else { continue };
            let (arguments, result) = Default::default();
            (Call { thread, name: name.into(), arguments, result, begin: at, end: at }, rest)
        };
        if let Some(unfinished) = text.strip_suffix(" <unfinished ...>") {
            call.arguments.push_str(unfinished);
            open.insert(thread, call);
        } else if let Some((arguments, result)) = text.rsplit_once(" = ") {
            call.arguments.push_str(arguments.trim_end().trim_end_matches(')'));
            call.result = result.into();
            call.end = at;
            calls.push(call);
        }
    }
    calls.sort_by_key(|call| call.begin);
    calls
}

#[test]
fn a_trace_is_read() {
    let trace = r#"17  pwrite64(11</a/0.log>, "\x4e\x0f\xb0\xda\x00\x00\x00\x00\x09\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00"..., 40, 32 <unfinished ...>
18  write(1<pipe:[3]>, "@done 0.1.2 3:4\n", 16) = 16
17  <... pwrite64 resumed>)       = 40
17  fdatasync(11</a/0.log>)       = -1 EIO (Input/output error) (INJECTED)
17  openat(AT_FDCWD</home>, "/a/1.log", O_RDWR|O_CREAT|O_TRUNC, 0666) = 12</a/1.log>
17  +++ exited with 0 +++
"#;
    let calls = parse(trace);

    assert_eq!(calls.len(), 4);
    assert_eq!(calls[0].frame(), Some(Frame { first: 7, count: 2 }));
    assert_eq!((calls[0].begin, calls[0].end), (0, 2));
    assert!(matches!(calls[1].said(), Some(Said::Done(id, _)) if id.step == 2));
    assert!(calls[2].syncs(Path::new("/a/0.log")) && calls[2].injected() && !calls[2].succeeded());
    assert!(calls[3].creates(Path::new("/a/1.log")));
}
