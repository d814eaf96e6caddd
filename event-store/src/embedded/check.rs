//! Whether a store is as it was written, and as it must be: every checksum, every index, and what
//! holds of all events. It works beside a writer and writes nothing to the store.

use std::collections::HashMap;
use std::io;

use super::backup::Progress;
use super::bytes::{hash_event, hash_name, mix};
use super::cache::Io;
use super::error::{Fault, OpenError};
use super::format::Record;
use super::index::{List, Lists, MemoryIndex, contents};
use super::inspect::{self, Finding, Seen, Suspect};
use super::open::Folder;
use super::runs::{Candidate, Run, RunPart};
use super::sorter::Sorter;
use super::vfs::OpenMode;
use super::{layout, scan};
use crate::{ReadError, Revision, StreamId};

/// What was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Events that are good.
    pub events: u64,
    /// Segments.
    pub segments: usize,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Index files that say what their segments say.
    pub indexes: usize,
    /// Closed segments without an index: it is made when the store is opened.
    pub without_index: usize,
    /// Bytes at the end of the last segment that are being written, or are of a write that was
    /// never finished. They are cut off when the store is opened.
    pub unfinished_bytes: u64,
    /// How much was found.
    pub findings: u64,
}

/// What an event is known by: its hash, the rest of its stream's name's, its id (two numbers).
/// Then its position.
type IdEntry = [u64; 5];
/// A stream's name (two numbers, of 128 bits), the position of an event of it in a segment, its
/// revision, and the revision after that of the last one in that segment.
type StreamEntry = [u64; 5];

const WRONG_INDEX: &str = "it is not the index of its segment: remove it while the store is closed, and it is made \
     anew";
const WRONG_RUN: &str = "it is not the run of its segments: remove it while the store is closed, and it is made \
     anew";

struct Check<'a> {
    folder: &'a Folder,
    found: &'a mut dyn FnMut(Finding),
    checked: Checked,
    recorded_at: i64,
    ids: Sorter<5>,
    streams: Sorter<5>,
    /// How many events of each category and type there were; unknown after damage.
    ordinals: Option<HashMap<List, u64>>,
    /// The run over the last segment that has one.
    run: Option<Run>,
}

/// Checks a store, and tells of everything that is wrong with it.
pub(crate) fn check(
    folder: &Folder,
    found: &mut dyn FnMut(Finding),
    progress: Progress<'_>,
) -> Result<Checked, OpenError> {
    layout::check_is_store(&*folder.vfs, &folder.dir)?;
    let segments = inspect::segments(folder)?;
    let bytes: Vec<_> = segments.iter().map(|(first, _)| on_disk(folder, *first)).collect();
    let total = bytes.iter().sum();
    let mut check = Check {
        folder,
        found,
        checked: Checked { segments: segments.len(), bytes: total, ..Checked::default() },
        recorded_at: i64::MIN,
        ids: Sorter::new(),
        streams: Sorter::new(),
        ordinals: Some(HashMap::new()),
        run: None,
    };
    check.beginning(&segments);
    let mut done = 0;
    for ((first, until), bytes) in segments.into_iter().zip(bytes) {
        check.segment(first, until).map_err(OpenError::io("check", &folder.path(first)))?;
        done += bytes;
        progress(done, total);
    }
    check.across_segments().map_err(OpenError::io("check", &folder.dir))
}

/// The bytes of a segment; 0 where that cannot be told, which is found out soon.
fn on_disk(folder: &Folder, first: u64) -> u64 {
    let file = folder.vfs.open(&folder.path(first), OpenMode::Read);
    file.and_then(|file| file.length()).unwrap_or_default()
}

