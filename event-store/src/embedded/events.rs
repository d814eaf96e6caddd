use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec;

use futures::Stream;
use tokio::task::coop;

use super::block::Block;
use super::groups::Group;
use crate::{Direction, Filter, Listed, Position, ReadError, Recorded, Revision, Tailed};

/// The events of some blocks, one after another, that are in a window and that a filter lets
/// through.
#[derive(Debug)]
pub(crate) struct Events {
    block: Option<Arc<Block>>,
    blocks: vec::IntoIter<Arc<Block>>,
    window: Range<u64>,
    /// Events that were looked up one by one.
    listed: vec::IntoIter<Recorded>,
    filter: Arc<Filter>,
}

impl Events {
    /// The blocks cover the window.
    pub(crate) fn new(blocks: Vec<Arc<Block>>, window: Range<u64>, filter: Arc<Filter>) -> Self {
        let mut blocks = blocks.into_iter();
        let (block, listed) = (blocks.next(), Vec::new().into_iter());
        Self { block, blocks, window, listed, filter }
    }

    /// Of these events those that the filter lets through.
    pub(crate) fn of(events: Vec<Recorded>, filter: Arc<Filter>) -> Self {
        Self { listed: events.into_iter(), ..Self::new(Vec::new(), 0..0, filter) }
    }
}

impl Iterator for Events {
    type Item = Recorded;

    fn next(&mut self) -> Option<Recorded> {
        while let Some(block) = &self.block {
            while self.window.start < block.end().min(self.window.end) {
                let position = self.window.start;
                self.window.start += 1;
                if let Some(event) = block.record(position)
                    && self.filter.matches(event.stream.as_str(), &event.kind)
                    && let Some(event) = block.get(position)
                {
                    return Some(event);
                }
            }
            self.block = self.blocks.next();
        }
        let filter = &self.filter;
        self.listed.find(|event| filter.matches(event.stream.as_str(), &event.kind))
    }
}

/// Some events of a list, in the direction of the read, with their revisions or ordinals.
#[derive(Debug)]
pub(crate) enum Picked {
    /// They were looked up one by one.
    Found(vec::IntoIter<Listed>),
    /// Some of a group.
    Group { group: Arc<Group>, within: Range<u64>, direction: Direction },
}

impl Picked {
    pub(crate) fn none() -> Self {
        Self::Found(Vec::new().into_iter())
    }
}

impl Iterator for Picked {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        let (group, within, direction) = match self {
            Self::Found(events) => return events.next(),
            Self::Group { group, within, direction } => (group, within, direction),
        };
        loop {
            let ordinal = match direction {
                Direction::Forward => within.next(),
                Direction::Backward => within.next_back(),
            }?;
            if let Some(event) = group.events.get(ordinal) {
                return Some(Listed { ordinal: Revision(ordinal), event });
            }
        }
    }
}

/// A tail's next events, then that it has caught up: where it has, or where there were none.
#[derive(Debug)]
pub(crate) struct TailedEvents {
    pub(crate) events: Events,
    /// What comes last, if anything.
    pub(crate) caught_up: Option<Position>,
    /// Nothing but events is said if there are any.
    pub(crate) only_if_none: bool,
}

impl Iterator for TailedEvents {
    type Item = Tailed;

    fn next(&mut self) -> Option<Tailed> {
        let Some(event) = self.events.next() else {
            return self.caught_up.take().map(Tailed::CaughtUp);
        };
        if self.only_if_none {
            self.caught_up = None;
        }
        Some(Tailed::Event(event))
    }
}

/// The items of chunks, one after another.
pub(crate) struct Items<S, I> {
    chunks: Pin<Box<S>>,
    items: Option<I>,
}

impl<S, I> Items<S, I> {
    pub(crate) fn of(chunks: S) -> Self {
        Self { chunks: Box::pin(chunks), items: None }
    }
}

impl<S, I> Stream for Items<S, I>
where
    S: Stream<Item = Result<I, ReadError>>,
    I: Iterator + Unpin,
{
    type Item = Result<I::Item, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.items.as_mut().and_then(Iterator::next) {
                return Poll::Ready(Some(Ok(item)));
            }
            // What is in memory is always ready: the runtime's other tasks have their turn, too.
            let turn = ready!(coop::poll_proceed(context));
            match ready!(self.chunks.as_mut().poll_next(context)) {
                Some(Ok(items)) => self.items = Some(items),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
            turn.made_progress();
        }
    }
}
