//! A closed segment written anew, in pieces: into a file of another name, which then takes its
//! place. Either is there after a crash, whole.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::cache::Io;
use super::compressed::{self, Opened};
use super::error::Fault;
use super::format::{Record, SegmentHeader};
use super::layout;
use super::open::Folder;
use super::scan::{self, Scan};
use super::segment::Segment;
use super::vfs::{OpenMode, VfsFile};

/// Bytes of the segment, and events, that a piece has at most; one event it has at least.
const PIECE_BYTES: u32 = 1 << 20;
const PIECE_EVENTS: u64 = 8_192;

/// Records of a segment, one after another, past the cache.
#[derive(Debug)]
pub(crate) struct Piece {
    first: u64,
    /// Where each record begins, and where the last one ends.
    offsets: Vec<u32>,
    bytes: Bytes,
}

impl Piece {
    /// Reads the records from a position of a segment on.
    pub(crate) fn read(segment: &Segment, first: u64) -> Result<Self, Fault> {
        let positions = first..segment.end().min(first + PIECE_EVENTS);
        let mut offsets = segment.offsets(positions, Io::Allowed)?;
        let fitting = offsets.partition_point(|offset| offset - offsets[0] <= PIECE_BYTES);
        offsets.truncate(fitting.max(2));
        let extent = offsets[0].into()..offsets[offsets.len() - 1].into();
        let bytes = segment.read(extent, Io::Allowed)?;
        Ok(Self { first, offsets, bytes })
    }

    /// The position after its last record.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.offsets.len() as u64 - 1
    }

    /// How many bytes were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The records, checked, with their positions.
    pub(crate) fn records<'a>(
        &'a self,
        segment: &Segment,
    ) -> impl Iterator<Item = Result<(u64, Record<'a>), Fault>> {
        (self.first..self.end()).zip(&self.offsets).map(|(position, offset)| {
            let at = (offset - self.offsets[0]) as usize;
            let record = segment.record(&self.bytes[at..], position, (*offset).into())?;
            Ok((position, record))
        })
    }
}

/// The new file of a segment, while it is written.
#[derive(Debug)]
pub(crate) struct Rewrite {
    header: SegmentHeader,
    /// How many events it must come to have.
    count: u64,
    temporary: Temporary,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Plain { file: Arc<dyn VfsFile>, length: u64 },
    Compressed(Box<compressed::Writer>),
}

impl Rewrite {
    /// Begins the new file of a segment; with what header is up to what will be written.
    pub(crate) fn begin(
        folder: &Folder,
        segment: &Segment,
        header: SegmentHeader,
        compressed: bool,
    ) -> io::Result<Self> {
        let (temporary, file) = Temporary::create(folder, segment.first())?;
        let sink = if compressed {
            Sink::Compressed(Box::new(compressed::Writer::new(file)?))
        } else {
            Sink::Plain { file, length: 0 }
        };
        Ok(Self { header, count: segment.count(), temporary, sink })
    }

    /// Adds bytes, and makes them durable: the writer's syncs then never wait for more than these.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain { file, length } => {
                file.write_all_at(bytes, *length)?;
                *length += bytes.len() as u64;
                file.sync()
            }
            Sink::Compressed(writer) => writer.write(bytes).and_then(|()| writer.sync()),
        }
    }

    /// The bytes that were written, and those that they take on disk.
    pub(crate) fn lengths(&self) -> (u64, u64) {
        match &self.sink {
            Sink::Plain { length, .. } => (*length, *length),
            Sink::Compressed(writer) => writer.lengths(),
        }
    }

    /// Reads and checks what was written, and gives it the segment's name.
    ///
    /// # Errors
    /// The segment is as it was, unless it is the folder that could not be synced: then it is
    /// either.
    pub(crate) fn finish(self) -> io::Result<(Opened, Scan)> {
        let opened = match self.sink {
            Sink::Plain { file, .. } => Opened { file, stored: None },
            Sink::Compressed(writer) => writer.finish()?,
        };
        let scan = scan::scan(&opened.file, self.header)?;
        let flaw = scan.flaw.map(|(_, flaw)| flaw);
        let whole = scan.index.count() as u64 == self.count;
        if let Some(flaw) = flaw.or((!whole).then_some("it does not have all events")) {
            let reason = format!("a segment was written anew and does not read well: {flaw}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.temporary.install()?;
        Ok((opened, scan))
    }
}

/// A segment's file that is removed again, unless it is installed.
#[derive(Debug)]
pub(crate) struct Temporary {
    folder: Folder,
    first: u64,
    path: PathBuf,
    installed: bool,
}

impl Temporary {
    pub(crate) fn create(folder: &Folder, first: u64) -> io::Result<(Self, Arc<dyn VfsFile>)> {
        let path = folder.dir.join(layout::temporary(&layout::segment(first)));
        let file = folder.vfs.open(&path, OpenMode::Create)?;
        Ok((Self { folder: folder.clone(), first, path, installed: false }, file))
    }

    pub(crate) fn install(mut self) -> io::Result<()> {
        self.folder.alone(|| {
            self.folder.vfs.rename(&self.path, &self.folder.path(self.first))?;
            self.installed = true;
            self.folder.vfs.sync_dir(&self.folder.dir)
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.installed {
            return;
        }
        if let Err(error) = self.folder.vfs.remove(&self.path) {
            // The next opening removes it.
            tracing::debug!(%error, file = %self.path.display(), "cannot remove a temporary file");
        }
    }
}
