mod records;

pub(crate) use records::LARGE;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use uuid::Uuid;

use super::bytes::{narrow, size};
use super::cache::{Cache, Io};
use super::compressed::Opened;
use super::error::Fault;
use super::format::SegmentHeader;
use super::index::{Entry, List, Located, MemoryIndex, SealedIndex, Span, StreamNumbers, Wanted};
use super::layout;
use super::vfs::VfsFile;
use crate::lifetimes::Changes;
use crate::planted::{self, Bug};
use crate::{NewEvent, StreamId};

/// A stretch of the log: its file, and the index of what is durable in it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn VfsFile>,
    /// Its bytes on disk, where it is compressed.
    stored: Option<u64>,
    /// Tells its blocks in the cache from those of every other file, also of one that had its name
    /// before.
    id: u64,
    name: String,
    cache: Cache,
    index: RwLock<Index>,
    /// Its durable bytes.
    length: AtomicU64,
    /// Whether nothing is written to it any more.
    closed: AtomicBool,
}

#[derive(Debug)]
enum Index {
    Memory(Arc<MemoryIndex>),
    Sealed(Arc<SealedIndex>),
}

/// An event that was found by a list.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its revision or ordinal.
    pub(crate) ordinal: u64,
    pub(crate) position: u64,
    pub(crate) extent: Extent,
}

impl Found {
    /// How long its record is, at most.
    pub(crate) fn bytes(&self) -> u64 {
        self.extent.end - self.extent.start
    }
}

/// Where a record is: it begins at the start and ends before the end.
pub(crate) type Extent = Range<u64>;

impl Segment {
    /// A segment that is written, or was and has no index file yet.
    pub(crate) fn open(
        header: SegmentHeader,
        file: Arc<dyn VfsFile>,
        index: MemoryIndex,
        length: u64,
        cache: Cache,
    ) -> Self {
        let (length, closed) = (AtomicU64::new(length), AtomicBool::new(false));
        let (index, name) =
            (RwLock::new(Index::Memory(Arc::new(index))), layout::segment(header.first));
        let id = if planted::is(Bug::StaleCache) { !header.first } else { cache.file() };
        Self { header, file, stored: None, id, name, cache, index, length, closed }
    }

    /// A segment with its index file.
    pub(crate) fn sealed(
        header: SegmentHeader,
        file: Opened,
        index: Arc<SealedIndex>,
        length: u64,
        cache: Cache,
    ) -> Self {
        let segment = Self::closed(header, file, MemoryIndex::default(), length, cache);
        *segment.index.write() = Index::Sealed(index);
        segment
    }

    /// A segment that nothing is written to any more, and that has no index file yet.
    pub(crate) fn closed(
        header: SegmentHeader,
        Opened { file, stored }: Opened,
        index: MemoryIndex,
        length: u64,
        cache: Cache,
    ) -> Self {
        let segment = Self { stored, ..Self::open(header, file, index, length, cache) };
        segment.close();
        segment
    }

    pub(crate) fn first(&self) -> u64 {
        self.header.first
    }

    /// The position after its last event.
    pub(crate) fn end(&self) -> u64 {
        self.first() + self.count()
    }

    pub(crate) fn count(&self) -> u64 {
        match &*self.index.read() {
            Index::Memory(index) => index.count() as u64,
            Index::Sealed(index) => index.count(),
        }
    }

    /// The bytes of the segment and of its index on disk.
    pub(crate) fn bytes(&self) -> u64 {
        let index = match &*self.index.read() {
            Index::Memory(_) => 0,
            Index::Sealed(index) => index.bytes(),
        };
        self.stored.unwrap_or_else(|| self.length()) + index
    }

    /// Its durable bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// When its last event was recorded.
    pub(crate) fn recorded_at(&self) -> i64 {
        match &*self.index.read() {
            Index::Memory(index) => index.recorded_at(),
            Index::Sealed(index) => index.recorded_at(),
        }
    }

    /// What its events say of streams' lifetimes, while its index is in memory.
    pub(crate) fn changes(&self) -> Changes {
        match &*self.index.read() {
            Index::Memory(index) => index.changes().clone(),
            Index::Sealed(_) => Changes::new(),
        }
    }

    /// Takes in what has become durable: `add` indexes it, and the file's good bytes end here.
    pub(crate) fn extend(&self, length: u64, add: impl FnOnce(&mut MemoryIndex)) {
        if let Index::Memory(index) = &mut *self.index.write() {
            // Whoever else has it has it of a segment that is closed.
            add(Arc::make_mut(index));
        }
        self.length.store(length, Ordering::Release);
    }

    /// Nothing is written to it from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether it is closed and its index still in memory.
    pub(crate) fn is_unsealed(&self) -> bool {
        self.is_closed() && matches!(*self.index.read(), Index::Memory(_))
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.stored.is_some()
    }