impl Check<'_> {
    fn find(&mut self, finding: Finding) {
        self.checked.findings += 1;
        (self.found)(finding);
    }

    /// The first segment begins with the first event.
    fn beginning(&mut self, segments: &[(u64, Option<u64>)]) {
        if let Some((first @ 1.., _)) = segments.first() {
            let (file, reason) = (layout::segment(0), "the segment is missing".into());
            self.find(Finding { file, bytes: 0..0, positions: 0..*first, stream: None, reason });
        }
    }

    fn segment(&mut self, first: u64, until: Option<u64>) -> io::Result<()> {
        let mut suspect = match Suspect::open(self.folder, first, until) {
            Ok(suspect) => suspect,
            Err(finding) => {
                self.find(*finding);
                return Ok(());
            }
        };
        if suspect.is_begun() {
            return Ok(());
        }
        if let Some(end) = suspect.unfinished(self.folder) {
            self.checked.unfinished_bytes = suspect.length - end;
            suspect.length = end;
        }
        let mut contents = Contents::after(self.recorded_at);
        suspect.walk(&mut |seen| contents.take(&suspect.name, seen))?;
        let is_whole = contents.findings.is_empty();
        self.recorded_at = contents.recorded_at;
        self.checked.events += contents.index.count() as u64;
        contents.findings.drain(..).for_each(|finding| self.find(finding));
        for (stream, span) in &contents.streams {
            self.streams.push(span.entry(stream))?;
        }
        contents.ids.iter().try_for_each(|id| self.ids.push(*id))?;
        if !is_whole {
            self.ordinals = None;
        } else if until.is_some() {
            self.index(&suspect, &contents.index)?;
        }
        if let Some(ordinals) = &mut self.ordinals {
            for (list, count) in contents.index.postings() {
                *ordinals.entry(list).or_default() += count;
            }
        }
        Ok(())
    }

    /// The index file and the run of a segment say what is made of it.
    fn index(&mut self, suspect: &Suspect, index: &MemoryIndex) -> io::Result<()> {
        let (header, length) = (suspect.header, suspect.length);
        let name = layout::index(header.first);
        match self.folder.vfs.open(&self.folder.dir.join(&name), OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.checked.without_index += 1;
                return Ok(());
            }
            file => drop(file?),
        }
        let there = self.folder.open_index(header, length);
        let there = there.and_then(|(there, _)| Ok((there.contents()?, there)));
        let (there, opened) = match there {
            Ok(there) => there,
            Err(fault) => {
                self.stray(name, 0, &fault.into_read_error().to_string());
                return Ok(());
            }
        };
        // After damage, an index may say what it likes of how many came before it.
        let before = |list: &List| match &self.ordinals {
            Some(known) => Ok(known.get(list).copied().unwrap_or_default()),
            None => opened.first_of(list),
        };
        let made = Lists::of(index, before);
        let lists = made.map_err(io::Error::from)?;
        let made = contents(index, &lists, (header, length));
        if let Some(at) = first_difference(&there, &made) {
            self.stray(name, at, WRONG_INDEX);
            return Ok(());
        }
        self.checked.indexes += 1;
        self.run(header.first, index, &lists)
    }

    /// The run over a segment finds all that the segment has.
    fn run(&mut self, first: u64, index: &MemoryIndex, lists: &Lists) -> io::Result<()> {
        if self.run.as_ref().is_none_or(|run| run.positions.end <= first) {
            self.run = None;
            let runs = layout::runs(&*self.folder.vfs, &self.folder.dir);
            let runs = runs.map_err(io::Error::other)?;
            let Some(positions) = runs.into_iter().find(|run| run.start == first) else {
                return Ok(());
            };
            let run = Run::open(self.folder, positions.clone());
            match run.and_then(|run| run.verify().map(|()| run)) {
                Ok(run) => self.run = Some(run),
                Err(Fault::Read(ReadError::Unavailable { .. })) => {}
                Err(fault) => {
                    let reason = fault.into_read_error().to_string();
                    self.stray(layout::run(&positions), 0, &reason);
                }
            }
        }
        let Some(run) = self.run.as_ref().filter(|run| run.positions.contains(&first)) else {
            return Ok(());
        };
        if !finds(run, first, index, lists).map_err(io::Error::from)? {
            let name = layout::run(&run.positions);
            self.stray(name, 0, WRONG_RUN);
            self.run = None;
        }
        Ok(())
    }

    /// Tells of an index file that is not as it must be.
    fn stray(&mut self, file: String, at: u64, reason: &str) {
        let (bytes, positions, reason) = (at..at, 0..0, reason.into());
        self.find(Finding { file, bytes, positions, stream: None, reason });
    }

    /// What holds over all segments: a stream's revisions are contiguous, and no id comes twice in
    /// it.
    fn across_segments(mut self) -> io::Result<Checked> {
        let mut broken = Vec::new();
        std::mem::replace(&mut self.streams, Sorter::new()).visit(|sorted| {
            for spans in sorted.chunk_by(|a, b| a[..2] == b[..2]) {
                let mut expected = 0;
                for &[.., position, first, end] in spans {
                    if first != expected {
                        broken.push((position, gap(expected, first)));
                    }
                    expected = end;
                }
            }
            Ok(())
        })?;
        std::mem::replace(&mut self.ids, Sorter::new()).visit(|sorted| {
            for pair in sorted.windows(2).filter(|pair| pair[0][..4] == pair[1][..4]) {
                let ([.., before], [.., position]) = (pair[0], pair[1]);
                let reason = format!("its id is that of the stream's event at position {before}");
                broken.push((position, reason));
            }
            Ok(())
        })?;
        broken.sort_unstable();
        self.tell_of_events(&broken);
        Ok(self.checked)
    }

    /// Tells what is wrong with events that are there, with their streams.
    fn tell_of_events(&mut self, broken: &[(u64, String)]) {
        let segments = inspect::segments(self.folder).unwrap_or_default();
        for (first, until) in segments {
            let within = |(position, _): &&(u64, String)| {
                first <= *position && until.is_none_or(|until| *position < until)
            };
            let broken: Vec<_> = broken.iter().filter(within).collect();
            if !broken.is_empty() {
                let streams = self.streams_of(first, until);
                for (position, reason) in broken {
                    let stream = streams.get(position).cloned();
                    let (file, positions) = (layout::segment(first), *position..*position + 1);
                    let (bytes, reason) = (0..0, reason.clone());
                    self.find(Finding { file, bytes, positions, stream, reason });
                }
            }
        }
    }

    /// The streams of a segment's events.
    fn streams_of(&self, first: u64, until: Option<u64>) -> HashMap<u64, StreamId> {
        let mut streams = HashMap::new();
        let Ok(suspect) = Suspect::open(self.folder, first, until) else { return streams };
        // Whatever else is wrong there has been told.
        let _ = suspect.walk(&mut |seen| {
            if let Seen::Record { position, record, .. } = seen {
                streams.extend(record.stream().parse().map(|stream| (position, stream)));
            }
        });
        streams
    }
}

