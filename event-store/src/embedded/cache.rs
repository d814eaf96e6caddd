use std::io;
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;

use super::bytes::size;
use super::error::Fault;

/// What an entry takes beside its bytes, roughly.
const ENTRY: u64 = 100;
/// The bytes of a typical entry.
const TYPICAL: u64 = 16 << 10;

/// What was read from disk and may be read again: blocks of segments and parts of their indexes,
/// up to a number of bytes, the least used leave first.
#[derive(Debug, Clone)]
pub(crate) struct Cache(Arc<quick_cache::sync::Cache<Key, Bytes, ByLength>>);

#[derive(Debug, Clone)]
struct ByLength;

impl Weighter<Key, Bytes> for ByLength {
    fn weight(&self, _: &Key, bytes: &Bytes) -> u64 {
        bytes.len() as u64 + ENTRY
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The segment, by its first position.
    pub(crate) segment: u64,
    pub(crate) part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// A block of the log.
    Block(u64),
    /// A section of the index.
    Section(usize),
}

/// Whether a reader may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Io {
    /// Only what is in memory: it runs on the async runtime.
    Never,
    /// It runs on a thread that may block.
    Allowed,
}

impl Cache {
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = size(bytes / TYPICAL).max(1);
        Self(Arc::new(quick_cache::sync::Cache::with_weighter(entries, bytes, ByLength)))
    }

    /// What is cached, or what `load` reads.
    pub(crate) fn get(
        &self,
        key: Key,
        io: Io,
        load: impl FnOnce() -> Result<Bytes, Fault>,
    ) -> Result<Bytes, Fault> {
        if let Some(bytes) = self.0.get(&key) {
            return Ok(bytes);
        }
        if io == Io::Never {
            return Err(Fault::NotCached);
        }
        let bytes = load()?;
        self.0.insert(key, bytes.clone());
        Ok(bytes)
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
