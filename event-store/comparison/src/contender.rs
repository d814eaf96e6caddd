//! Who takes part, opened in a folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use daybook_event_store::EmbeddedOptions;

use crate::load::{Payloads, Seeds};
use crate::rounds::{self, Warmth, Writers};
use crate::stats::Sample;
use crate::{Embedded, Raw, Redb, Sqlite};

/// Enough for all that is read to stay in memory.
pub(crate) const CACHE_BYTES: u64 = 1 << 30;
/// Segments of the store that has many.
const SEGMENTS: u64 = 100;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Daybook,
    /// The same, with small segments, a hundred of them.
    DaybookSegments,
    /// The same with small segments that are compressed once they are closed.
    DaybookCompressed,
    /// A bare file with the same writers.
    RawWriters,
    Sqlite,
    Redb,
}

impl Contender {
    pub(crate) const APPENDING: [Self; 4] =
        [Self::Daybook, Self::RawWriters, Self::Sqlite, Self::Redb];
    pub(crate) const READING: [Self; 5] =
        [Self::Daybook, Self::DaybookSegments, Self::DaybookCompressed, Self::Sqlite, Self::Redb];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Daybook => "daybook",
            Self::DaybookSegments => "daybook_100_segments",
            Self::DaybookCompressed => "daybook_compressed",
            Self::RawWriters => "raw_writers",
            Self::Sqlite => "sqlite",
            Self::Redb => "redb",
        }
    }

    pub(crate) fn open(self, dir: &Path, seeds: Seeds) -> anyhow::Result<Open> {
        let usual = EmbeddedOptions { cache_bytes: CACHE_BYTES, ..EmbeddedOptions::default() };
        let segments = EmbeddedOptions { segment_bytes: seeds.bytes() / SEGMENTS, ..usual.clone() };
        let compressed = EmbeddedOptions { compress: true, ..segments.clone() };
        let embedded = |options| Embedded::open(dir, options).map(Arc::new).map(Open::Embedded);
        Ok(match self {
            Self::Daybook => embedded(&usual)?,
            Self::DaybookSegments => embedded(&segments)?,
            Self::DaybookCompressed => embedded(&compressed)?,
            Self::RawWriters => Open::Raw(Arc::new(Raw::open(dir)?)),
            Self::Sqlite => Open::Sqlite(Arc::new(Sqlite::open(dir, CACHE_BYTES)?)),
            Self::Redb => Open::Redb(Arc::new(Redb::open(dir, CACHE_BYTES)?)),
        })
    }
}

/// An open contender; closed when dropped.
pub(crate) enum Open {
    Embedded(Arc<Embedded>),
    Raw(Arc<Raw>),
    Sqlite(Arc<Sqlite>),
    Redb(Arc<Redb>),
}

/// What can be read of the store that was sown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading {
    /// One stream, once.
    First,
    All,
    /// Streams, by so many readers at the same time.
    Streams(Warmth, usize),
    Category,
}

impl Open {
    /// One round of appends, and how many events that made.
    pub(crate) async fn append(
        &self,
        load: Writers,
        payloads: &Arc<Payloads>,
        at: (usize, Duration),
    ) -> anyhow::Result<(u64, Sample)> {
        match self {
            Self::Embedded(engine) => rounds::append(engine, load, payloads, at).await,
            Self::Raw(engine) => rounds::append(engine, load, payloads, at).await,
            Self::Sqlite(engine) => rounds::append(engine, load, payloads, at).await,
            Self::Redb(engine) => rounds::append(engine, load, payloads, at).await,
        }
    }

    /// Fills the empty store that is to be read.
    pub(crate) async fn sow(&self, seeds: Seeds, payloads: &Payloads) -> anyhow::Result<()> {
        match self {
            Self::Embedded(engine) => seeds.sow(&**engine, payloads).await,
            Self::Raw(engine) => seeds.sow(&**engine, payloads).await,
            Self::Sqlite(engine) => seeds.sow(&**engine, payloads).await,
            Self::Redb(engine) => seeds.sow(&**engine, payloads).await,
        }
    }

    /// One round of reads.
    pub(crate) async fn read(
        &self,
        reading: Reading,
        seeds: Seeds,
        at: (usize, Duration),
    ) -> anyhow::Result<Sample> {
        match self {
            Self::Embedded(engine) => rounds::read(engine, reading, seeds, at).await,
            Self::Sqlite(engine) => rounds::read(engine, reading, seeds, at).await,
            Self::Redb(engine) => rounds::read(engine, reading, seeds, at).await,
            Self::Raw(_) => bail!("a bare file cannot be read as a store"),
        }
    }
}
