//! Whether the events keep the rules of the business, and whether the read models say what the
//! events say.
//!
//! It reads the store once and decides nothing: what it finds is for people to mend.

mod books;
mod findings;
mod log;
mod models;
mod orders;
mod parties;
mod payments;
mod processes;
mod row;
mod rules;
mod stock;

use std::time::Duration;

use books::Books;
use daybook_domain::values::Timestamp;
use daybook_event_store::{EventStore, Filter, Position, ReadError, Store};
use futures::TryStreamExt;
use serde::Serialize;

use crate::Queries;
use crate::catalog::Catalog;

/// Events after which other tasks get their turn.
const TURN: u64 = 1_024;

/// One rule, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule, in words that do not change.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was looked at; or the number of violations, and the first of them.
    pub detail: String,
}

/// The read models to compare with the events.
#[derive(Clone)]
pub struct ReadModels {
    /// Those in SQL.
    pub queries: Queries,
    /// The catalog.
    pub catalog: Catalog,
    /// How long those that are behind may take, all together, to catch up.
    pub patience: Duration,
}

/// Checks every rule over all events, and that the read models say what the events say.
///
/// What the platform is still at work on at `now` is not held against it before its time is up.
/// A read model that is behind, missing or broken fails its check.
///
/// # Errors
/// The store cannot be read.
pub async fn verify(
    store: &Store,
    models: Option<&ReadModels>,
    now: Timestamp,
) -> Result<Vec<Check>, ReadError> {
    let mut reader = Reader { store, books: Books::default() };
    reader.read_to_end().await?;
    let compared = match models {
        Some(models) => models::compare(&mut reader, models).await?,
        None => Vec::new(),
    };
    let mut checks = rules(&reader.books, now);
    checks.extend(compared);
    Ok(checks)
}

fn rules(books: &Books, now: Timestamp) -> Vec<Check> {
    let mut checks = books.log.checks();
    checks.extend(books.stock.checks());
    checks.extend([
        rules::reserved_for_open_orders(books),
        books.payments.check(),
        rules::paid_is_captured(books),
        rules::charged_once(books),
        rules::checkouts_end(books, now),
        rules::shipments_are_fulfilled(books, now),
        books.parked.check(),
    ]);
    checks
}

/// Posts the store's events to the books, each once.
struct Reader<'a> {
    store: &'a Store,
    books: Books,
}

impl Reader<'_> {
    fn books(&self) -> &Books {
        &self.books
    }

    fn position(&self) -> Option<Position> {
        self.books.log.position()
    }

    async fn read_to_end(&mut self) -> Result<(), ReadError> {
        self.read_while(|_| true).await
    }

    /// Reads on up to a position, unless that was passed already.
    async fn read_to(&mut self, position: Option<Position>) -> Result<(), ReadError> {
        if self.position() >= position {
            return Ok(());
        }
        self.store.refresh()?;
        self.read_while(|next| Some(next) <= position).await
    }

    async fn read_while(&mut self, within: impl Fn(Position) -> bool) -> Result<(), ReadError> {
        let events = self.store.read_all(self.position(), Filter::all());
        let mut events = std::pin::pin!(events);
        let mut read = 0;
        while let Some(event) = events.try_next().await? {
            if !within(event.position) {
                break;
            }
            self.books.apply(&event);
            read += 1;
            if read % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}
