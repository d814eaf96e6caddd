use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;

use super::block::Block;
use super::bytes::size;
use super::error::Fault;
use super::groups::Group;

/// What an entry takes beside its bytes, roughly.
const ENTRY: u64 = 100;
/// Misses of a set: few enough to look at, enough that keys which meet in it do not always make
/// each other forgotten.
const SET: usize = 4;
/// The bytes of a typical entry.
const TYPICAL: u64 = 16 << 10;

/// What was read from disk and may be read again: blocks of segments and parts of their indexes,
/// up to a number of bytes, the least used leave first.
#[derive(Debug, Clone)]
pub(crate) struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    entries: quick_cache::sync::Cache<Key, Cached, ByMemory>,
    /// Hashes of keys that were missed of late, in small sets with the newest first.
    missed: Box<[[AtomicU64; SET]]>,
    files: AtomicU64,
}

#[derive(Debug, Clone)]
enum Cached {
    Bytes(Bytes),
    Block(Arc<Block>),
    Group(Arc<Group>),
}

#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<Key, Cached> for ByMemory {
    fn weight(&self, _: &Key, cached: &Cached) -> u64 {
        let bytes = match cached {
            Cached::Bytes(bytes) => bytes.len(),
            Cached::Block(block) => block.weight(),
            Cached::Group(group) => group.events.weight(),
        };
        bytes as u64 + ENTRY
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The opened file, by a [number of its own](Cache::file): one that takes its name is another. Of
    /// a group, the [era](super::groups::Groups) that it was made in.
    pub(crate) file: u64,
    pub(crate) part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// A block of the log.
    Block(u64),
    /// A block of an index file.
    Index(u64),
    /// A larger piece of an index file.
    Piece(u64),
    /// A group of a list's events: the hash of the list's name, and which group.
    Group(u64, u64),
}

/// Whether a reader may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Io {
    /// Only what is in memory: it runs on the async runtime.
    Never,
    /// It runs on a thread that may block.
    Allowed,
}

fn is_in(set: &[AtomicU64; SET], hash: u64) -> bool {
    set.iter().any(|slot| slot.load(Ordering::Relaxed) == hash)
}

impl Cache {
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = size(bytes / TYPICAL).max(1);
        let missed = (0..entries.div_ceil(SET)).map(|_| Default::default()).collect();
        let entries = quick_cache::sync::Cache::with_weighter(entries, bytes, ByMemory);
        Self(Arc::new(Inner { entries, missed, files: AtomicU64::new(0) }))
    }

    /// A number for an opened file, that no other has in this cache.
    pub(crate) fn file(&self) -> u64 {
        self.0.files.fetch_add(1, Ordering::Relaxed)
    }

    /// What is cached, or what `load` reads.
    pub(crate) fn get(
        &self,
        key: Key,
        io: Io,
        load: impl FnOnce() -> Result<Bytes, Fault>,
    ) -> Result<Bytes, Fault> {
        if let Some(Cached::Bytes(bytes)) = self.0.entries.get(&key) {
            return Ok(bytes);
        }
        if io == Io::Never {
            return Err(Fault::NotCached);
        }
        let bytes = load()?;
        self.0.entries.insert(key, Cached::Bytes(bytes.clone()));
        Ok(bytes)
    }

    /// The block that is cached.
    pub(crate) fn block(&self, key: &Key) -> Option<Arc<Block>> {
        match self.0.entries.get(key) {
            Some(Cached::Block(block)) => Some(block),
            _ => None,
        }
    }

    /// The group that is cached.
    pub(crate) fn group(&self, key: &Key) -> Option<Arc<Group>> {
        match self.0.entries.get(key) {
            Some(Cached::Group(group)) => Some(group),
            _ => None,
        }
    }

    /// Whether what is not cached was missed before, about as lately as what was cached last. Of
    /// what is read once, only a part need be read then.
    pub(crate) fn misses_again(&self, key: &Key) -> bool {
        let (set, hash) = self.set(key);
        let again = is_in(set, hash);
        if !again {
            set.iter().fold(hash, |newer, slot| slot.swap(newer, Ordering::Relaxed));
        }
        again
    }

    /// The same, without missing it once more.
    pub(crate) fn was_missed(&self, key: &Key) -> bool {
        let (set, hash) = self.set(key);
        is_in(set, hash)
    }

    fn set(&self, key: &Key) -> (&[AtomicU64; SET], u64) {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        (&self.0.missed[size(hash) % self.0.missed.len()], hash)
    }

    /// The block that is cached. That it was asked for does not keep it there.
    pub(crate) fn peek_block(&self, key: &Key) -> Option<Arc<Block>> {
        match self.0.entries.peek(key) {
            Some(Cached::Block(block)) => Some(block),
            _ => None,
        }
    }

    pub(crate) fn insert_block(&self, key: Key, block: Arc<Block>) {
        self.0.entries.insert(key, Cached::Block(block));
    }

    pub(crate) fn insert_group(&self, key: Key, group: Arc<Group>) {
        self.0.entries.insert(key, Cached::Group(group));
    }

    /// Whether more can be cached without others leaving. Its parts do not fill evenly: where some
    /// are full, others still have a quarter free.
    pub(crate) fn has_room(&self) -> bool {
        self.0.entries.weight() / 3 < self.0.entries.capacity() / 4
    }
}

/// Runs what may wait for the disk where it does not hold up the async runtime: on the runtime's
/// threads for blocking work, or right here where there is no runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return work() };
    let joined = runtime.spawn_blocking(work).await;
    joined.unwrap_or_else(|error| {
        Err(Fault::io("the log", 0, &io::Error::other(Arc::new(error).to_string())))
    })
}
