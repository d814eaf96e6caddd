use super::bytes::{mix, narrow, size, u64_at};

const BLOCK: usize = 64;
/// Rather more than usual: the writer asks every run's filter about every new id, and pays for
/// a wrong answer with a look into the run.
const BITS_PER_KEY: usize = 16;
const PROBES: u32 = 7;

/// A Bloom filter in blocks of one cache line: says of about one key in a thousand that is
/// not there that it may be, and never of one that is there that it is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyFilter(Box<[u8]>);

impl KeyFilter {
    /// An empty filter for so many keys.
    pub(crate) fn for_keys(keys: u64) -> Self {
        let blocks = (size(keys) * BITS_PER_KEY).div_ceil(BLOCK * 8);
        Self(vec![0; blocks * BLOCK].into())
    }

    /// Takes a key's hash in, of which the upper half must be evenly spread.
    pub(crate) fn insert(&mut self, hash: u64) {
        let block = Self::block(hash, self.0.len() / BLOCK);
        for (word, bit) in probes(hash) {
            let at = block + word * 8;
            let bits = u64_at(&self.0, at) | bit;
            self.0[at..at + 8].copy_from_slice(&bits.to_le_bytes());
        }
    }

    /// The filter that [`as_bytes`](Self::as_bytes) gave; `None` where it cannot be one.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        bytes.len().is_multiple_of(BLOCK).then(|| Self(bytes.into()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let block = Self::block(hash, self.0.len() / BLOCK);
        probes(hash).all(|(word, bit)| u64_at(&self.0, block + word * 8) & bit != 0)
    }

    fn block(hash: u64, blocks: usize) -> usize {
        size(((hash >> 32) * u64::from(narrow(blocks))) >> 32) * BLOCK
    }
}

/// The words of a block and their bits that stand for a hash.
fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let bits = mix(hash);
    (0..PROBES).map(move |n| {
        let at = (bits >> (n * 9)) & 511;
        (size(at >> 6), 1 << (at & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_key_and_few_others() {
        let keys = |range: std::ops::Range<u64>| range.map(mix);
        let mut filter = KeyFilter::for_keys(10_000);
        keys(0..10_000).for_each(|key| filter.insert(key));

        assert!(keys(0..10_000).all(|key| filter.may_contain(key)));
        let wrong = keys(10_000..110_000).filter(|&key| filter.may_contain(key)).count();
        assert!(wrong < 300, "{wrong} of 100000 absent keys pass");
    }

    #[test]
    fn an_empty_filter_contains_nothing() {
        let filter = KeyFilter::for_keys(0);
        assert!(!filter.may_contain(1));
        assert!(!KeyFilter::from_bytes(Vec::new()).unwrap().may_contain(1));
        assert!(KeyFilter::from_bytes(vec![0; 65]).is_none());
    }
}
