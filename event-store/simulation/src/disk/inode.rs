use fastrand::Rng;

/// What a disk writes whole or not at all.
pub(crate) const SECTOR: usize = 512;

/// A file's bytes: as the running system sees them, and as they are on the disk itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) current: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pending: Vec<Change>,
}

/// What a sync would make durable.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Inode {
    /// A file all of which is durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), current: bytes, pending: Vec::new() }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that fails: the dirty pages count as clean from now on, whatever became of them.
    /// They may still be read, or have left the page cache already.
    pub(super) fn fail_sync(&mut self, random: &mut Rng) {
        for change in self.pending.drain(..) {
            if random.u8(..4) == 0 {
                change.tear(&mut self.durable, random);
            }
        }
        if random.bool() {
            self.current.clone_from(&self.durable);
        }
    }

    /// A failing sync of which nothing arrives, and whose pages stay readable.
    pub(super) fn drop_pending(&mut self) {
        self.pending.clear();
    }

    /// What a power failure leaves, and whether it tore something.
    pub(super) fn crashed(&self, random: &mut Rng) -> (Self, bool) {
        let mut bytes = self.durable.clone();
        let torn = !self.pending.is_empty();
        self.pending.iter().for_each(|change| change.tear(&mut bytes, random));
        (Self::durable(bytes), torn)
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes: written } => put(bytes, *offset, written),
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }

    /// Applies any of the change's sectors, and any length up to the changed one.
    fn tear(&self, bytes: &mut Vec<u8>, random: &mut Rng) {
        match self {
            Self::Write { offset, bytes: written } => {
                if random.bool() {
                    bytes.resize(bytes.len().max(offset + written.len()), 0);
                }
                let mut at = 0;
                while at < written.len() {
                    let end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
                    let end = end.min(written.len());
                    if random.bool() {
                        put(bytes, offset + at, &written[at..end]);
                    }
                    at = end;
                }
            }
            Self::Length(_) if random.bool() => self.apply(bytes),
            Self::Length(_) => {}
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    bytes.resize(bytes.len().max(end), 0);
    bytes[offset..end].copy_from_slice(written);
}