/// Whether a run finds all events and lists of a segment.
fn finds(run: &Run, first: u64, index: &MemoryIndex, lists: &Lists) -> Result<bool, Fault> {
    let part = RunPart { first, digest: lists.digest };
    if !run.parts.contains(&part) {
        return Ok(false);
    }
    for (hash, number) in index.hashes() {
        let position = first + u64::from(number);
        if !run.id_candidates(hash, Io::Allowed)?.contains(&position) {
            return Ok(false);
        }
    }
    for (key, at) in &lists.entries {
        let wanted = Candidate { segment: first, at: *at };
        let mut there = false;
        let segments = first..first + 1;
        for n in run.candidates(*key, &segments, Io::Allowed)? {
            there |= run.candidate(n, &segments, Io::Allowed)? == wanted;
        }
        if !there {
            return Ok(false);
        }
    }
    Ok(true)
}

fn gap(expected: u64, first: u64) -> String {
    format!("revision {first} comes where {expected} is due")
}

/// Where two files differ; `None` where they are the same.
fn first_difference(a: &[u8], b: &[u8]) -> Option<u64> {
    let differs = a.iter().zip(b).position(|(a, b)| a != b);
    let at = differs.or((a.len() != b.len()).then(|| a.len().min(b.len())))?;
    Some(at as u64)
}

/// What a segment says.
struct Contents {
    index: MemoryIndex,
    streams: HashMap<StreamId, Span>,
    ids: Vec<IdEntry>,
    /// When the last event was recorded.
    recorded_at: i64,
    findings: Vec<Finding>,
}

/// The events of a stream in a segment.
struct Span {
    /// The position of the first.
    position: u64,
    first: u64,
    /// The revision after that of the last.
    end: u64,
}

impl Span {
    fn entry(&self, stream: &StreamId) -> StreamEntry {
        let [hash, other] = hash_of_128_bits(stream.as_str());
        [hash, other, self.position, self.first, self.end]
    }
}

fn hash_of_128_bits(name: &str) -> [u64; 2] {
    let other = u64::from(crc32c::crc32c(name.as_bytes())) << 32 | name.len() as u64;
    [hash_name(name), mix(other)]
}

impl Contents {
    /// Of a segment after an event that was recorded then.
    fn after(recorded_at: i64) -> Self {
        Self {
            index: MemoryIndex::default(),
            streams: HashMap::new(),
            ids: Vec::new(),
            recorded_at,
            findings: Vec::new(),
        }
    }

    fn take(&mut self, name: &str, seen: Seen<'_>) {
        let (offset, position, record) = match seen {
            Seen::Record { offset, position, record } => (offset, position, record),
            Seen::Found(finding) => return self.findings.push(finding),
        };
        let mut flaws = Vec::new();
        if record.recorded_at() < self.recorded_at {
            flaws.push("it was recorded before the event before it".into());
        }
        self.recorded_at = self.recorded_at.max(record.recorded_at());
        let [hash, other] = hash_of_128_bits(record.stream());
        let (high, low) = record.id().as_u64_pair();
        self.ids.push([hash_event(hash, record.id()), other, high, low, position]);
        flaws.extend(self.revision(position, &record));
        if let Err(flaw) = scan::push(&mut self.index, offset, &record) {
            flaws.push(flaw.into());
        }
        let finding = |reason| Finding {
            file: name.into(),
            bytes: offset..offset + record.length() as u64,
            positions: position..position + 1,
            stream: record.stream().parse().ok(),
            reason,
        };
        self.findings.extend(flaws.into_iter().map(finding));
    }

    /// Notes the revision; what is wrong with it within this segment.
    fn revision(&mut self, position: u64, record: &Record<'_>) -> Option<String> {
        let stream = record.stream().parse().ok()?;
        let Revision(revision) = record.revision();
        let span = self.streams.entry(stream);
        let span = span.or_insert(Span { position, first: revision, end: revision });
        let expected = std::mem::replace(&mut span.end, revision.saturating_add(1));
        (revision != expected).then(|| gap(expected, revision))
    }
}