    /// The same sealed segment, with its bytes in another file.
    pub(crate) fn with_file(&self, file: Opened) -> Self {
        let segment = Self::closed(
            self.header,
            file,
            MemoryIndex::default(),
            self.length(),
            self.cache.clone(),
        );
        if let Index::Sealed(index) = &*self.index.read() {
            *segment.index.write() = Index::Sealed(Arc::clone(index));
        }
        segment
    }

    /// The same segment, with its index in a file.
    pub(crate) fn with_index(&self, index: SealedIndex) -> Self {
        let file = Opened { file: Arc::clone(&self.file), stored: self.stored };
        let cache = self.cache.clone();
        let segment = Self::sealed(self.header, file, Arc::new(index), self.length(), cache);
        Self { id: self.id, ..segment }
    }

    /// Its index where that is in memory.
    pub(crate) fn memory_index(&self) -> Option<Arc<MemoryIndex>> {
        match &*self.index.read() {
            Index::Memory(index) => Some(Arc::clone(index)),
            Index::Sealed(_) => None,
        }
    }

    /// Its index where that is in a file.
    pub(crate) fn sealed_index(&self) -> Option<Arc<SealedIndex>> {
        match &*self.index.read() {
            Index::Memory(_) => None,
            Index::Sealed(index) => Some(Arc::clone(index)),
        }
    }

    /// What an index in memory has of a list, see [`MemoryIndex::span`].
    pub(crate) fn span(&self, list: &List) -> Option<Span> {
        match &*self.index.read() {
            Index::Memory(index) => index.span(list),
            Index::Sealed(_) => None,
        }
    }

    /// Whether an index in memory has none of these events of a stream, by their ids.
    pub(crate) fn lacks(&self, stream: &StreamId, events: &[NewEvent]) -> bool {
        match &*self.index.read() {
            Index::Memory(index) => index.lacks(stream, events),
            Index::Sealed(_) => true,
        }
    }

    /// The position of a stream's event of an id where an index in memory tells.
    pub(crate) fn position(&self, stream: &StreamId, id: Uuid) -> Option<u64> {
        match &*self.index.read() {
            Index::Memory(index) => {
                index.find(stream, id).map(|number| self.first() + u64::from(number))
            }
            Index::Sealed(_) => None,
        }
    }

    /// The events of a list that are wanted, of those that the segment has of it.
    pub(crate) fn locate(
        &self,
        list: &List,
        (span, entry): (Span, Option<&Entry>),
        wanted: &Wanted,
        io: Io,
    ) -> Result<Vec<Found>, Fault> {
        let located = self.ask(
            |index| entry.map_or(Ok(Vec::new()), |entry| index.locate(entry, wanted, io)),
            |index| index.locate(list, span, wanted),
        )?;
        let found = |Located { ordinal, number, offset, next }: Located| Found {
            ordinal,
            position: self.first() + u64::from(number),
            extent: offset.into()..next.map_or_else(|| self.length(), u64::from),
        };
        Ok(located.into_iter().map(found).collect())
    }

    /// All lists that have events here, by their names in index files.
    pub(crate) fn spans(&self) -> Result<Vec<(Box<str>, Span)>, Fault> {
        self.ask(SealedIndex::spans, MemoryIndex::spans)
    }

    /// All streams that have events here.
    pub(crate) fn streams(&self) -> Result<Vec<StreamNumbers>, Fault> {
        self.ask(SealedIndex::streams, MemoryIndex::streams)
    }

    /// Where each of a range of positions begins, and where the last of them ends.
    pub(crate) fn offsets(&self, positions: Range<u64>, io: Io) -> Result<Vec<u32>, Fault> {
        let number = |position: u64| narrow(size(position - self.first()));
        let numbers = number(positions.start)..number(positions.end);
        let mut offsets = self.ask(
            |index| index.offsets(numbers.clone(), io),
            |index| index.offsets(numbers.clone()),
        )?;
        if offsets.len() <= numbers.len() {
            offsets.push(narrow(size(self.length())));
        }
        Ok(offsets)
    }

    /// Asks the index, in memory or in its file. The file is read without the lock.
    fn ask<T>(
        &self,
        sealed: impl FnOnce(&SealedIndex) -> Result<T, Fault>,
        in_memory: impl FnOnce(&MemoryIndex) -> T,
    ) -> Result<T, Fault> {
        let index = match &*self.index.read() {
            Index::Memory(index) => return Ok(in_memory(index)),
            Index::Sealed(index) => Arc::clone(index),
        };
        sealed(&index)
    }

    /// Bytes from the file.
    pub(crate) fn read(&self, extent: Extent, io: Io) -> Result<Bytes, Fault> {
        if io == Io::Never {
            return Err(Fault::NotCached);
        }
        let bytes = self.file.read_vec_at(size(extent.end - extent.start), extent.start);
        bytes.map(Bytes::from).map_err(|error| Fault::io(&self.name, extent.start, &error))
    }
}
