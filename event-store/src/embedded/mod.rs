//! The embedded engine: an append-only log in segments, in a folder of its own.
//!
//! # Writing
//! One thread writes. It takes all appends that wait, judges them one after another, and makes
//! them durable as one *frame*: one write, one sync, and only then the answers. What comes while a
//! sync runs is the next frame, and is judged by whoever brings it, as far as it has nothing to do with the
//! frame before; a small frame waits a little for those who are about to ask again. A frame is
//! there whole or not at all, and so is each append in it, over however many streams.
//!
//! # Reading
//! Readers see what is durable. The indexes tell them where: a few runs, which cover many segments
//! each, and an index of each segment. They list events by stream, by category and by type; all three
//! are read alike, and no segment is looked at that has none of a list. Readers then read blocks:
//! the records that begin within 64 KiB of a segment, checked and decoded when they are loaded, and
//! cached like that at the second look, so that reading them again neither copies nor checks; at
//! the first look a record is read by itself. A list that is read again is copied in groups of its
//! own events, which are found without the indexes. What is in memory (the last events, cached blocks of
//! segments and of indexes) is read on the async runtime, in microseconds; what needs the disk goes
//! to the runtime's threads for blocking work, as a chunk of many events, so that the hop costs
//! little per event. A scan over everything reads half a megabyte at a time, and caches it only as
//! far as there is room: it takes nobody's place. Records of more than 256 KiB are read by
//! themselves, each time.
//!
//! A store can be read beside the process that writes it ([`EmbeddedStore::open_read_only`]).
//!
//! # Following
//! A tail reads what it has not seen yet, in chunks: one that is slow keeps a chunk in memory and
//! finds the rest in the log. Whoever waits is woken by a commit that has something for its filter;
//! the others are told of the new end within milliseconds, 64 of them each millisecond. The writer
//! never waits for a reader.
//!
//! # In the background
//! One thread seals closed segments, merges runs, makes damaged indexes anew, compresses segments
//! where that was chosen ([`EmbeddedOptions::compress`]), and drops what is not live any more when
//! it is asked to ([`EmbeddedStore::scavenge`]): in small pieces, and the last two below a number of
//! bytes per second.
//!
//! # Memory
//! The indexes of the active segment and of up to five that are not sealed yet (some 120 bytes per
//! event of theirs), the runs' filters and fences (2.1 bytes per event of the store, and 2.1 per
//! stream and segment; both twice while they are merged), the cache
//! ([`EmbeddedOptions::cache_bytes`]), the last revisions of up to 131,072 streams, the bounds of
//! all streams that have metadata or a tombstone (some 100 bytes and the name for each), the last
//! 8,192 events (at most 8 MiB), and what waits to be written (at most 256 MiB). A compressed
//! segment's table of blocks (8 bytes for 16 KiB). While a segment is rewritten, an index like the
//! active one's and 12 bytes for each event that may be dropped.
//!
//! # Failing
//! A full disk refuses an append and takes it back; the store goes on when there is space. Any
//! other failing write, and every failing sync, stops it: what is durable is not known any more,
//! and only opening it again tells. What is readable stays so. Damage is reported with its place;
//! only an unfinished last frame is ever cut off.
//!
//! The format to the byte: `docs/event-store-format.md`.

mod backup;
mod block;
mod bytes;
mod cache;
mod check;
mod closed;
mod committer;
mod compress;
mod compressed;
mod error;
mod events;
mod filter;
mod filtered;
mod folder;
mod format;
mod gather;
mod groups;
mod heads;
mod index;
mod inspect;
mod layout;
mod lenient;
mod list_scan;
mod log;
mod maintenance;
mod open;
mod options;
mod queue;
mod recent;
mod rewrite;
mod runs;
mod salvage;
mod scan;
mod scavenge;
mod segment;
#[cfg(feature = "simulation")]
pub mod simulation;
mod snapshot;
mod sorter;
mod stager;
mod store;
mod summary;
mod tails;
mod upkeep;
mod vfs;
mod view;
mod walk;
mod writer;

pub use backup::{Backup, BackupError, BackupSegment, Copied};
pub use check::Checked;
pub use error::OpenError;
pub use folder::StoreFolder;
pub use inspect::Finding;
pub use options::EmbeddedOptions;
pub use salvage::{Salvage, Salvaged};
pub use scavenge::{Scavenge, ScavengeOptions, ScavengeProgress, ScavengeState};
pub use store::{EmbeddedStats, EmbeddedStore};
pub use summary::StoreSummary;
pub use vfs::{LockGuard, OpenMode, RealVfs, Vfs, VfsFile};
