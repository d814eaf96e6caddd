//! An event store: streams of events with optimistic concurrency, one global order, and tails
//! that go from history to live.
//!
//! [`EventStore`] is the port; [`Store`] is the adapter chosen at run time. The store carries
//! bytes. It knows nothing of commerce or of any event's meaning, but for what is said of streams
//! as a whole: [`StreamMetadata`].

mod admission;
mod clock;
mod copy;
mod embedded;
#[cfg(feature = "eventstoredb")]
mod eventstoredb;
mod index_stream;
mod lifetimes;
mod load;
mod memory;
mod metadata;
#[cfg(feature = "planted-bugs")]
pub mod planted;
#[cfg(not(feature = "planted-bugs"))]
#[expect(unreachable_pub, reason = "it is public where bugs can be planted")]
mod planted;
mod port;
mod recorded;
mod store;
mod stream_id;
mod transaction;

pub use copy::{CopyError, CopySummary, Gaps, compare_copy, copy};
#[cfg(feature = "simulation")]
pub use embedded::simulation;
pub use embedded::{
    Backup, BackupError, BackupSegment, Checked, Copied, EmbeddedOptions, EmbeddedStats,
    EmbeddedStore, Finding, LockGuard, OpenError, OpenMode, RealVfs, Salvage, Salvaged, Scavenge,
    ScavengeOptions, ScavengeProgress, ScavengeState, StoreFolder, StoreSummary, Vfs, VfsFile,
};
#[cfg(feature = "eventstoredb")]
pub use eventstoredb::{EventStoreDb, EventStoreDbOptions, InvalidAddress};
pub use index_stream::{IndexStream, InvalidIndexStream};
pub use load::{Loaded, Loading};
pub use memory::MemoryStore;
pub use metadata::StreamMetadata;
pub use port::{
    AppendError, Appended, Direction, EventStore, Expected, Filter, Limits, Listed, NewEvent,
    Position, ReadError, Revision, Tailed,
};
pub use recorded::{Recorded, RecordedEvent};
pub use store::Store;
pub use stream_id::{InvalidStreamId, StreamId};
pub use transaction::{
    AtomicAppend, StreamCheck, StreamState, StreamWrite, Transaction, Violation,
};
