use std::collections::HashMap;

use daybook_domain::Decider;
use daybook_domain::product::Product;
use daybook_domain::stock::Stock;
use daybook_domain::values::Sku;
use daybook_event_store::{Direction, EventStore, Position, ReadError, Revision, Store, StreamId};
use futures::{StreamExt, pin_mut};

use super::entry::{Change, Entry};

/// Most products that are remembered.
const MAX_KNOWN: usize = 100_000;

/// The products that the worker came past, as they stand. What it does not remember it reads from
/// their streams.
#[derive(Debug)]
pub(crate) struct Known {
    entries: HashMap<Sku, Entry>,
    /// Whether it remembers every product there was.
    complete: bool,
}

impl Known {
    /// Nothing yet, after the events up to a position.
    pub(crate) fn after(position: Option<Position>) -> Self {
        Self { entries: HashMap::new(), complete: position.is_none() }
    }

    /// Makes room. Nothing may be under way with what it knows.
    pub(crate) fn make_room(&mut self) {
        if self.entries.len() >= MAX_KNOWN {
            self.entries.clear();
            self.complete = false;
        }
    }

    pub(crate) fn get(&self, sku: &Sku) -> Option<&Entry> {
        self.entries.get(sku)
    }

    /// A product as it stands before a position.
    pub(crate) async fn before(
        &mut self,
        store: &Store,
        sku: &Sku,
        position: Position,
    ) -> Result<&mut Entry, ReadError> {
        if !self.entries.contains_key(sku) {
            let entry =
                if self.complete { Entry::default() } else { read(store, sku, position).await? };
            self.entries.insert(sku.clone(), entry);
        }
        Ok(self.entries.entry(sku.clone()).or_default())
    }
}

/// A product from its two streams, in the order in which things happened.
async fn read(store: &Store, sku: &Sku, before: Position) -> Result<Entry, ReadError> {
    let mut entry = Entry::default();
    let mut events = Vec::new();
    for category in [Product::CATEGORY, Stock::CATEGORY] {
        let Ok(stream) = StreamId::new(category, sku.as_str()) else { continue };
        let recorded = store.read(&stream, Revision::START, Direction::Forward);
        pin_mut!(recorded);
        while let Some(recorded) = recorded.next().await.transpose()? {
            if recorded.position >= before {
                break;
            }
            events.push(recorded);
        }
    }
    events.sort_by_key(|recorded| recorded.position);
    for recorded in &events {
        // What cannot be read was reported when the worker came past it.
        if let Ok(Some(change)) = Change::read(recorded) {
            entry.post(&change, recorded.position);
        }
    }
    Ok(entry)
}
