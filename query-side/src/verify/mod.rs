//! Whether the events keep the rules of the business, and whether the read models say what the
//! events say.
//!
//! It reads the store once and decides nothing: what it finds is for people to mend.

mod books;
mod findings;
mod log;
mod orders;
mod payments;
mod processes;
mod rules;
mod stock;

use daybook_domain::values::Timestamp;
use daybook_event_store::{EventStore, Filter, ReadError, Store};
use futures::TryStreamExt;
use serde::Serialize;

use books::Books;

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

/// Checks every rule. What the platform is still at work on at `now` is not held against it
/// before its time is up.
///
/// # Errors
/// The store cannot be read.
pub async fn verify(store: &Store, now: Timestamp) -> Result<Vec<Check>, ReadError> {
    let mut books = Books::default();
    let events = store.read_all(None, Filter::all());
    let mut events = std::pin::pin!(events);
    let mut read = 0;
    while let Some(event) = events.try_next().await? {
        books.apply(&event);
        read += 1;
        if read % TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(checks(&books, now))
}

fn checks(books: &Books, now: Timestamp) -> Vec<Check> {
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
