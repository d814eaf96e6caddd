use super::bytes::{mix, narrow, size, u64_at};

const BLOCK: usize = 64;
/// Rather more than usual: the writer asks every segment's filter about every new id, and pays
/// for a wrong answer with a look into the index.
const BITS_PER_KEY: usize = 16;
const PROBES: u32 = 7;

/// A Bloom filter in blocks of one cache line: says of about one key in a thousand that is
/// not there that it may be, and never of one that is there that it is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyFilter(Box<[u8]>);

impl KeyFilter {
    /// A filter of hashes, which must be evenly spread.
    pub(crate) fn new(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let blocks = (hashes.len() * BITS_PER_KEY).div_ceil(BLOCK * 8);
        let mut bytes = vec![0; blocks * BLOCK].into_boxed_slice();
        for hash in hashes {
            let block = Self::block(hash, blocks);
            for (word, bit) in probes(hash) {
                let at = block + word * 8;
                let bits = u64_at(&bytes, at) | bit;
                bytes[at..at + 8].copy_from_slice(&bits.to_le_bytes());
            }
        }
        Self(bytes)
    }

    /// The filter that [`as_bytes`](Self::as_bytes) gave; `None` where it cannot be one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
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
        let filter = KeyFilter::new((0..10_000_u32).map(|n| mix(n.into())));

        assert!(keys(0..10_000).all(|key| filter.may_contain(key)));
        let wrong = keys(10_000..110_000).filter(|&key| filter.may_contain(key)).count();
        assert!(wrong < 300, "{wrong} of 100000 absent keys pass");
    }

    #[test]
    fn an_empty_filter_contains_nothing() {
        let filter = KeyFilter::new(std::iter::empty());
        assert!(!filter.may_contain(1));
        assert!(!KeyFilter::from_bytes(&[]).unwrap().may_contain(1));
        assert!(KeyFilter::from_bytes(&[0; 65]).is_none());
    }
}
