use std::mem;

use hashbrown::HashMap;

use crate::{Revision, StreamId};

/// Most streams of one generation.
const GENERATION: usize = 64 << 10;

/// The last revisions of the streams written to of late: two generations, of which the older is
/// dropped when the younger is full. What is not here is looked up in the indexes.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    young: HashMap<StreamId, Revision>,
    old: HashMap<StreamId, Revision>,
}

impl Heads {
    pub(crate) fn get(&self, stream: &StreamId) -> Option<Revision> {
        self.young.get(stream).or_else(|| self.old.get(stream)).copied()
    }

    pub(crate) fn set(&mut self, stream: StreamId, last: Revision) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&stream) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(stream, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_many_streams_are_kept() {
        let stream = |n: usize| StreamId::new("s", n).unwrap();
        let mut heads = Heads::default();
        for n in 0..GENERATION * 3 {
            heads.set(stream(n), Revision(1));
        }
        heads.set(stream(GENERATION * 3 - 1), Revision(2));

        assert_eq!(heads.get(&stream(GENERATION * 3 - 1)), Some(Revision(2)));
        assert_eq!(heads.get(&stream(GENERATION * 2 - 1)), Some(Revision(1)));
        assert_eq!(heads.get(&stream(0)), None);
    }
}
