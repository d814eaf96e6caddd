use crate::Recorded;

/// Events one after another in the store's order, checked and decoded: those of one frame, or
/// those whose records begin within one stretch of a segment.
#[derive(Debug)]
pub(crate) struct Block {
    first: u64,
    /// `None` where an event was dropped.
    events: Vec<Option<Recorded>>,
}

impl Block {
    /// Of events from a position on.
    pub(crate) fn new(first: u64, events: Vec<Option<Recorded>>) -> Self {
        Self { first, events }
    }

    /// The position of its first event.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The position after its last event.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(crate) fn count(&self) -> usize {
        self.events.len()
    }

    /// The bytes of payload and metadata.
    pub(crate) fn bytes(&self) -> usize {
        self.events.iter().flatten().map(|event| event.data.len() + event.metadata.len()).sum()
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Recorded> {
        self.events.iter().flatten()
    }

    /// The event at a position, if it is here and was not dropped.
    pub(crate) fn get(&self, position: u64) -> Option<&Recorded> {
        let at = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.events.get(at)?.as_ref()
    }
}
