mod records;

pub(crate) use records::stretch;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use uuid::Uuid;

use super::bytes::{narrow, size};
use super::cache::{self, Cache, Io};
use super::compressed::Opened;
use super::error::Fault;
use super::format::SegmentHeader;
use super::index::{Located, MemoryIndex, SealedIndex, StreamNumbers, Wanted, encode};
use super::layout;
use super::vfs::{Vfs, VfsFile};
use crate::lifetimes::Changes;
use crate::{Filter, Revision, StreamId};

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
    Memory(Box<MemoryIndex>),
    Sealed(Arc<SealedIndex>),
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
            (RwLock::new(Index::Memory(Box::new(index))), layout::segment(header.first));
        let id = cache::file();
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
            add(index);
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

    /// Writes the index file of a closed segment, makes it durable and uses it from then on.
    pub(crate) fn seal(&self, vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
        let bytes = match &*self.index.read() {
            Index::Memory(index) => encode(index, self.header, self.length()),
            Index::Sealed(_) => return Ok(()),
        };
        let name = layout::index(self.first());
        let file = layout::replace(vfs, dir, &name, &bytes)?;
        let index = SealedIndex::open(file, name, self.cache.clone());
        let (index, _) = index.map_err(|error| io::Error::other(error.to_string()))?;
        *self.index.write() = Index::Sealed(Arc::new(index));
        Ok(())
    }

    pub(crate) fn may_match(&self, filter: &Filter) -> bool {
        match &*self.index.read() {
            Index::Memory(index) => index.may_match(filter),
            Index::Sealed(index) => index.may_match(filter),
        }
    }

    pub(crate) fn last_revision(
        &self,
        stream: &StreamId,
        io: Io,
    ) -> Result<Option<Revision>, Fault> {
        self.ask(|index| index.last_revision(stream, io), |index| index.last_revision(stream))
    }

    /// The events that may have an id: numbers in the segment.
    pub(crate) fn id_candidates(&self, id: Uuid, io: Io) -> Result<Vec<u32>, Fault> {
        self.ask(|index| index.id_candidates(id, io), |index| index.id(id).into_iter().collect())
    }

    /// The events of a stream that are wanted: their positions, and where their records are.
    pub(crate) fn places(
        &self,
        stream: &StreamId,
        wanted: &Wanted,
        io: Io,
    ) -> Result<Vec<(u64, Extent)>, Fault> {
        let located = self
            .ask(|index| index.locate(stream, wanted, io), |index| index.locate(stream, wanted))?;
        let place = |Located { number, offset, next }: Located| {
            let end = next.map_or_else(|| self.length(), u64::from);
            (self.first() + u64::from(number), u64::from(offset)..end)
        };
        Ok(located.into_iter().map(place).collect())
    }

    /// All streams that have events here.
    pub(crate) fn streams(&self, io: Io) -> Result<Vec<StreamNumbers>, Fault> {
        self.ask(|index| index.streams(io), MemoryIndex::streams)
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

    /// Asks the index, in memory or in its file, whichever it is at this one look: it may be sealed
    /// at any time. The file is read without the lock.
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
